//! Pipelines that a server keeps: text and lock, and no project directory.

use std::sync::Arc;

use oxide_core::{
    grant::Trust,
    pipeline::{Pipeline, Schedule},
    plan::JobContext,
};
use oxide_registry::{Catalog, Lock, oci::Reach};
use serde_json::{Map, Value as Json};

use crate::{
    accept,
    plan::{PlanError, Planned, plan},
    supply::{Registries, Supply},
};

/// The name that errors show for a stored pipeline.
pub const FILE: &str = "oxide.yaml";

/// Plans stored pipelines.
#[derive(Clone)]
pub struct StoredPipelines {
    supply: Arc<Supply>,
}

/// A pipeline that may be stored.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its name.
    pub name: String,
    /// What its plugins stand for: from now on, whatever the tags do.
    pub lock: Lock,
    /// When it runs by itself.
    pub schedules: Vec<Schedule>,
    /// What a run without inputs and git facts would do.
    pub planned: Planned,
}

impl StoredPipelines {
    /// With this supply of plugins.
    pub fn new(supply: Supply) -> StoredPipelines {
        StoredPipelines { supply: Arc::new(supply) }
    }

    /// How registries are reached.
    pub fn registries(&self) -> &Registries {
        &self.supply.registries
    }

    /// Which hosts are asked.
    pub fn reach(&self) -> &Reach {
        &self.supply.registries.reach
    }

    /// Checks a pipeline as a whole before it is stored, and completes its lock.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn accept(&self, source: &str, lock: Lock) -> Result<Accepted, PlanError> {
        let pipeline = Pipeline::parse(source)?;
        let lock = accept::complete(&pipeline, lock, &self.supply).await?;
        // Inputs have no values yet, and a required one is no mistake of the pipeline.
        let trigger = Map::from_iter([("kind".to_owned(), Json::from("validate"))]);
        let context = JobContext { trigger, trust: Trust::Full, ..JobContext::default() };
        let schedules = pipeline.triggers.schedule.clone();
        let planned = self.plan_parsed(pipeline, &lock, context, None).await?;
        Ok(Accepted { name: planned.plan.pipeline.clone(), lock, schedules, planned })
    }

    /// Plans a run of what is stored.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub async fn plan(
        &self,
        source: &str,
        lock: &Lock,
        context: JobContext,
        only: Option<&str>,
    ) -> Result<Planned, PlanError> {
        self.plan_parsed(Pipeline::parse(source)?, lock, context, only).await
    }

    async fn plan_parsed(
        &self,
        pipeline: Pipeline,
        lock: &Lock,
        context: JobContext,
        only: Option<&str>,
    ) -> Result<Planned, PlanError> {
        let catalog = Catalog::of_lock(lock.clone());
        plan(pipeline, FILE, catalog, Some((*self.supply).clone()), context, only).await
    }
}

#[cfg(test)]
mod tests {
    use oxide_registry::policy::Policy;

    use super::*;

    fn stored(data: &std::path::Path) -> StoredPipelines {
        StoredPipelines::new(Supply::in_directory(data, Policy::default(), Registries::default(), |_| {}))
    }

    const GREET: &str = "\
version: \"1\"
name: greet
triggers:
  manual:
    inputs:
      who: { type: string, required: true }
stages:
  hello:
    environment: host
    steps:
      - run: echo hello ${{ inputs.who }}
  bye:
    depends_on: [hello]
    environment: host
    steps:
      - run: echo bye from ${{ git.branch }}
";

    fn context(inputs: &[(&str, &str)]) -> JobContext {
        let map =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        JobContext {
            git: map(&[("branch", "main")]),
            trigger: map(&[("kind", "manual")]),
            inputs: map(inputs),
            ..JobContext::default()
        }
    }

    #[tokio::test]
    async fn a_pipeline_is_accepted_without_inputs_and_planned_with_them() {
        let data = tempfile::tempdir().unwrap();
        let stored = stored(data.path());
        let accepted = stored.accept(GREET, Lock::default()).await.unwrap();
        assert_eq!(accepted.name, "greet");
        assert_eq!(accepted.lock, Lock::default());
        let used: Vec<&str> = accepted.planned.plugins.iter().map(|used| used.reference.as_str()).collect();
        assert_eq!(used, ["oxide/run@1"]);
        assert!(accepted.planned.plugins[0].built_in);

        let planned = stored.plan(GREET, &accepted.lock, context(&[("who", "you")]), None).await.unwrap();
        assert_eq!((planned.plan.stages.len(), &planned.plan.context.inputs["who"]), (2, &Json::from("you")));
        let missing = stored.plan(GREET, &accepted.lock, context(&[]), None).await.unwrap_err();
        assert!(missing.to_string().contains("`who` needs a value"), "{missing}");
        let only = stored.plan(GREET, &accepted.lock, context(&[("who", "you")]), Some("hello")).await.unwrap();
        assert_eq!(only.plan.stages.len(), 1);
        let none = stored.plan(GREET, &accepted.lock, context(&[("who", "you")]), Some("hallo")).await.unwrap_err();
        assert_eq!(none.to_string(), "the pipeline has no stage `hallo`; its stages are: hello, bye");
    }

    #[tokio::test]
    async fn a_stored_pipeline_has_no_plugins_of_its_own() {
        let data = tempfile::tempdir().unwrap();
        let source = GREET.replace("- run: echo hello ${{ inputs.who }}", "- uses: ./plugins/greet");
        let refused = stored(data.path()).accept(&source, Lock::default()).await.unwrap_err().to_string();
        assert!(
            refused.contains("a stored pipeline has no files") && refused.contains("oxide plugin push"),
            "{refused}"
        );
        let refused = stored(data.path()).accept("version: 2", Lock::default()).await.unwrap_err();
        assert!(matches!(refused, PlanError::Invalid(_)), "{refused}");
    }

    #[tokio::test]
    async fn a_registry_that_does_not_answer_is_told_where_the_plugin_stands() {
        let data = tempfile::tempdir().unwrap();
        let source = GREET.replace("- run: echo hello ${{ inputs.who }}", "- uses: localhost:1/acme/greet:1");
        let PlanError::Invalid(refused) = stored(data.path()).accept(&source, Lock::default()).await.unwrap_err()
        else {
            panic!("it is about the pipeline");
        };
        assert_eq!(refused.0.len(), 1);
        assert_eq!(refused.0[0].span.map(|span| span.line), Some(11), "{refused}");
        assert!(refused.to_string().contains("could not use `localhost:1/acme/greet:1`"), "{refused}");
    }
}

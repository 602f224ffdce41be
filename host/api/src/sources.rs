//! What the orchestrator asks the server for: secrets of jobs, and runs of schedules.

use std::sync::Arc;

use async_trait::async_trait;
use oxide_core::{grant::Trust, id::RunId, plan::JobContext, secret::LeasedSecrets};
use oxide_orchestrator::{
    AskedSecrets, FiredSchedule, NewRun, PlanSource, PlanSourceError, SecretSource, SecretSourceError,
};
use oxide_planner::{
    StoredPipelines,
    remote::{self, GitFacts, Wanted},
};
use oxide_registry::Lock;
use oxide_store::{RunOrigin, Store, Vault};
use serde_json::json;
use uuid::Uuid;

/// The secrets of the vault, for the jobs that may spend them.
pub struct VaultSecrets(pub Arc<Vault>);

#[async_trait]
impl SecretSource for VaultSecrets {
    async fn secrets(&self, asked: &AskedSecrets) -> Result<LeasedSecrets, SecretSourceError> {
        let names = asked.names.iter().map(String::as_str);
        let resolved = self.0.resolve(asked.project, asked.pipeline, names).await?;
        Ok(LeasedSecrets::of(&resolved.values, asked.names.iter().map(String::as_str)))
    }
}

/// Runs of stored pipelines whose time has come.
pub struct StoredPlans {
    /// Where pipelines are kept.
    pub store: Store,
    /// Plans them.
    pub pipelines: StoredPipelines,
}

#[async_trait]
impl PlanSource for StoredPlans {
    async fn plan(&self, fired: &FiredSchedule) -> Result<Option<NewRun>, PlanSourceError> {
        let Some(row) = self.store.pipeline(fired.pipeline).await?.filter(|row| row.deleted_at.is_none()) else {
            return Ok(None);
        };
        let Some((_, text)) = self.store.pipeline_version(fired.pipeline, fired.version).await? else {
            return Ok(None);
        };
        let lock = if text.lock.is_empty() { Lock::default() } else { Lock::parse(&text.lock)? };
        let repository = match row.repository.clone() {
            Some(repository) => Some(repository),
            None => self.store.project(row.project).await?.and_then(|project| project.repository),
        };
        let git = match repository {
            Some(repository) => {
                Some(remote::find_commit(&repository, &Wanted::default(), self.pipelines.reach()).await?)
            }
            None => None,
        };
        let trigger = json!({
            "kind": "schedule",
            "cron": fired.cron,
            "timezone": fired.timezone,
            "at": fired.at,
            "missed": fired.missed,
        });
        let context = JobContext {
            git: git.as_ref().map(GitFacts::to_map).unwrap_or_default(),
            trigger: trigger.as_object().cloned().unwrap_or_default(),
            trust: Trust::Full,
            project: format!("project:{}", row.project),
            ..JobContext::default()
        };
        let mut planned = self.pipelines.plan(&text.source, &lock, context, None).await?;
        planned.plan.pipeline = row.name;
        let git = git.unwrap_or_default();
        let origin = RunOrigin {
            project: Some(row.project),
            pipeline: Some(row.id),
            version: Some(fired.version),
            trigger: Some(trigger),
            git_ref: git.reference,
            git_branch: git.branch,
            git_sha: Some(git.sha).filter(|sha| !sha.is_empty()),
            ..RunOrigin::default()
        };
        let (id, plan) = (RunId(Uuid::now_v7()), Arc::new(planned.plan));
        Ok(Some(NewRun { id, plan, source_text: text.source, project_dir: git.repository, origin }))
    }
}

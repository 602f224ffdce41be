//! One plan: the text is read, its plugins are found, everything is checked.

use oxide_core::{
    diagnostic::Diagnostics,
    pipeline::Pipeline,
    plan::{self, JobContext, Plan},
};
use oxide_registry::Catalog;
use tokio::sync::Semaphore;

use crate::{
    plugins::{Plugins, UsedPlugin},
    supply::Supply,
};

/// So many plans are made at the same time.
static PLACES: Semaphore = Semaphore::const_new(4);

/// A plan and what it is made of.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What a run will do.
    pub plan: Plan,
    /// The plugins that it calls, each once, in the order of the pipeline.
    pub plugins: Vec<UsedPlugin>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The pipeline cannot be used as it stands.
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
    /// There is no such stage.
    #[error("the pipeline has no stage `{stage}`; its stages are: {}", stages.join(", "))]
    NoStage {
        /// As it was asked for.
        stage: String,
        /// Those that there are.
        stages: Vec<String>,
    },
    /// The task that plans has been stopped.
    #[error("planning was stopped")]
    Stopped(#[source] tokio::task::JoinError),
}

/// Plans a run. Plugins of registries that are not on this machine are fetched, if there is a supply.
///
/// `only` leaves out all stages but this one and those that it depends on.
///
/// # Errors
/// See [`PlanError`].
pub async fn plan(
    pipeline: Pipeline,
    file: &str,
    catalog: Catalog,
    supply: Option<Supply>,
    context: JobContext,
    only: Option<&str>,
) -> Result<Planned, PlanError> {
    let plugins = Plugins::find(&pipeline, catalog, supply).await;
    let (file, only) = (file.to_owned(), only.map(str::to_owned));
    let place = PLACES.acquire().await;
    // Reading components takes a processor, and nobody else may wait for that.
    let planned = tokio::task::spawn_blocking(move || {
        // The work goes on when nobody waits for it any more, and so the place stays taken.
        let _place = place;
        let plan = plan::build(&pipeline, &file, &context, &|reference| plugins.describe(reference))?;
        let plan = match only {
            None => plan,
            Some(stage) => plan.only(&stage).ok_or_else(|| PlanError::NoStage {
                stages: plan.stages.iter().map(|stage| stage.name.clone()).collect(),
                stage,
            })?,
        };
        let plugins = plugins.used_by(&plan);
        Ok(Planned { plan, plugins })
    });
    planned.await.map_err(PlanError::Stopped)?
}

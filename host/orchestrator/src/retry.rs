//! Repeats a run that has ended: the same plan, as a new run.

use std::sync::Arc;

use oxide_core::plan::{self, RetryError};
use oxide_store::{NewRun, RunOrigin, Store};

use crate::{OrchestratorError, Retry};

/// The new run, made from what is stored of the old one.
pub(crate) async fn run_of(store: &Store, asked: Retry) -> Result<NewRun, OrchestratorError> {
    let Retry { run: old, id, failed_only, by } = asked;
    let row = store.run(old).await?.ok_or(OrchestratorError::NoSuchRun(old))?;
    let (planned, state) = store.run_state(old).await?;
    let plan = plan::retry(&planned, &state, failed_only).map_err(|error| match error {
        RetryError::NotEnded => OrchestratorError::NotEnded(old),
        RetryError::NothingFailed => OrchestratorError::NothingFailed(old),
    })?;
    let origin = RunOrigin { created_by: by, retry_of: Some(old), ..row.origin };
    let source_text = store.source_text(old).await?;
    Ok(NewRun { id, plan: Arc::new(plan), source_text, project_dir: row.project_dir, origin })
}

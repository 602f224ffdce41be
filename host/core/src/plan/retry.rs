//! The plan of a retry: the same again, or only what did not go well.

use super::{KeptJob, KeptStage, Plan};
use crate::{outcome::Status, run::RunState};

/// Why a run cannot be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// It still goes on.
    #[error("the run has not ended")]
    NotEnded,
    /// Everything that was to be done was done.
    #[error("nothing of the run failed")]
    NothingFailed,
}

impl RetryError {
    /// What to do instead.
    pub fn hint(self) -> &'static str {
        match self {
            RetryError::NotEnded => "cancel it first, or wait until it has ended",
            RetryError::NothingFailed => "retry the whole run, without `--failed`",
        }
    }
}

/// The plan of a run that retries another one. With `failed_only` it keeps the results of stages and jobs that went well,
/// unless something that they depend on is executed again; what depends on them sees their outputs and states as before.
///
/// # Errors
/// The run has not ended, or nothing of it failed.
pub fn retry(plan: &Plan, state: &RunState, failed_only: bool) -> Result<Plan, RetryError> {
    if !state.status.is_final() {
        return Err(RetryError::NotEnded);
    }
    let mut retry = plan.clone();
    retry.stages.iter_mut().for_each(|stage| stage.kept = None);
    retry.jobs.iter_mut().for_each(|job| job.kept = None);
    if !failed_only {
        return Ok(retry);
    }
    // Each stage stands after those that it depends on.
    for position in 0..retry.stages.len() {
        let again = retry.stages[position].depends_on.iter().any(|on| retry.stage(on.stage).kept.is_none());
        if again {
            continue;
        }
        let before = &state.stages[position];
        if went_well(before.status, before.blocked) {
            let (status, reason, outputs) = (before.status, before.reason.clone(), before.outputs.clone());
            retry.stages[position].kept = Some(KeptStage { status, reason, outputs });
        }
        for index in retry.stages[position].jobs.clone() {
            let before = &state.jobs[index.index()];
            if retry.stages[position].kept.is_some() || went_well(before.status, true) {
                let kept = KeptJob { status: before.status, reason: before.reason.clone() };
                retry.jobs[index.index()].kept = Some(kept);
            }
        }
    }
    match retry.stages.iter().all(|stage| stage.kept.is_some()) {
        true => Err(RetryError::NothingFailed),
        false => Ok(retry),
    }
}

/// A stage that its own condition has skipped went as it was meant to; one that was skipped because of others did not.
fn went_well(status: Status, blocked: bool) -> bool {
    matches!(status, Status::Success | Status::Warning) || (status == Status::Skipped && !blocked)
}

//! Which logs of a run are meant.

use oxide_core::{
    api::log::LogSelection,
    id::{AttemptId, JobIndex, RunId, StepIndex},
    plan::Plan,
};

use super::position::Place;
use crate::{error::ApiError, state::ServerState};

/// The log of one step of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StepLog {
    pub attempt: AttemptId,
    pub step: StepIndex,
    /// The name of its stage.
    pub stage: String,
    /// The name of the step.
    pub name: String,
}

impl StepLog {
    /// A line of it.
    pub fn place(&self, line: u64) -> Place {
        Place { job: self.attempt.job, attempt: self.attempt.number, step: self.step, line }
    }
}

/// What a query asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    stage: Option<String>,
    job: Option<JobIndex>,
    attempt: Option<u32>,
    step: Option<String>,
}

impl Selection {
    /// Checks what is asked for.
    pub fn new(LogSelection { stage, job, attempt, step }: LogSelection) -> Result<Selection, ApiError> {
        if attempt == Some(0) {
            return Err(ApiError::bad_request("attempts are counted from 1"));
        }
        Ok(Selection { stage, job: job.map(JobIndex), attempt, step })
    }

    /// Is this step of this job asked for?
    pub fn holds(&self, plan: &Plan, attempt: AttemptId, step: StepIndex) -> bool {
        let Some(job) = plan.jobs.get(attempt.job.index()) else { return false };
        let Some(planned) = job.steps.get(step.index()) else { return false };
        let is_step = |wanted: &String| {
            planned.id.as_ref() == Some(wanted) || wanted.parse() == Ok(step.0) || planned.name == *wanted
        };
        self.stage.as_ref().is_none_or(|stage| plan.stage(job.stage).name == *stage)
            && self.job.is_none_or(|job| job == attempt.job)
            && self.attempt.is_none_or(|number| number == attempt.number)
            && self.step.as_ref().is_none_or(is_step)
    }

    /// The logs that are asked for and have begun, in the order of the run.
    pub async fn find(&self, state: &ServerState, run: RunId) -> Result<Vec<StepLog>, ApiError> {
        let plan = state.store.plan(run).await?;
        let steps = state.store.steps(run).await?;
        let wanted = steps.iter().filter(|step| self.holds(&plan, step.attempt, step.step));
        let mut logs: Vec<StepLog> =
            wanted.map(|step| log_of(&plan, step.attempt, step.step, Some(&step.name))).collect();
        logs.sort_by_key(|log| log.place(0));
        Ok(logs)
    }
}

/// The log of a step of the plan.
pub(super) fn log_of(plan: &Plan, attempt: AttemptId, step: StepIndex, name: Option<&str>) -> StepLog {
    let job = plan.job(attempt.job);
    StepLog {
        attempt,
        step,
        stage: plan.stage(job.stage).name.clone(),
        name: name.unwrap_or(&job.steps[step.index()].name).to_owned(),
    }
}

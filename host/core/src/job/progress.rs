//! How far a job is: what conditions and expressions can see of its steps.

use serde_json::{Map, Value as Json};

use crate::{
    id::StepIndex,
    outcome::Status,
    plan::{PlannedJob, PlannedStep},
};

/// How the job stands: what `success()`, `failure()` and `cancelled()` ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has failed that was not allowed to.
    Success,
    /// A step has failed.
    Failure,
    /// The job is being cancelled or has timed out.
    Cancelled,
}

/// How far one step is.
#[derive(Clone, Debug, PartialEq)]
pub enum StepProgress {
    /// It was not reached yet.
    Waiting,
    /// It runs.
    Running {
        /// Which try, counted from 1.
        try_number: u32,
        /// It was told to stop.
        stopping: bool,
    },
    /// It has ended, or was skipped.
    Ended {
        /// How.
        status: Status,
        /// Its outputs, names in snake_case; empty unless it succeeded.
        outputs: Map<String, Json>,
    },
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub struct JobProgress {
    pub(super) ids: Vec<Option<String>>,
    pub(super) steps: Vec<StepProgress>,
    pub(super) standing: Standing,
}

impl JobProgress {
    pub(super) fn new(job: &PlannedJob) -> Self {
        JobProgress {
            ids: job.steps.iter().map(|step: &PlannedStep| step.id.clone()).collect(),
            steps: vec![StepProgress::Waiting; job.steps.len()],
            standing: Standing::Success,
        }
    }

    /// How the job stands.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// How far a step is. The index must come from the job.
    pub fn step(&self, step: StepIndex) -> &StepProgress {
        &self.steps[step.index()]
    }

    /// The value of `steps` in expressions: for each step with an id that has ended, `status` and `outputs`.
    pub fn steps_value(&self) -> Map<String, Json> {
        self.ended_with_id()
            .map(|(id, status, outputs)| {
                (id.to_owned(), serde_json::json!({ "status": status.as_str(), "outputs": outputs }))
            })
            .collect()
    }

    /// What other stages see of this job: the outputs by step id.
    pub fn outputs(&self) -> Map<String, Json> {
        self.ended_with_id()
            .filter(|(_, _, outputs)| !outputs.is_empty())
            .map(|(id, _, outputs)| (id.to_owned(), Json::Object(outputs.clone())))
            .collect()
    }

    fn ended_with_id(&self) -> impl Iterator<Item = (&str, Status, &Map<String, Json>)> {
        self.ids.iter().zip(&self.steps).filter_map(|(id, step)| match (id, step) {
            (Some(id), StepProgress::Ended { status, outputs }) => Some((id.as_str(), *status, outputs)),
            _ => None,
        })
    }
}

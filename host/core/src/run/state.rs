//! Where a run stands. This is what the store keeps, row by row, and what a machine is restored from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{
    id::AgentId,
    outcome::Status,
    plan::{KeptJob, KeptStage, Plan},
    time::Timestamp,
};

/// A run, its stages and its jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunState {
    /// The state of the run.
    pub status: Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
    /// When its first job was taken by an agent.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// It is to end early.
    pub stop: Option<Stop>,
    /// Its stages, as in the plan.
    pub stages: Vec<StageState>,
    /// Its jobs, as in the plan.
    pub jobs: Vec<JobState>,
}

/// Something is to end early. What was asked first stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    /// What it becomes: cancelled, timeout, or failure if the process that ran it died.
    pub status: Status,
    /// For people.
    pub reason: String,
    /// When it was asked.
    pub at: Timestamp,
}

/// A stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageState {
    /// The state of the stage.
    pub status: Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
    /// It was skipped because something that it needs did not succeed. What depends on it is skipped, too; a stage that was
    /// skipped by its own condition lets others go on.
    pub blocked: bool,
    /// When its first job was taken by an agent.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// No more of its jobs begin, and those that run are to end.
    pub stop: Option<Stop>,
    /// When it asked people whether it may begin: `created_at` of its approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_requested_at: Option<Timestamp>,
    /// Outputs by step id. A stage of several jobs has none: each of its steps has outputs for each job.
    pub outputs: Map<String, Json>,
}

/// A job of a run, with its present attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobState {
    /// The state of the job.
    pub status: Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
    /// The number of the present (or last) attempt; 0 if it was never queued.
    pub attempt: u32,
    /// The agent that took the present attempt.
    pub agent: Option<AgentId>,
    /// When the present attempt was taken.
    pub started_at: Option<Timestamp>,
    /// When the job ended.
    pub ended_at: Option<Timestamp>,
    /// The agent is asked to stop the present attempt.
    pub stop: Option<Stop>,
}

impl RunState {
    /// The state before anything has happened: everything is pending, but for what a retry has kept.
    pub fn of(plan: &Plan) -> RunState {
        let stage = |kept: Option<&KeptStage>| StageState {
            status: kept.map_or(Status::Pending, |kept| kept.status),
            reason: kept.and_then(|kept| kept.reason.clone()),
            blocked: false,
            started_at: None,
            ended_at: None,
            stop: None,
            approval_requested_at: None,
            outputs: kept.map_or_else(Map::new, |kept| kept.outputs.clone()),
        };
        let job = |kept: Option<&KeptJob>| JobState {
            status: kept.map_or(Status::Pending, |kept| kept.status),
            reason: kept.and_then(|kept| kept.reason.clone()),
            attempt: 0,
            agent: None,
            started_at: None,
            ended_at: None,
            stop: None,
        };
        RunState {
            status: Status::Pending,
            reason: None,
            started_at: None,
            ended_at: None,
            stop: None,
            stages: plan.stages.iter().map(|planned| stage(planned.kept.as_ref())).collect(),
            jobs: plan.jobs.iter().map(|planned| job(planned.kept.as_ref())).collect(),
        }
    }

    /// Was the run started? Then a stage of it does not stand any more as it did before: at least one needs nothing that
    /// would have to end first.
    pub(super) fn has_begun(&self, plan: &Plan) -> bool {
        let mut open = plan.stages.iter().zip(&self.stages).filter(|(planned, _)| planned.kept.is_none()).peekable();
        match open.peek() {
            Some(_) => open.any(|(_, state)| state.status != Status::Pending),
            None => self.status != Status::Pending && self.reason.is_none(),
        }
    }

    /// What expressions see as `stages`: each stage that has ended by name, with `status`, `result` (the same word, as
    /// other systems call it) and `outputs`.
    pub fn ended_stages(&self, plan: &Plan) -> Map<String, Json> {
        let ended = plan.stages.iter().zip(&self.stages).filter(|(_, state)| state.status.is_final());
        ended
            .map(|(stage, state)| {
                let facts = serde_json::json!({
                    "status": state.status.as_str(),
                    "result": state.status.as_str(),
                    "outputs": state.outputs,
                });
                (stage.name.clone(), facts)
            })
            .collect()
    }
}

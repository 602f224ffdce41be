//! What the agent remembers of a step until its record is written.

use oxide_core::{
    effects::StepEffects,
    event::{Annotation, StepRecord},
    limit::{Limits, Usage},
    outcome::{Failure, Status},
    time::Timestamp,
};
use serde_json::{Map, Value as Json};

use crate::log::LogWriter;

/// What is known of a step so far. Empty for one that was not executed.
#[derive(Default)]
pub(super) struct StepMemory {
    pub(super) log: Option<LogWriter>,
    pub(super) task: Option<tokio::task::Id>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) usage: Usage,
    pub(super) effects: StepEffects,
    pub(super) outputs: Map<String, Json>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) summary: String,
}

impl StepMemory {
    /// The record of the step. Takes what it holds: a step ends once.
    pub(super) fn record(
        &mut self,
        status: Status,
        reason: Option<String>,
        failure: Option<Failure>,
        try_number: u32,
        limits: Limits,
        ended_at: Timestamp,
    ) -> StepRecord {
        let memory = std::mem::take(self);
        StepRecord {
            status,
            reason,
            failure,
            try_number,
            started_at: memory.started_at.unwrap_or(ended_at),
            ended_at,
            usage: memory.usage,
            effects: memory.effects,
            limits,
            outputs: memory.outputs,
            annotations: memory.annotations,
            summary: memory.summary,
        }
    }
}

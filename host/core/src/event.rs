//! Everything that can happen to a run, as told to the world. Written to the outbox in the transaction of its cause.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{
    effects::StepEffects,
    id::{AgentId, JobIndex, RunId, StepIndex},
    limit::{Limits, Usage},
    outcome::{Failure, Status},
    time::Timestamp,
};

/// One event with the time at which it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The run that it belongs to.
    pub run: RunId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum EventKind {
    /// A run was created.
    #[serde(rename = "run.queued")]
    RunQueued {
        /// The name of the pipeline.
        pipeline: String,
        /// The number of the run within its pipeline.
        number: u64,
    },
    /// The first job of the run was taken by an agent.
    #[serde(rename = "run.started")]
    RunStarted,
    /// The run has ended.
    #[serde(rename = "run.completed")]
    RunCompleted {
        /// How.
        status: Status,
        /// Why, if it did not succeed.
        reason: Option<String>,
        /// How long it took in milliseconds, from its start on.
        duration_ms: u64,
    },
    /// Somebody asked to cancel the run; it ends with `run.completed`.
    #[serde(rename = "run.cancelled")]
    RunCancelled {
        /// Who or what.
        reason: String,
    },
    /// The first job of a stage was taken by an agent.
    #[serde(rename = "stage.started")]
    StageStarted {
        /// The name of the stage.
        stage: String,
    },
    /// A stage has ended.
    #[serde(rename = "stage.completed")]
    StageCompleted {
        /// The name of the stage.
        stage: String,
        /// How.
        status: Status,
        /// Why, if it did not succeed.
        reason: Option<String>,
        /// How long it took in milliseconds, from its start on.
        duration_ms: u64,
    },
    /// A job waits for an agent.
    #[serde(rename = "job.queued")]
    JobQueued {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
    },
    /// An agent took a job.
    #[serde(rename = "job.started")]
    JobStarted {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The agent.
        agent: AgentId,
    },
    /// An attempt of a job has ended, or a job was stopped before its first one.
    #[serde(rename = "job.completed")]
    JobCompleted {
        /// The job.
        job: JobIndex,
        /// The attempt; 0 if there was none.
        attempt: u32,
        /// How.
        status: Status,
        /// Why, if it did not succeed.
        reason: Option<String>,
    },
    /// A step began.
    #[serde(rename = "step.started")]
    StepStarted {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The step.
        step: StepIndex,
        /// Which try of the step within the attempt, counted from 1.
        try_number: u32,
    },
    /// Lines were added to the log of a step.
    #[serde(rename = "step.output")]
    StepOutput {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The step.
        step: StepIndex,
        /// The first of the lines, counted from 1.
        first_line: u64,
        /// How many lines.
        line_count: u32,
    },
    /// A step has ended.
    #[serde(rename = "step.completed")]
    StepCompleted {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The step.
        step: StepIndex,
        /// What is known of it.
        record: Box<StepRecord>,
    },
}

/// What is known of a step that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// How it ended.
    pub status: Status,
    /// Why it was skipped or cancelled.
    pub reason: Option<String>,
    /// The failure of the last try, if it failed; present with [`Status::Warning`] too.
    pub failure: Option<Failure>,
    /// Which try it was, counted from 1; 0 if it was not executed.
    pub try_number: u32,
    /// When it began; the same as `ended_at` if it was not executed.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it used in its last try.
    pub usage: Usage,
    /// What it was allowed.
    pub limits: Limits,
    /// What it did through its capabilities in its last try.
    #[serde(default, skip_serializing_if = "StepEffects::is_empty")]
    pub effects: StepEffects,
    /// Its typed outputs, names in snake_case.
    pub outputs: Map<String, Json>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
    /// Its summary in markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
}

/// A remark of a step on a place in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// The file, relative to the workspace.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<u32>,
    /// How serious it is.
    pub severity: Severity,
    /// What there is to say.
    pub message: String,
}

/// How serious an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information.
    Notice,
    /// Should be looked at.
    Warning,
    /// Is wrong.
    Error,
}

impl Event {
    /// The subject that the event is published under, such as `run.<id>.stage.<name>.started`.
    pub fn subject(&self) -> String {
        let run = self.run;
        match &self.kind {
            EventKind::RunQueued { .. } => format!("run.{run}.queued"),
            EventKind::RunStarted => format!("run.{run}.started"),
            EventKind::RunCompleted { .. } => format!("run.{run}.completed"),
            EventKind::RunCancelled { .. } => format!("run.{run}.cancelled"),
            EventKind::StageStarted { stage } => format!("run.{run}.stage.{stage}.started"),
            EventKind::StageCompleted { stage, .. } => format!("run.{run}.stage.{stage}.completed"),
            EventKind::JobQueued { job, .. } => format!("run.{run}.job.{job}.queued"),
            EventKind::JobStarted { job, .. } => format!("run.{run}.job.{job}.started"),
            EventKind::JobCompleted { job, .. } => format!("run.{run}.job.{job}.completed"),
            EventKind::StepStarted { job, step, .. } => format!("run.{run}.step.{job}-{step}.started"),
            EventKind::StepOutput { job, step, .. } => format!("run.{run}.step.{job}-{step}.output"),
            EventKind::StepCompleted { job, step, .. } => format!("run.{run}.step.{job}-{step}.completed"),
        }
    }
}

//! Logs of runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{JobIndex, StepIndex},
    protocol::LogStream,
    time::Timestamp,
};

/// Which lines are wanted. Without a job those of all jobs of the run, without an attempt those of all its attempts, without a
/// step those of all its steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogQuery {
    /// How many lines, 1 to 10,000; 1,000 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only the jobs of this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Only this job, by its position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u32>,
    /// Only this attempt, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt: Option<u32>,
    /// Only this step, by its position or its `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Only lines that contain this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub search: Option<String>,
}

impl LogQuery {
    /// Of which logs.
    pub fn selection(&self) -> LogSelection {
        LogSelection { stage: self.stage.clone(), job: self.job, attempt: self.attempt, step: self.step.clone() }
    }
}

/// Which logs of a run are wanted: as in [`LogQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogSelection {
    /// Only the jobs of this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Only this job, by its position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u32>,
    /// Only this attempt, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt: Option<u32>,
    /// Only this step, by its position or its `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// Which logs of a run are followed: as in [`LogQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogStreamQuery {
    /// The position behind which the stream begins: the id of one of its events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only the jobs of this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Only this job, by its position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u32>,
    /// Only this attempt, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt: Option<u32>,
    /// Only this step, by its position or its `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

impl LogStreamQuery {
    /// Of which logs.
    pub fn selection(&self) -> LogSelection {
        LogSelection { stage: self.stage.clone(), job: self.job, attempt: self.attempt, step: self.step.clone() }
    }
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// The name of the stage.
    pub stage: String,
    /// The job.
    pub job: JobIndex,
    /// The attempt.
    pub attempt: u32,
    /// The step.
    pub step: StepIndex,
    /// The number of the line in the log of its step, counted from 1.
    pub line: u64,
    /// When it arrived.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: LogStream,
    /// The line without its line break. Bytes that are no UTF-8 are shown as U+FFFD.
    pub text: String,
}

/// Neighbouring lines of one step: the data of the event `lines` of a stream of logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLines {
    /// The name of the stage.
    pub stage: String,
    /// The job.
    pub job: JobIndex,
    /// The attempt.
    pub attempt: u32,
    /// The step.
    pub step: StepIndex,
    /// The name of the step.
    pub name: String,
    /// The number of the first line, counted from 1.
    pub first_line: u64,
    /// The lines.
    pub lines: Vec<LogText>,
}

/// One of neighbouring lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogText {
    /// When it arrived.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: LogStream,
    /// The line without its line break. Bytes that are no UTF-8 are shown as U+FFFD.
    pub text: String,
}

/// There will be no more lines: the data of the event `end`, which is the last one of a stream of logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEnd {
    /// How the run or the step ended.
    pub status: crate::outcome::Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
}

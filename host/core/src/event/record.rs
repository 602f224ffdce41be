//! What is known of a step that has ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{
    effects::StepEffects,
    limit::{Limits, Usage},
    outcome::{Failure, Status},
    time::Timestamp,
};

/// What is known of a step that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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

impl StepRecord {
    /// What there is to tell of a step of which only the end is known: one try, and no usage, limits, effects or outputs.
    pub fn of_end(status: Status, started_at: Timestamp, ended_at: Timestamp) -> StepRecord {
        StepRecord {
            status,
            reason: None,
            failure: None,
            try_number: 1,
            started_at,
            ended_at,
            usage: Usage::default(),
            limits: Limits::default(),
            effects: StepEffects::default(),
            outputs: Map::new(),
            annotations: Vec::new(),
            summary: String::new(),
        }
    }
}

/// A remark of a step on a place in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information.
    Notice,
    /// Should be looked at.
    Warning,
    /// Is wrong.
    Error,
}

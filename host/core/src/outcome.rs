//! The states of runs, stages, jobs and steps, and why something ended as it did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limit::LimitKind;

/// The state of a run, stage, job, attempt or step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for what it depends on.
    Pending,
    /// Waits for people.
    WaitingApproval,
    /// Waits for an agent.
    Queued,
    /// Is being executed.
    Running,
    /// Ended well.
    Success,
    /// Something failed that was allowed to fail.
    Warning,
    /// Ended badly.
    Failure,
    /// Was stopped by a person, by `fail_fast` or by a newer run.
    Cancelled,
    /// Took longer than it may.
    Timeout,
    /// Was not executed, because its condition was false or what it needs did not succeed.
    Skipped,
}

impl Status {
    /// Will it not change any more?
    pub fn is_final(self) -> bool {
        !matches!(self, Status::Pending | Status::WaitingApproval | Status::Queued | Status::Running)
    }

    /// Does what depends on it go on? A skipped dependency lets it go on.
    pub fn lets_dependents_run(self) -> bool {
        matches!(self, Status::Success | Status::Warning | Status::Skipped)
    }

    /// Did it end badly: failure or timeout?
    pub fn is_failure(self) -> bool {
        matches!(self, Status::Failure | Status::Timeout)
    }

    /// The word in YAML, JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::WaitingApproval => "waiting_approval",
            Status::Queued => "queued",
            Status::Running => "running",
            Status::Success => "success",
            Status::Warning => "warning",
            Status::Failure => "failure",
            Status::Cancelled => "cancelled",
            Status::Timeout => "timeout",
            Status::Skipped => "skipped",
        }
    }

    /// The inverse of [`Status::as_str`].
    pub fn from_name(text: &str) -> Option<Status> {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
    }
}

/// Why a step failed. The host words all but [`FailureCause::Plugin`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FailureCause {
    /// A command ended with this exit code.
    ExitCode {
        /// The code.
        code: i32,
    },
    /// The plugin returned a failure in its own words.
    Plugin,
    /// The inputs cannot be used.
    InvalidInput,
    /// The plugin called `exit` instead of returning.
    Exit {
        /// The code.
        code: i32,
    },
    /// The plugin trapped: a panic, an abort, an out-of-bounds access.
    Trap,
    /// A limit was reached.
    Limit {
        /// Which one.
        limit: LimitKind,
        /// How much was used, in the unit of the limit.
        used: u64,
        /// How much was allowed.
        allowed: u64,
    },
    /// The component could not be loaded, linked or instantiated.
    Load,
    /// The environment (container, shell, …) could not be prepared or used.
    Environment,
    /// An expression could not be evaluated.
    Expression,
    /// The agent that ran it was lost.
    AgentLost,
}

/// A failure: its cause, a sentence for people, and what the plugin printed last to its standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What kind of failure.
    pub cause: FailureCause,
    /// What happened, without a heading and without a final line break.
    pub message: String,
    /// What to type or change; none if there is nothing sure to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The end of what the plugin itself printed to its standard error; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr_tail: String,
}

impl Failure {
    /// A failure without hint and tail.
    pub fn new(cause: FailureCause, message: impl Into<String>) -> Self {
        Failure { cause, message: message.into(), hint: None, stderr_tail: String::new() }
    }

    /// The same failure with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

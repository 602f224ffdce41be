//! The five messages between an agent and the orchestrator. The orchestrator never calls an agent: agents ask.
//!
//! The messages are data, so that they can travel in process, over HTTPS or over NATS; [`OrchestratorLink`] is the carrier
//! as an agent sees it.

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{
    event::StepRecord,
    id::{AgentId, AttemptId, RunId, StepIndex},
    outcome::{Failure, Status},
    plan::{JobContext, PlannedJob},
    secret::LeasedSecrets,
    time::Timestamp,
};

mod agent;

pub use agent::{AgentCapability, SystemMetrics, UnknownCapability};

/// `register`: an agent says who it is. Sent once at its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Register {
    /// The id that the agent chose for itself.
    pub agent: AgentId,
    /// A name for people, such as the host name.
    pub name: String,
    /// Labels that jobs ask for with `runs_on`.
    pub labels: Vec<String>,
    /// How many jobs it runs at the same time.
    pub slots: u32,
    /// What its machine can do, as it found out by itself.
    #[serde(default)]
    pub capabilities: Vec<AgentCapability>,
    /// The version of its program.
    #[serde(default)]
    pub version: String,
}

/// A job for an agent: the answer to `lease`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The attempt. Everything that the agent reports carries it.
    pub attempt: AttemptId,
    /// The number of the run within its pipeline.
    pub run_number: u64,
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the stage.
    pub stage: String,
    /// The job.
    pub job: PlannedJob,
    /// What expressions can see of the run.
    pub context: JobContext,
    /// What expressions can see as `stages.<name>`: `status`, and `outputs.<step id>` of the stages that have ended.
    pub stages: Map<String, Json>,
    /// The values of the secrets that its steps and services may spend: see [`PlannedJob::secret_names`].
    #[serde(default, skip_serializing_if = "LeasedSecrets::is_empty")]
    pub secrets: LeasedSecrets,
    /// Runs whose artifacts the job may download where its own run has none of the name: those that the run retries, newest
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts_of: Vec<RunId>,
}

/// `report`: what happened since the last one. Idempotent by `number`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Who reports.
    pub agent: AgentId,
    /// For which attempt.
    pub attempt: AttemptId,
    /// The number of the report within the attempt, counted from 1, without gaps.
    pub number: u64,
    /// Changes of steps, in order.
    pub changes: Vec<StepChange>,
    /// Log lines, in order for each step.
    pub logs: Vec<LogChunk>,
}

/// One change of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepChange {
    /// The step.
    pub step: StepIndex,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: StepChangeKind,
}

/// What changed of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepChangeKind {
    /// A try of the step began.
    Started {
        /// Which try, counted from 1.
        try_number: u32,
    },
    /// The step has ended, or will not be executed.
    Completed(Box<StepRecord>),
    /// The step, which runs, has uploaded an artifact.
    ArtifactUploaded {
        /// The name of the artifact, unique within the run.
        name: String,
        /// How many files and links.
        files: u64,
        /// The size of the files in bytes.
        bytes: u64,
        /// When it expires.
        expires_at: Timestamp,
    },
}

/// Neighbouring lines of the log of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogChunk {
    /// The step.
    pub step: StepIndex,
    /// The number of the first line, counted from 1 for each step and attempt.
    pub first_line: u64,
    /// How many lines.
    pub line_count: u32,
    /// Bytes of the lines before compression.
    pub raw_bytes: u32,
    /// Where time or stream change within the chunk; the first mark is at line 0.
    pub marks: Vec<LogMark>,
    /// The lines, each with its line break, as one zstd frame. Not necessarily UTF-8. In JSON it is base64.
    #[serde(with = "base64_body")]
    #[schemars(with = "String", extend("contentEncoding" = "base64"))]
    pub body: Bytes,
}

impl LogChunk {
    /// The most bytes that the lines of one chunk have before compression; the server takes no larger one.
    pub const BYTES_MAX: u32 = 16 << 20;
}

/// From this line of a chunk on, lines arrived at this time on this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogMark {
    /// The line within the chunk, counted from 0.
    pub line: u32,
    /// When it arrived.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: LogStream,
}

/// The bytes of a chunk as base64. Numbers, as older versions wrote them, are read, too.
mod base64_body {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Numbers(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(body))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => BASE64_STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom),
            Written::Numbers(numbers) => Ok(Bytes::from(numbers)),
        }
    }
}

/// Where a log line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// The standard output of a command or of the plugin; the standard error too, where a command writes both into one
    /// pipe to keep their order.
    Stdout,
    /// The standard error of a command or of the plugin.
    Stderr,
    /// The host itself, or the plugin through `log`.
    Host,
}

/// `heartbeat`: the agent lives. Held open by the orchestrator until there is something to say, 10 s at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// Who lives.
    pub agent: AgentId,
    /// What it works on.
    pub attempts: Vec<AttemptId>,
    /// How its machine fares; none if it cannot say.
    #[serde(default)]
    pub metrics: Option<SystemMetrics>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatAnswer {
    /// Attempts that the agent shall stop.
    pub cancel: Vec<Cancellation>,
    /// The agent drains: it gets no jobs until this is false again.
    pub drain: bool,
}

/// Why an attempt is to be stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cancellation {
    /// The attempt.
    pub attempt: AttemptId,
    /// [`Status::Cancelled`] or [`Status::Timeout`]: what its running steps become.
    pub status: Status,
    /// For people: `cancelled by Ctrl-C`, `the run took longer than 60 min`.
    pub reason: String,
    /// Its processes are to be killed at once, and nothing more of it may run, not even `always()`. Such a word may follow
    /// one without this.
    #[serde(default)]
    pub at_once: bool,
}

/// `complete`: an attempt has ended; all its reports came before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Complete {
    /// Who ran it.
    pub agent: AgentId,
    /// Which attempt.
    pub attempt: AttemptId,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: JobOutcome,
}

/// How an attempt of a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobOutcome {
    /// The state of the job.
    pub status: Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
    /// The failure of the step that decided it, or of the environment.
    pub failure: Option<Failure>,
    /// Outputs of its steps by step id: what other stages see as `stages.<name>.outputs`.
    pub outputs: Map<String, Json>,
}

/// What a report or a completion was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledgement {
    /// It is stored.
    Stored,
    /// It had been stored before.
    Duplicate,
    /// The attempt is not the agent's any more: stop the job and clean up.
    Stale,
}

/// Why a message did not get through. The agent tries again unless the orchestrator is gone for good.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The orchestrator has shut down.
    #[error("the orchestrator has shut down")]
    Closed,
    /// The agent is not wanted any more: its credential was revoked, or it was removed. It ends.
    #[error("the orchestrator refuses this agent: {reason}")]
    Refused {
        /// Why, for people.
        reason: String,
    },
    /// This message can never be taken as it is: a report is missing before it, say. To send it again would not help.
    #[error("the orchestrator cannot take the message: {reason}")]
    Rejected {
        /// Why, for people.
        reason: String,
    },
    /// The message could not be handled now.
    #[error("the orchestrator could not store the message")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The carrier of the five messages, as an agent sees it.
#[async_trait]
pub trait OrchestratorLink: Send + Sync {
    /// Makes the agent known.
    async fn register(&self, message: Register) -> Result<(), LinkError>;
    /// Waits for a job, 30 s at most.
    async fn lease(&self, agent: AgentId) -> Result<Option<Box<Lease>>, LinkError>;
    /// Stores what happened.
    async fn report(&self, message: Report) -> Result<Acknowledgement, LinkError>;
    /// Tells that the agent lives; waits for something to say, 10 s at most.
    async fn heartbeat(&self, message: Heartbeat) -> Result<HeartbeatAnswer, LinkError>;
    /// Ends an attempt.
    async fn complete(&self, message: Complete) -> Result<Acknowledgement, LinkError>;
}

#[cfg(test)]
mod tests;

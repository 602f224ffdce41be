//! Everything that can happen, as told to the world. Written to the outbox in the transaction of its cause.
//!
//! [`subject`](Event::subject) is what an event is published under. [`crate::asyncapi`] makes the document of all events
//! from these types.

mod record;
mod subject;

pub use record::{Annotation, Severity, StepRecord};
pub use subject::{SUBJECTS, Subject, subject_token};

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    approval::{ApprovalStatus, Approver},
    id::{AgentId, ApprovalId, AttemptId, DeliveryId, JobIndex, PipelineId, ProjectId, RunId, StepIndex},
    outcome::Status,
    plugin::Capability,
    protocol::{AgentCapability, SystemMetrics},
    time::Timestamp,
};

/// One event with the time at which it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The run that it belongs to, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The project that it belongs to, if it belongs to one: who may view the project may receive it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// An event as it travels: with its number in the outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NumberedEvent {
    /// The number. Grows from event to event; gaps mean nothing.
    pub seq: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Arc<Event>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The run waits before it may begin, for instance for others of its concurrency group.
    #[serde(rename = "run.waiting")]
    RunWaiting {
        /// For what.
        reason: String,
    },
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
    /// A stage asks people whether it may begin.
    #[serde(rename = "approval.requested")]
    ApprovalRequested {
        /// The approval.
        approval: ApprovalId,
        /// The name of the stage.
        stage: String,
        /// Who may answer.
        approvers: Vec<Approver>,
        /// How many of them must agree.
        minimum: u32,
        /// Until when.
        expires_at: Timestamp,
    },
    /// An approval has ended: by people, by its deadline, or because its run ended.
    #[serde(rename = "approval.completed")]
    ApprovalCompleted {
        /// The approval.
        approval: ApprovalId,
        /// The name of the stage.
        stage: String,
        /// How.
        status: ApprovalStatus,
        /// Who said what, for people.
        reason: Option<String>,
    },
    /// A pipeline was stored.
    #[serde(rename = "pipeline.created")]
    PipelineCreated {
        /// The pipeline.
        pipeline: PipelineId,
        /// Its name.
        name: String,
        /// Its version.
        version: u64,
    },
    /// A pipeline has a new version, or a new description.
    #[serde(rename = "pipeline.updated")]
    PipelineUpdated {
        /// The pipeline.
        pipeline: PipelineId,
        /// Its name.
        name: String,
        /// Its latest version.
        version: u64,
    },
    /// A pipeline was removed. Its runs stay.
    #[serde(rename = "pipeline.deleted")]
    PipelineDeleted {
        /// The pipeline.
        pipeline: PipelineId,
        /// Its name.
        name: String,
    },
    /// An agent came.
    #[serde(rename = "agent.registered")]
    AgentRegistered {
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: String,
        /// Labels that jobs ask for with `runs_on`.
        labels: Vec<String>,
        /// What its machine can do.
        capabilities: Vec<AgentCapability>,
        /// How many jobs it runs at the same time.
        slots: u32,
        /// The version of its program.
        version: String,
    },
    /// An agent lives.
    #[serde(rename = "agent.heartbeat")]
    AgentHeartbeat {
        /// The agent.
        agent: AgentId,
        /// What it does.
        status: AgentStatus,
        /// What it works on.
        attempts: Vec<AttemptId>,
        /// How its machine fares; none if it does not say.
        metrics: Option<SystemMetrics>,
    },
    /// An agent is gone: it was not heard of for too long, has ended, or was removed.
    #[serde(rename = "agent.disconnected")]
    AgentDisconnected {
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// GitHub told of something.
    #[serde(rename = "webhook.github")]
    WebhookGithub(WebhookReceived),
    /// GitLab told of something.
    #[serde(rename = "webhook.gitlab")]
    WebhookGitlab(WebhookReceived),
    /// Gitea or Forgejo told of something.
    #[serde(rename = "webhook.gitea")]
    WebhookGitea(WebhookReceived),
    /// A step has uploaded an artifact.
    #[serde(rename = "artifact.uploaded")]
    ArtifactUploaded {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The step.
        step: StepIndex,
        /// The name of the artifact, unique within the run.
        name: String,
        /// How many files and links.
        files: u64,
        /// The size of the files in bytes.
        bytes: u64,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// A plugin was loaded by an agent for the first time, or again after it was unloaded.
    #[serde(rename = "plugin.loaded")]
    PluginLoaded {
        /// `sha256:` and the digest of the component.
        digest: String,
        /// As it stands behind `uses:`.
        reference: String,
        /// What it asks for.
        capabilities: Vec<Capability>,
        /// By which agent.
        agent: Option<AgentId>,
    },
    /// A plugin is not held ready any more.
    #[serde(rename = "plugin.unloaded")]
    PluginUnloaded {
        /// `sha256:` and the digest of the component.
        digest: String,
        /// As it stands behind `uses:`.
        reference: String,
        /// By which agent.
        agent: Option<AgentId>,
        /// Why.
        reason: String,
    },
}

/// A webhook that a forge sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookReceived {
    /// The delivery, under which headers and body are kept.
    pub delivery: DeliveryId,
    /// What the forge calls it, such as `push` or `pull_request`.
    pub event: String,
    /// The repository that it tells of, as the forge names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

/// What an agent does, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// Waits for jobs.
    Idle,
    /// Runs jobs.
    Busy,
    /// Ends its jobs and takes no more.
    Draining,
    /// Was not heard of for too long.
    Offline,
}

impl Event {
    /// An event of a run.
    pub fn of_run(run: RunId, project: Option<ProjectId>, at: Timestamp, kind: EventKind) -> Event {
        Event { run: Some(run), project, at, kind }
    }

    /// An event of a project that belongs to no run.
    pub fn of_project(project: ProjectId, at: Timestamp, kind: EventKind) -> Event {
        Event { run: None, project: Some(project), at, kind }
    }

    /// An event that belongs to no project, such as that of an agent.
    pub fn of_server(at: Timestamp, kind: EventKind) -> Event {
        Event { run: None, project: None, at, kind }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::one_of_each;

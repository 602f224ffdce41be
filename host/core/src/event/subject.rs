//! The subjects of events: dotted names that subscribers match with patterns.

use super::{Event, EventKind};

/// A kind of event with the form of its subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The `type` of the event.
    pub kind: &'static str,
    /// The subject; what stands in braces differs from event to event.
    pub pattern: &'static str,
}

const fn subject(kind: &'static str, pattern: &'static str) -> Subject {
    Subject { kind, pattern }
}

/// All kinds of events.
pub const SUBJECTS: [Subject; 27] = [
    subject("pipeline.created", "pipeline.created"),
    subject("pipeline.updated", "pipeline.updated"),
    subject("pipeline.deleted", "pipeline.deleted"),
    subject("run.queued", "run.{run}.queued"),
    subject("run.waiting", "run.{run}.waiting"),
    subject("run.started", "run.{run}.started"),
    subject("run.completed", "run.{run}.completed"),
    subject("run.cancelled", "run.{run}.cancelled"),
    subject("approval.requested", "run.{run}.approval.{approval}.requested"),
    subject("approval.completed", "run.{run}.approval.{approval}.completed"),
    subject("stage.started", "run.{run}.stage.{stage}.started"),
    subject("stage.completed", "run.{run}.stage.{stage}.completed"),
    subject("job.queued", "run.{run}.job.{job}.queued"),
    subject("job.started", "run.{run}.job.{job}.started"),
    subject("job.completed", "run.{run}.job.{job}.completed"),
    subject("step.started", "run.{run}.step.{step}.started"),
    subject("step.output", "run.{run}.step.{step}.output"),
    subject("step.completed", "run.{run}.step.{step}.completed"),
    subject("artifact.uploaded", "artifact.{artifact}.uploaded"),
    subject("agent.registered", "agent.registered"),
    subject("agent.heartbeat", "agent.{agent}.heartbeat"),
    subject("agent.disconnected", "agent.disconnected"),
    subject("webhook.github", "webhook.github"),
    subject("webhook.gitlab", "webhook.gitlab"),
    subject("webhook.gitea", "webhook.gitea"),
    subject("plugin.loaded", "plugin.loaded"),
    subject("plugin.unloaded", "plugin.unloaded"),
];

impl Event {
    /// The subject that the event is published under, such as `run.<id>.stage.<name>.started`.
    pub fn subject(&self) -> String {
        match &self.kind {
            EventKind::PipelineCreated { .. } => "pipeline.created".to_owned(),
            EventKind::PipelineUpdated { .. } => "pipeline.updated".to_owned(),
            EventKind::PipelineDeleted { .. } => "pipeline.deleted".to_owned(),
            EventKind::RunQueued { .. } => self.of_this_run("queued"),
            EventKind::RunWaiting { .. } => self.of_this_run("waiting"),
            EventKind::RunStarted => self.of_this_run("started"),
            EventKind::RunCompleted { .. } => self.of_this_run("completed"),
            EventKind::RunCancelled { .. } => self.of_this_run("cancelled"),
            EventKind::ApprovalRequested { approval, .. } => {
                self.of_this_run(&format!("approval.{approval}.requested"))
            }
            EventKind::ApprovalCompleted { approval, .. } => {
                self.of_this_run(&format!("approval.{approval}.completed"))
            }
            EventKind::StageStarted { stage } => self.of_this_run(&format!("stage.{stage}.started")),
            EventKind::StageCompleted { stage, .. } => self.of_this_run(&format!("stage.{stage}.completed")),
            EventKind::JobQueued { job, .. } => self.of_this_run(&format!("job.{job}.queued")),
            EventKind::JobStarted { job, .. } => self.of_this_run(&format!("job.{job}.started")),
            EventKind::JobCompleted { job, .. } => self.of_this_run(&format!("job.{job}.completed")),
            EventKind::StepStarted { job, step, .. } => self.of_this_run(&format!("step.{job}-{step}.started")),
            EventKind::StepOutput { job, step, .. } => self.of_this_run(&format!("step.{job}-{step}.output")),
            EventKind::StepCompleted { job, step, .. } => self.of_this_run(&format!("step.{job}-{step}.completed")),
            EventKind::ArtifactUploaded { name, .. } => format!("artifact.{}.uploaded", subject_token(name)),
            EventKind::AgentRegistered { .. } => "agent.registered".to_owned(),
            EventKind::AgentHeartbeat { agent, .. } => format!("agent.{agent}.heartbeat"),
            EventKind::AgentDisconnected { .. } => "agent.disconnected".to_owned(),
            EventKind::WebhookGithub(_) => "webhook.github".to_owned(),
            EventKind::WebhookGitlab(_) => "webhook.gitlab".to_owned(),
            EventKind::WebhookGitea(_) => "webhook.gitea".to_owned(),
            EventKind::PluginLoaded { .. } => "plugin.loaded".to_owned(),
            EventKind::PluginUnloaded { .. } => "plugin.unloaded".to_owned(),
        }
    }

    fn of_this_run(&self, rest: &str) -> String {
        match self.run {
            Some(run) => format!("run.{run}.{rest}"),
            None => format!("run.none.{rest}"),
        }
    }
}

/// A text as one word of a subject: what a word cannot hold becomes `_`.
pub fn subject_token(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    match text.is_empty() {
        true => "_".to_owned(),
        false => text.chars().map(safe).collect(),
    }
}

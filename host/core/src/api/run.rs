//! Runs, with everything below them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{plugin::PluginRef, text::TEXT};
use crate::{
    event::{Annotation, StepRecord},
    id::{AgentId, ApprovalId, JobIndex, PipelineId, ProjectId, RunId, StepIndex, UserId},
    outcome::Status,
    time::Timestamp,
};

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The id.
    pub id: RunId,
    /// The number within its pipeline, counted from 1.
    pub number: u64,
    /// The project that it belongs to.
    pub project: Option<ProjectId>,
    /// The id of its pipeline.
    pub pipeline: Option<PipelineId>,
    /// The name of its pipeline.
    pub pipeline_name: String,
    /// The version of its pipeline.
    pub pipeline_version: Option<u64>,
    /// How it stands.
    pub status: Status,
    /// Why, if it does not go on or did not succeed.
    pub reason: Option<String>,
    /// What began it: `kind` and facts of that kind.
    pub trigger: Json,
    /// The commit that it is about.
    pub git: RunGit,
    /// Higher goes first.
    pub priority: i64,
    /// Who began it.
    pub created_by: Option<UserId>,
    /// The run that it repeats.
    pub retry_of: Option<RunId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its first job was taken by an agent.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long it took in milliseconds, from its start on.
    pub duration_ms: Option<u64>,
}

/// The commit that a run is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunGit {
    /// The full name of the branch or tag, such as `refs/heads/main`.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The commit.
    pub sha: Option<String>,
}

/// A run with its stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDetails {
    /// What is in lists, too.
    #[serde(flatten)]
    pub about: Run,
    /// Its stages, each after those that it depends on.
    pub stages: Vec<Stage>,
}

/// A stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// The name.
    pub name: String,
    /// The names of the stages that it depends on.
    pub depends_on: Vec<String>,
    /// How it stands.
    pub status: Status,
    /// Why, if it does not go on or did not succeed.
    pub reason: Option<String>,
    /// The approval that it waits for or waited for.
    pub approval: Option<ApprovalId>,
    /// When its first job was taken by an agent.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its jobs, one for each cell of its matrix.
    pub jobs: Vec<Job>,
}

/// A stage with its matrix values filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its position in the run, which events and logs name it by.
    pub job: JobIndex,
    /// The name: the stage with its matrix values.
    pub name: String,
    /// The values of the matrix.
    pub matrix: Map<String, Json>,
    /// Labels that an agent must have.
    pub runs_on: Vec<String>,
    /// How it stands.
    pub status: Status,
    /// Why, if it does not go on or did not succeed.
    pub reason: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its tries, oldest first.
    pub attempts: Vec<Attempt>,
}

/// One try of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Which one, counted from 1.
    pub attempt: u32,
    /// The agent that took it.
    pub agent: Option<AgentId>,
    /// How it stands.
    pub status: Status,
    /// Why it waits, or why it did not succeed.
    pub reason: Option<String>,
    /// When it was offered to agents.
    pub queued_at: Timestamp,
    /// When an agent took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A step of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Its position in the job.
    pub step: StepIndex,
    /// Its `id`.
    pub id: Option<String>,
    /// The name.
    pub name: String,
    /// The plugin that it calls.
    pub plugin: PluginRef,
    /// How it stands.
    pub status: Status,
    /// Why it was skipped or cancelled.
    pub reason: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What is known of it, once it has ended: failure, usage, outputs, annotations, summary.
    pub record: Option<Box<StepRecord>>,
}

/// A run that is to begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// The branch that it is about; that of the repository if neither branch, tag nor commit is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The tag that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The commit that it is about, with all its digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha: Option<String>,
    /// Values of the inputs that the pipeline declares.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map<String, Json>,
    /// Higher goes first; 0 is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: Option<i64>,
    /// Only this stage and those that it depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// The version of the pipeline; the latest if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<u64>,
}

/// Which runs are wanted; newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunQuery {
    /// How many entries, 1 to 200; 50 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only those of this project: its name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Only those of this pipeline: its id, or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Another name for `pipeline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_config_id: Option<String>,
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only those of this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Only those that were created then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only those that were created before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How a run is to be cancelled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRun {
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = TEXT))]
    pub reason: Option<String>,
    /// Kill what runs, and run no clean-up steps.
    #[serde(default)]
    pub kill: bool,
}

/// How a run is to be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRun {
    /// Keep what succeeded: only what did not is executed again.
    #[serde(default)]
    pub failed_only: bool,
}

/// What a run was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSource {
    /// The YAML text.
    pub source: String,
    /// The plugins by digest.
    pub plugins: Vec<PluginRef>,
}

/// A remark of a step, and which step made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunAnnotation {
    /// The name of the stage.
    pub stage: String,
    /// The job.
    pub job: JobIndex,
    /// The attempt.
    pub attempt: u32,
    /// The step.
    pub step: StepIndex,
    /// The remark.
    #[serde(flatten)]
    pub annotation: Annotation,
}

/// The summary of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
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
    /// Markdown.
    pub markdown: String,
}

/// What a step that reads test reports, such as `oxide/junit`, counted, and what else it tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestReport {
    /// The name of the stage.
    pub stage: String,
    /// The job.
    pub job: JobIndex,
    /// The attempt.
    pub attempt: u32,
    /// The step.
    pub step: StepIndex,
    /// How many tests there are.
    pub total: u64,
    /// How many of them passed.
    pub passed: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many of them were skipped.
    pub skipped: u64,
    /// All outputs of the step; one that failed has none.
    pub outputs: Map<String, Json>,
}

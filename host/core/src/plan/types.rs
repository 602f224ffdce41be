//! The parts of a plan. All are data: they are stored with the run and travel to agents.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{
    approval::Approver,
    grant::{Grants, Trust},
    id::{JobIndex, StageIndex},
    limit::Limits,
    outcome::Status,
    pipeline::HealthCheck,
    yaml::{Node, Span},
};

/// What a run will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The file that the pipeline was read from, as the user named it.
    pub file: String,
    /// How long the run may take in milliseconds, from its start on.
    pub timeout_ms: u64,
    /// The stages; each stands after those that it depends on.
    pub stages: Vec<PlannedStage>,
    /// The jobs of all stages.
    pub jobs: Vec<PlannedJob>,
    /// What expressions can see of the run itself.
    pub context: JobContext,
    /// Which runs it shares its turn with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<PlannedConcurrency>,
}

impl Plan {
    /// A stage by index. The index must come from this plan.
    pub fn stage(&self, index: StageIndex) -> &PlannedStage {
        &self.stages[index.index()]
    }

    /// A job by index. The index must come from this plan.
    pub fn job(&self, index: JobIndex) -> &PlannedJob {
        &self.jobs[index.index()]
    }
}

/// `concurrency:` with its group evaluated. The group holds for the runs of one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedConcurrency {
    /// The group.
    pub group: String,
    /// How many runs of the group may go on at the same time; at least 1.
    pub limit: u32,
    /// A newer run cancels the older ones that are too many, instead of waiting for them.
    pub cancel_in_progress: bool,
}

/// The values of `git`, `trigger` and `inputs` in expressions: fixed for a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobContext {
    /// `git`: `sha`, `ref`, `branch`, `tag`, `repository`, each absent if unknown.
    pub git: Map<String, Json>,
    /// `trigger`: `kind` (`manual`, `push`, …) and facts of that kind.
    pub trigger: Map<String, Json>,
    /// `inputs` of a manual run.
    pub inputs: Map<String, Json>,
    /// How far the run is trusted.
    #[serde(default, skip_serializing_if = "Trust::is_full")]
    pub trust: Trust,
    /// Whose cache the run uses: runs of one project share it. No expression sees it.
    #[serde(default)]
    pub project: String,
}

/// A node of the run's graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStage {
    /// The name: its key below `stages:`.
    pub name: String,
    /// What it waits for.
    pub depends_on: Vec<Dependency>,
    /// `if:`; without one it is `success()`.
    pub condition: Option<Condition>,
    /// One failed job cancels the other jobs of this stage.
    pub fail_fast: bool,
    /// How many of its jobs may run at the same time; none is no bound.
    pub max_parallel: Option<u32>,
    /// How long the whole stage may take in milliseconds, from the start of its first job on.
    pub timeout_ms: u64,
    /// When a job of it gets a new attempt.
    pub retry: RetryPolicy,
    /// Its failure is a warning.
    pub allow_failure: bool,
    /// Whom it asks before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<PlannedApproval>,
    /// It ended in the run that this one retries, and is not executed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptStage>,
    /// Its jobs, one for each cell of its matrix.
    pub jobs: Vec<JobIndex>,
    /// Where it was written.
    pub span: Span,
}

/// `approval:` of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedApproval {
    /// Who may answer; at least one.
    pub approvers: Vec<Approver>,
    /// How many of them must agree; at least 1.
    pub minimum: u32,
    /// How long it waits in milliseconds.
    pub timeout_ms: u64,
}

/// The result of a stage in the run that is retried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeptStage {
    /// How it ended.
    pub status: Status,
    /// Why, if it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its outputs by step id.
    #[serde(default)]
    pub outputs: Map<String, Json>,
}

/// The result of a job in the run that is retried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptJob {
    /// How it ended.
    pub status: Status,
    /// Why, if it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One entry of `depends_on`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// The stage that is waited for.
    pub stage: StageIndex,
    /// Its failure does not keep this stage from running.
    pub allow_failure: bool,
}

/// A stage with its matrix values filled in: the unit that an agent takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedJob {
    /// The stage.
    pub stage: StageIndex,
    /// The stage's name, with the matrix values in brackets: `test (rust=1.95, os=debian)`.
    pub name: String,
    /// The values of the matrix cell, in the order of the file.
    pub matrix: Map<String, Json>,
    /// Labels that an agent must have.
    pub runs_on: Vec<String>,
    /// Where its commands run.
    pub environment: EnvironmentSpec,
    /// Containers that run beside it, started before its first step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<PlannedService>,
    /// `env:` of pipeline and stage, in order; later ones win. Values may hold expressions.
    pub env: Vec<(String, Node)>,
    /// How long one attempt may take in milliseconds.
    pub timeout_ms: u64,
    /// Its steps in order; steps of one `parallel:` stand side by side with the same group.
    pub steps: Vec<PlannedStep>,
    /// It ended in the run that this one retries, and is not executed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptJob>,
}

/// Where the commands of a job run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum EnvironmentSpec {
    /// Directly on the machine of the agent.
    Host,
    /// In a container of this image.
    Container {
        /// The image.
        image: String,
        /// How many processors it may use.
        cpus: Option<f64>,
        /// How many bytes of memory it may use.
        memory_bytes: Option<u64>,
        /// How many processes it may have.
        pids: u32,
        /// May it reach the network?
        #[serde(default = "yes")]
        network: bool,
    },
    /// On the machine of the agent, with what the flake's development shell brings.
    Nix {
        /// The flake as `nix develop` takes it, such as `.#ci`; relative paths are those of the workspace.
        flake: String,
    },
    /// In a virtual machine of its own.
    Firecracker {
        /// The kernel: a file on the machine of the agent.
        kernel: String,
        /// The root file system: a file on the machine of the agent, which the job sees as a copy.
        rootfs: String,
        /// What the kernel is told beyond what it must be told; none if nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot_args: Option<String>,
        /// How many processors it has.
        vcpus: u32,
        /// How many bytes of memory it has.
        memory_bytes: u64,
    },
}

/// A container beside a job, such as a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedService {
    /// The name by which the job's commands in a container reach it.
    pub name: String,
    /// The image.
    pub image: String,
    /// Environment variables of its process; values may hold expressions.
    pub env: Vec<(String, Node)>,
    /// The secrets that those name.
    pub secrets: BTreeSet<String>,
    /// How to find out whether it is ready; without one it is ready when it runs.
    pub healthcheck: Option<HealthCheck>,
    /// How many processors it may use.
    pub cpus: Option<f64>,
    /// How many bytes of memory it may use.
    pub memory_bytes: Option<u64>,
    /// How many processes it may have.
    pub pids: u32,
}

/// One call of one plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// `id:`; other steps read its outputs by it.
    pub id: Option<String>,
    /// `name:`, or a name made from what the step does.
    pub name: String,
    /// The plugin.
    pub plugin: PluginPin,
    /// `with:` as a mapping; scalars may hold expressions.
    pub with: Node,
    /// `env:` of the step; values may hold expressions.
    pub env: Vec<(String, Node)>,
    /// `if:`; without one it is `success()`.
    pub condition: Option<Condition>,
    /// What it may use. The timeout is the smaller of its own and the stage's.
    pub limits: Limits,
    /// What it was granted.
    pub grants: Grants,
    /// When it is tried again within the same attempt of the job.
    pub retry: RetryPolicy,
    /// Its failure is a warning.
    pub allow_failure: bool,
    /// Neighbouring steps with the same group run at the same time.
    pub parallel_group: Option<u32>,
    /// Where it was written.
    pub span: Span,
}

/// A plugin, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PluginPin {
    /// As it stands behind `uses:`.
    pub reference: String,
    /// `sha256:` and the digest of the component.
    pub digest: String,
}

/// `if:` of a stage or step: one CEL expression, without `${{ }}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Condition {
    /// The expression.
    pub expression: String,
    /// Where it was written.
    pub span: Span,
}

/// When something is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RetryPolicy {
    /// How many tries there may be in all; 1 is no retry.
    pub max_attempts: u32,
    /// The causes that lead to a new try.
    pub on: Vec<RetryOn>,
}

/// A cause for which something may be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// The agent was lost. Retried by stage, as a new attempt of the job.
    AgentLost,
    /// It took longer than it may.
    Timeout,
    /// Any failure.
    Failure,
    /// A command ended with one of these codes.
    ExitCode(Vec<i32>),
}

impl RetryPolicy {
    /// No second try.
    pub fn never() -> Self {
        RetryPolicy { max_attempts: 1, on: Vec::new() }
    }

    /// What a stage has if nothing is said: three attempts in all when agents are lost, none for other failures.
    pub fn infrastructure() -> Self {
        RetryPolicy { max_attempts: 3, on: vec![RetryOn::AgentLost] }
    }
}

fn yes() -> bool {
    true
}

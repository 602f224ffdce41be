//! The plan of a run: everything decided that can be decided before anything runs.
//!
//! Matrices are expanded, `run:` is written out as the plugin that it stands for, plugins are pinned by digest, inputs are
//! checked against the types of their plugins, grants against imports, expressions against what they will see. What
//! depends on results stays an expression.
//!
//! [`build`](fn@build) walks the stages in the order of the graph; one file per question that it asks on the way.

mod build;
mod concurrency;
mod environment;
mod expressions;
mod grants;
mod graph;
mod inputs;
mod jobs;
mod matrix;
mod needs;
mod only;
mod plugins;
mod retry;
mod secrets;
mod services;
mod size;
mod step;
mod types;

#[cfg(test)]
mod tests;

pub use build::{DEFAULT_PIDS, DEFAULT_RUN_TIMEOUT_MS, RUN_PLUGIN, build};
pub use matrix::MAX_JOBS_PER_STAGE;
pub use plugins::CONTRACT_VERSION;
pub use retry::{RetryError, retry};
pub use types::{
    Condition, Dependency, EnvironmentSpec, JobContext, KeptJob, KeptStage, Plan, PlannedApproval, PlannedConcurrency,
    PlannedJob, PlannedService, PlannedStage, PlannedStep, PluginPin, RetryOn, RetryPolicy,
};

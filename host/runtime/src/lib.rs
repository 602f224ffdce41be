//! Runs plugins: components with typed inputs and outputs, bounded by limits, reaching only what they were granted.
//!
//! The only crate that knows wasmtime. The agent gives each call a [`environment::LogSink`], an
//! [`environment::Environment`] and a [`containers::ContainerEngine`] (a test of a plugin also a [`web::Responder`]); everything else a plugin can reach is below
//! `capability`.
//!
//! The way of a plugin: bytes → [`describe`] (imports, types, help; nothing is compiled) → [`Runtime::load`] (compile
//! cache, linking; what is not built in is compiled by a process of its own, see [`compile`]) → [`Runtime::call`] (a
//! fresh store, limits, `run`) → [`StepResult`].

mod cache;
// Before anything runs: what a component is, and its compiled form.
pub mod compile;
pub mod describe;
mod engine;
mod load_error;
mod loader;
mod plugin;
mod runtime;

// One call: its state, its bounds, its values, how it ends.
mod call;
mod failure;
mod limiter;
mod reach;
mod recorder;
mod state;
mod step_log;
mod stored;
mod value;

// What a component can reach.
mod capability;
pub mod containers;
pub mod environment;
mod wasi;
pub mod web;

#[cfg(test)]
mod testing;

pub use cache::CacheError;
pub use call::{StepCall, StepResult};
pub use capability::run_info::RunInfo;
pub use describe::{DescribeError, describe};
pub use load_error::LoadError;
pub use plugin::{NotGranted, Plugin};
pub use runtime::{PluginToLoad, Runtime, RuntimeConfig, RuntimeError};
pub use stored::UploadedArtifact;

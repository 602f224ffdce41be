//! The domain of Oxide CI: pipelines, plans, runs and the words that all parts of the house share.
//!
//! No I/O, no clock, no tokio, no wasmtime: time, ids and file contents come in as values, decisions go out as values.
//!
//! The way of the data: [`yaml`] text with positions → [`pipeline::Pipeline`] → [`plan::Plan`] → [`run`] (the state
//! machine of the orchestrator) and [`job`] (the state machine of the agent), which talk through [`protocol`].

pub mod access;
pub mod api;
pub mod approval;
pub mod asyncapi;
pub mod cause;
pub mod diagnostic;
pub mod effects;
pub mod event;
pub mod expression;
pub mod grant;
pub mod id;
pub mod job;
pub mod limit;
pub mod outcome;
pub mod pipeline;
pub mod plan;
pub mod plugin;
pub mod protocol;
pub mod quantity;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod time;
pub mod wit;
pub mod yaml;

//! What the routes do, topic by topic: each file lists its routes with `routes()`, and [`crate::route::table`] lists the files.

pub mod agent;
pub mod approval;
pub mod artifact;
pub mod asyncapi;
pub mod audit_log;
pub mod event;
pub mod log;
pub mod maybe_json;
pub mod membership;
pub mod pipeline;
pub mod plugin;
pub mod project;
pub mod readiness;
pub mod run;
pub mod scope;
pub mod secret;
pub mod server_info;
pub mod sign_in;
pub mod token;
pub mod user;
pub mod webhook;

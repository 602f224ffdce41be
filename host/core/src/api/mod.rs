//! What requests and answers of the REST API look like: shared by the server and its clients. One file per topic.
//!
//! Times are RFC 3339 text, ids are UUIDv7 text. Every error has the body [`error::ErrorBody`], every list is a
//! [`page::Page`].

pub mod agent;
pub mod approval;
pub mod artifact;
pub mod audit;
pub mod error;
pub mod event;
pub mod log;
pub mod metrics;
pub mod page;
pub mod pipeline;
pub mod plugin;
pub mod project;
pub mod run;
pub mod secret;
pub mod server;
pub mod sign_in;
pub mod text;
pub mod token;
pub mod user;
pub mod webhook;

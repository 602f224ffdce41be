//! The API as its users see it: the real router on a real socket, with SQLite, and with PostgreSQL where the test command
//! starts one.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, and so may what only tests call")]

mod asyncapi;
mod changes;
mod document;
mod errors;
mod limits;
mod metrics;
mod pages;
mod pipelines;
mod providers;
mod registry;
mod roles;
mod routes;
mod sign_in;
mod streams;
mod support;
mod tokens;
mod told;
mod uploads;
mod webhooks;

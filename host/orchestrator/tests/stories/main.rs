//! Stories of an orchestrator with a real store and agents that speak the five messages.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, and so may what only tests call")]

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod approvals;
mod bad_reports;
mod chance;
mod clocks;
mod fencing;
mod groups;
mod leading;
mod retries;
mod runs;
mod schedules;
mod secrets;

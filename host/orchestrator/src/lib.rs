//! Decides what runs when, and owns every state change.
//!
//! One task owns all [`oxide_core::run::RunMachine`]s. Whatever wants a change sends it a [`Call`]; it takes all that wait,
//! applies them, writes ONE transaction (rows, log lines and events together), and only then answers (`actor/`). Agents
//! are never called: they ask, through the five messages of [`oxide_core::protocol`], which [`Control`] carries. What was
//! committed is published on the bus in the order of the outbox (`tail.rs`). Of several servers on one store one leads
//! (`leader.rs`): it has the task, the others pass calls on to it.
//!
//! Decisions are plain code: the machine of a run in `core`, the queue of attempts (`queue.rs`), concurrency groups
//! (`concurrency.rs`), the times of schedules (`schedules.rs`).

mod active_run;
mod actor;
mod agents;
mod call;
mod carrier;
mod clock;
mod command;
mod concurrency;
mod conditions;
mod door;
mod error;
mod handle;
mod leader;
mod queue;
mod recover;
mod retry;
mod schedules;
mod secrets;
mod start;
mod tail;
mod turn;

pub use call::{Approval, Call, Reply, Retry, RunSummary, Vote};
pub use carrier::{Carrier, Control};
pub use clock::Clock;
pub use error::{Cause, OrchestratorError};
pub use handle::OrchestratorHandle;
pub use leader::{Candidate, Election, Forward, Leadership};
pub use oxide_store::NewRun;
pub use recover::recover;
pub use schedules::{FiredSchedule, PlanSource, PlanSourceError};
pub use secrets::{AskedSecrets, SecretSource, SecretSourceError};
pub use start::Orchestrator;
pub use tail::Tail;

/// How long an agent may be silent, in milliseconds, before its attempts are lost.
pub const AGENT_SILENCE_MS: u64 = 30_000;

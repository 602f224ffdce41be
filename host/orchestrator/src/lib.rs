//! Decides what runs when, and owns every state change.
//!
//! One task owns all [`oxide_core::run::RunMachine`]s. Whatever wants a change sends it a command; it takes all that wait,
//! applies them, writes ONE transaction (rows, log lines and events together), and only then answers (`actor.rs`). Agents
//! are never called: they ask, through the five messages of [`oxide_core::protocol`], which [`OrchestratorHandle`] carries
//! within the process. What was committed is published on the bus in the order of the outbox (`publish.rs`).

mod active_run;
mod actor;
mod agents;
mod call;
mod carrier;
mod command;
mod conditions;
mod error;
mod handle;
mod publish;
mod recover;
mod report;
mod turn;

pub use call::{Approval, Call, Reply, Retry, RunSummary, Vote};
pub use carrier::{Carrier, Control};
pub use error::{Cause, OrchestratorError};
pub use handle::OrchestratorHandle;
pub use oxide_store::NewRun;
pub use recover::recover;

use std::{path::PathBuf, sync::Arc};

use oxide_bus::Bus;
use oxide_core::{run::DecideCondition, time::Timestamp};
use oxide_store::{OwnerId, Store};
use tokio::sync::mpsc;

/// Tells the present. Tests move time by hand.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How long an agent may be silent, in milliseconds, before its attempts are lost.
pub const AGENT_SILENCE_MS: u64 = 30_000;

/// Commands that wait for the task; who sends more waits, too.
const COMMANDS: usize = 256;

/// Events from before so many milliseconds are forgotten at the start: seven days.
const EVENTS_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Starts orchestrators.
#[derive(Debug)]
pub struct Orchestrator;

impl Orchestrator {
    /// Starts an orchestrator on the present tokio runtime. It goes on with the runs of this owner that have not ended,
    /// and makes the owner known with the id of this process.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn start(
        store: Store,
        bus: Bus,
        owner: OwnerId,
        clock: Clock,
    ) -> Result<OrchestratorHandle, OrchestratorError> {
        Orchestrator::start_with(store, bus, owner, clock, conditions::decide).await
    }

    /// The same with another way to evaluate `if:` of stages.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn start_with(
        store: Store,
        bus: Bus,
        owner: OwnerId,
        clock: Clock,
        decide: DecideCondition,
    ) -> Result<OrchestratorHandle, OrchestratorError> {
        let now = clock();
        let mut transaction = store.begin().await?;
        transaction.prune_events(Timestamp(now.0.saturating_sub(EVENTS_KEPT_MS))).await?;
        transaction.put_owner(&this_process(owner, now)).await?;
        transaction.commit().await?;
        let last_seq = store.last_event().await?;
        let (written, publications) = mpsc::channel(COMMANDS);
        let publisher = tokio::spawn(publish::run(store.clone(), bus.clone(), publications, last_seq));
        let mut actor = actor::Actor::new(store.clone(), owner, clock.clone(), decide, written.clone());
        actor.load().await?;
        let (sender, commands) = mpsc::channel(COMMANDS);
        tokio::spawn(actor.run(commands, publisher, bus));
        Ok(OrchestratorHandle::new(sender, store, clock, written.downgrade()))
    }
}

fn this_process(id: OwnerId, now: Timestamp) -> oxide_store::Owner {
    // The name matters only where several machines share a store; SQLite files do not leave theirs.
    let host = std::fs::read_to_string(PathBuf::from("/proc/sys/kernel/hostname")).unwrap_or_default();
    oxide_store::Owner { id, pid: std::process::id(), host: host.trim().to_owned(), started_at: now }
}

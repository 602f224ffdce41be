//! Takes jobs and runs them: the one who acts on what [`oxide_core::job`] decides.
//!
//! [`Agent`] speaks the five messages of [`oxide_core::protocol`] to the orchestrator, over a [`link`] if that is on another
//! machine; [`job`] runs one attempt; [`environment`] is where its commands run; [`services`] the containers beside a job;
//! [`docker`] what it does with containers and images; [`log`] and [`report`] carry what happened back, by way of the
//! [`spool`] while the server is away; [`sweep`] removes what dead agents left, [`orphans`] what living ones cannot find
//! otherwise, and [`restart`] goes on where an agent was killed. Only this crate knows Docker and processes.

use std::sync::Arc;

use oxide_core::time::Timestamp;

mod agent;
mod attempts;
pub mod capabilities;
mod docker;
pub mod environment;
mod hash_files;
pub mod job;
pub mod link;
pub mod log;
mod metrics;
mod orphans;
mod processes;
pub mod report;
mod restart;
mod scope;
mod services;
mod session;
pub mod spool;
pub mod sweep;
#[cfg(test)]
mod testing;
mod workspace;

pub use agent::{Agent, AgentConfig, AgentError, Wish};
pub use orphans::adopt_orphans;
pub use restart::resume;
pub use session::{Session, SessionError};
pub use sweep::{DeadAgent, sweep};

/// Tells the time. Tests pass one that they move by hand.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock of the machine.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    })
}

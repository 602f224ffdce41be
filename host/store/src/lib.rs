//! The truth about runs, in SQLite or PostgreSQL. Nothing outside this crate writes SQL, and within it only `sql` and `open`
//! know that there are two databases.
//!
//! Writes go through [`Transaction`]: a [`WriteBatch`] of whole rows and events is written in one go, so that a state change and
//! what is told of it are stored together or not at all. An orchestrator has a [`Writer`], of which only the leader among several
//! servers has one. One file per aggregate: runs with all that lies below them, the outbox, projects, users and what they may do,
//! agents, pipelines with their versions, approvals, and what was done.
//!
//! Nothing that lets somebody in is readable here: of tokens there are hashes ([`CredentialHash`]), and the values of secrets are
//! encrypted with a key that is kept elsewhere ([`Vault`]).
//!
//! SQLite: one writer at a time; reads use connections of their own and never wait for a writer (WAL). Durability: `synchronous =
//! NORMAL`. What was committed survives the death of any process at any moment; a power cut or a crash of the operating system
//! may take the last transactions, and never leaves a damaged or half-written file. PostgreSQL: as it is set up there.

mod agent;
mod agent_token;
mod approval;
mod audit;
mod backup;
mod changes;
mod credential;
mod cursor;
mod delivery;
mod error;
mod job;
mod list;
mod log;
mod membership;
mod open;
mod outbox;
mod owner;
mod pipeline;
mod plugin_use;
mod private;
mod project;
mod retention;
mod row;
mod run;
mod run_list;
mod schedule;
mod secret;
mod session;
mod setting;
mod sign_in;
mod sql;
mod stage;
mod step;
mod token;
mod transaction;
mod user;
mod writer;

#[cfg(test)]
mod tests;

pub use agent::{AgentRow, OFFLINE_AFTER_MS};
pub use agent_token::{AgentTokenRow, Joining};
pub use approval::{ApprovalDetails, ApprovalFilter, ApprovalRow, VoteRow, Voting};
pub use audit::{AuditFilter, AuditRecord, AuditRow};
pub use changes::EventsChanged;
pub use credential::{Credential, CredentialHash, CredentialKind, NoRandomBytes};
pub use delivery::{DeliveryContent, DeliveryFilter, DeliveryRow};
pub use error::StoreError;
pub use job::{AttemptRow, JobRow};
pub use list::PageRequest;
pub use log::{BadChunk, LogLine, LogOf, LogPage, LogPlace, LogSize, StoredChunk, check_chunk};
pub use membership::MemberRow;
pub use open::{Location, LocationError};
pub use outbox::StoredEvent;
pub use owner::{Owner, OwnerId};
pub use pipeline::{NewPipeline, PipelineChange, PipelineFilter, PipelineRow, PipelineText, PipelineWrite, VersionRow};
pub use plugin_use::PluginUseRow;
pub use project::ProjectRow;
pub use retention::Retention;
pub use run::{NewRun, RunOrigin, RunRow, RunStatus};
pub use run_list::RunFilter;
pub use schedule::{DueSchedule, ScheduleRow};
pub use secret::{
    KeySource, KeyText, MASTER_KEY_VARIABLE, NewSecret, Resolved, Rotation, SecretFilter, SecretOwner, SecretRow,
    Vault, VaultError,
};
pub use session::{EXCHANGE_GRACE_MS, NewSession, Renewal, SessionRow};
pub use sign_in::SignInState;
pub use stage::StageRow;
pub use step::StepRow;
pub use token::{TOUCH_EVERY_MS, TokenRow, TokenState};
pub use transaction::{Transaction, WriteBatch};
pub use user::{IdentityRow, UserRow};
pub use writer::{LeaderInfo, Writer};

use std::{path::Path, sync::Arc};

use open::{Pools, Shared};
use sql::Connection;

/// An open store. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.shared.location
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.shared.location.path()
    }

    /// Begins to write. Waits for other writers, of other processes too (30 s at most).
    ///
    /// # Errors
    /// The store cannot be written, or another process wrote for too long.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        let begun = match &self.shared.pools {
            Pools::Sqlite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(Connection::from),
            Pools::Postgres { pool, .. } => pool.begin().await.map(Connection::from),
        };
        let connection = begun.map_err(StoreError::query("begin to write"))?;
        Ok(Transaction::new(connection, self.shared.changes.clone()))
    }

    /// Closes all connections. What was committed is stored without this, too.
    pub async fn close(&self) {
        match &self.shared.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres { pool, .. } => pool.close().await,
        }
    }

    async fn reader(&self) -> Result<Connection, StoreError> {
        let reader = match &self.shared.pools {
            Pools::Sqlite { readers, .. } => readers.acquire().await.map(Connection::from),
            Pools::Postgres { pool, .. } => pool.acquire().await.map(Connection::from),
        };
        reader.map_err(StoreError::query("open a connection for reading"))
    }
}

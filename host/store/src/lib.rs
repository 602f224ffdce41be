//! The truth about runs: SQLite through sqlx. Nothing outside this crate writes SQL.
//!
//! Writes go through [`Transaction`], one at a time: a [`WriteBatch`] of whole rows and events is written in one go, so that
//! a state change and what is told of it are stored together or not at all. Reads use connections of their own and never
//! wait for a writer (WAL). One file per aggregate: runs, stages, jobs with their attempts, steps, logs, the outbox, owners
//! and agents.
//!
//! Durability: `synchronous = NORMAL`. What was committed survives the death of any process at any moment; a power cut or a
//! crash of the operating system may take the last transactions, and never leaves a damaged or half-written file.

mod agent;
mod error;
mod job;
mod log;
mod open;
mod outbox;
mod owner;
mod private;
mod row;
mod run;
mod stage;
mod step;
mod transaction;

#[cfg(test)]
mod tests;

pub use agent::AgentRow;
pub use error::StoreError;
pub use job::{AttemptRow, JobRow};
pub use log::{LogLine, LogPage};
pub use outbox::StoredEvent;
pub use owner::{Owner, OwnerId};
pub use run::{NewRun, RunRow, RunStatus};
pub use stage::StageRow;
pub use step::StepRow;
pub use transaction::{Transaction, WriteBatch};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sqlx::{Sqlite, SqlitePool, pool::PoolConnection};

/// An open store. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    path: Arc<PathBuf>,
    /// One connection: SQLite has one writer at a time, and waiting for each other in the process is quicker than there.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to write. Waits for other writers, of other processes too (30 s at most).
    ///
    /// # Errors
    /// The file cannot be written, or another process wrote for too long.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        let inner = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::query("begin to write"))?;
        Ok(Transaction::new(inner))
    }

    /// Closes all connections. What was committed is stored without this, too.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(StoreError::query("open a connection for reading"))
    }
}

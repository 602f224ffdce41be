//! Forgetting old runs, a few at a time, so that nobody waits for it.

use oxide_core::{id::RunId, time::Timestamp};

use crate::{
    Store, StoreError, Transaction, Writer,
    row::parse,
    sql::{Value, query},
};

/// Which runs are kept. A run goes if one rule says so; the newest of each pipeline, and what has not ended, always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs that were created before this time go.
    pub created_before: Option<Timestamp>,
    /// Of each pipeline only so many of the newest runs stay.
    pub newest: Option<u32>,
}

/// How many runs one transaction deletes: with their logs these are the longest that others wait.
const RUNS_PER_TRANSACTION: usize = 20;
/// How many runs are looked for at a time.
const RUNS_PER_LOOK: u32 = 500;

impl Store {
    /// At most `limit` runs that are not to be kept, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn expired_runs(&self, retention: &Retention, limit: u32) -> Result<Vec<RunId>, StoreError> {
        if *retention == Retention::default() {
            return Ok(Vec::new());
        }
        let rows = query(
            "look for old runs",
            "SELECT id FROM (SELECT id, created_at, ended_at, \
             ROW_NUMBER() OVER (PARTITION BY COALESCE(pipeline_id, pipeline) ORDER BY number DESC) AS place FROM runs) AS ranked \
             WHERE ended_at IS NOT NULL AND place > 1 AND (created_at < $1 OR place > $2) ORDER BY created_at, id LIMIT $3",
        )
        .bind(retention.created_before.map_or(i64::MIN, |time| time.0))
        .bind(retention.newest.map_or(i64::MAX, i64::from))
        .bind(limit)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(|row| parse(row, "id")).collect()
    }
}

impl Transaction {
    /// Deletes runs that have ended, with all that belongs to them but their blobs. What was told of them stays in the outbox
    /// until it is old. Returns how many there were.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_runs(&mut self, runs: &[RunId]) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for run in runs {
            deleted += query("delete a run", "DELETE FROM runs WHERE id = $1 AND ended_at IS NOT NULL")
                .bind(Value::from(*run))
                .execute(self.connection())
                .await?;
        }
        Ok(deleted)
    }
}

impl Writer {
    /// Deletes some hundred runs that are not to be kept, a few in each transaction, and returns which. To be called until
    /// there are none. Their blobs are for the caller to delete.
    ///
    /// # Errors
    /// The store cannot be read or written, or this server leads no more. What was deleted until then is.
    pub async fn delete_expired_runs(&self, retention: &Retention) -> Result<Vec<RunId>, StoreError> {
        let expired = self.store().expired_runs(retention, RUNS_PER_LOOK).await?;
        for runs in expired.chunks(RUNS_PER_TRANSACTION) {
            let mut transaction = self.begin().await?;
            transaction.delete_runs(runs).await?;
            transaction.commit().await?;
            // Those who wait to write get their turn.
            tokio::task::yield_now().await;
        }
        Ok(expired)
    }
}

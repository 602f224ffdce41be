//! Events, numbered in the order of their transactions.

use std::sync::Arc;

use oxide_core::{event::Event, time::Timestamp};
use sqlx::SqliteConnection;

use crate::{
    Store, StoreError, Transaction,
    row::{count, json, number, to_json, write_rows},
};

/// An event with its place in the order of all events of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// The place, counted from 1. Grows with every event; numbers are not used twice.
    pub seq: u64,
    /// The event.
    pub event: Arc<Event>,
}

/// Writes events; returns the number of the first one, 0 if there is none.
pub(crate) async fn write(connection: &mut SqliteConnection, events: &[Arc<Event>]) -> Result<u64, StoreError> {
    if events.is_empty() {
        return Ok(0);
    }
    let sql = ("INSERT INTO outbox (run, at, subject, body) ", "");
    let last = write_rows(connection, "write events", sql, events, |mut row, event| {
        row.push_bind(event.run.to_string())
            .push_bind(event.at.0)
            .push_bind(event.subject())
            .push_bind(to_json(&**event));
    })
    .await?;
    // Nobody else can write during the transaction: the numbers follow one another.
    Ok(u64::try_from(last).unwrap_or(0) + 1 - events.len() as u64)
}

impl Transaction {
    /// Forgets events from before this time. What they told stays in the rows of the runs.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn prune_events(&mut self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM outbox WHERE seq < COALESCE((SELECT seq FROM outbox WHERE at >= $1 ORDER BY seq LIMIT 1), \
             (SELECT MAX(seq) FROM outbox))",
        )
        .bind(before.0)
        .execute(self.connection())
        .await
        .map_err(StoreError::query("remove old events"))?;
        Ok(())
    }
}

impl Store {
    /// At most `limit` events after this one, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events_after(&self, seq: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let rows = sqlx::query("SELECT seq, body FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(count(seq))
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(StoreError::query("read events"))?;
        rows.iter()
            .map(|row| Ok(StoredEvent { seq: number(row, "seq")?, event: Arc::new(json(row, "body")?) }))
            .collect()
    }

    /// The number of the newest event; 0 if there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn last_event(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS seq FROM outbox")
            .fetch_one(&mut *self.reader().await?)
            .await
            .map_err(StoreError::query("read events"))?;
        number(&row, "seq")
    }
}

//! Events, numbered in the order of their transactions.
//!
//! Whoever has seen a number has seen all lower ones: SQLite has one writer at a time, and on PostgreSQL a transaction takes a
//! lock before it numbers its events and keeps it until it ends. Events are therefore written last.

use std::sync::Arc;

use oxide_core::{event::Event, id::ProjectId, id::RunId, time::Timestamp};

use crate::{
    Store, StoreError, Transaction,
    row::{json, number, to_json},
    sql::{Connection, Kind, Row, query, write_rows},
};

/// An event with its place in the order of all events of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// The place, counted from 1. Grows with every event; numbers are not used twice, and some are never used.
    pub seq: u64,
    /// The event.
    pub event: Arc<Event>,
}

/// The lock of a database that orders those who write events, and what they are announced under.
pub(crate) const LOCK: i64 = 0x6f78_6964_6501;
pub(crate) const CHANNEL: &str = "oxide_events";

/// Writes events; returns the number of the first one, 0 if there is none.
pub(crate) async fn write(connection: &mut Connection, events: &[Arc<Event>]) -> Result<u64, StoreError> {
    if events.is_empty() {
        return Ok(0);
    }
    if connection.kind() == Kind::Postgres {
        // What is announced is sent with the commit.
        query("order events", "SELECT pg_advisory_xact_lock($1), pg_notify($2, '')")
            .bind(LOCK)
            .bind(CHANNEL)
            .execute(connection)
            .await?;
    }
    let sql = ("INSERT INTO outbox (run, project, at, subject, body) ", "");
    write_rows(connection, "write events", sql, events, |values, event| {
        values.bind(event.run).bind(event.project).bind(event.at).bind(event.subject()).bind(to_json(&**event))
    })
    .await?;
    // Nobody else can write during the transaction: the numbers follow one another.
    let last = query("number events", "SELECT MAX(seq) AS seq FROM outbox").fetch_one(connection).await?;
    Ok(number::<u64>(&last, "seq")? + 1 - events.len() as u64)
}

impl Transaction {
    /// Forgets events from before this time, but never the newest one. What they told stays in the rows of the runs.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn prune_events(&mut self, before: Timestamp) -> Result<(), StoreError> {
        query(
            "remove old events",
            "DELETE FROM outbox WHERE seq < COALESCE((SELECT seq FROM outbox WHERE at >= $1 ORDER BY seq LIMIT 1), \
             (SELECT MAX(seq) FROM outbox))",
        )
        .bind(before)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// At most `limit` events after this one, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events_after(&self, seq: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let rows = query("read events", "SELECT seq, body FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(seq)
            .bind(limit)
            .fetch_all(&mut self.reader().await?)
            .await?;
        rows.iter().map(read).collect()
    }

    /// At most `limit` events of a run after this one, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn run_events_after(&self, run: RunId, seq: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let text = "SELECT seq, body FROM outbox WHERE run = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let found = query("read events", text).bind(run).bind(seq).bind(limit);
        found.fetch_all(&mut self.reader().await?).await?.iter().map(read).collect()
    }

    /// At most `limit` events of a project after this one, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn project_events_after(
        &self,
        project: ProjectId,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let text = "SELECT seq, body FROM outbox WHERE project = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let found = query("read events", text).bind(project).bind(seq).bind(limit);
        found.fetch_all(&mut self.reader().await?).await?.iter().map(read).collect()
    }

    /// The number of the newest event; 0 if there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn last_event(&self) -> Result<u64, StoreError> {
        let newest = query("read events", "SELECT COALESCE(MAX(seq), 0) AS seq FROM outbox");
        number(&newest.fetch_one(&mut self.reader().await?).await?, "seq")
    }

    /// The number of the oldest event that is still kept; none if none is.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn first_event(&self) -> Result<Option<u64>, StoreError> {
        let oldest = query("read events", "SELECT seq FROM outbox ORDER BY seq LIMIT 1");
        oldest.fetch_optional(&mut self.reader().await?).await?.map(|row| number(&row, "seq")).transpose()
    }
}

fn read(row: &Row) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent { seq: number(row, "seq")?, event: Arc::new(json(row, "body")?) })
}

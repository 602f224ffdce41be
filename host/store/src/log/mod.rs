//! Logs: packed chunks of lines, as agents send them.

mod check;
mod chunk;

pub use check::{BadChunk, check_chunk};
pub use chunk::{LogOf, LogPlace, LogSize, StoredChunk};

use std::collections::BTreeMap;

use oxide_core::{
    id::{AttemptId, StepIndex},
    protocol::{LogChunk, LogStream},
    time::Timestamp,
};

use crate::{
    Store, StoreError, Transaction,
    row::{number, to_json},
    sql::{Connection, query},
};

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The number, counted from 1 for each step and attempt.
    pub number: u64,
    /// When it arrived.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: LogStream,
    /// The line without its line break. Not necessarily UTF-8.
    pub text: Vec<u8>,
}

/// Neighbouring lines, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// The number of the next line; none if there was no more when the page was read.
    pub next: Option<u64>,
}

pub(crate) async fn write(connection: &mut Connection, chunks: &[(AttemptId, LogChunk)]) -> Result<(), StoreError> {
    // One row per statement: a row is tens of kilobytes, so statements are not what takes the time.
    for (attempt, chunk) in chunks {
        query(
            "write lines of a log",
            "INSERT INTO log_chunks (run, job, attempt, step, first_line, line_count, raw_bytes, marks, body) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(attempt.run)
        .bind(attempt.job)
        .bind(attempt.number)
        .bind(chunk.step)
        .bind(chunk.first_line)
        .bind(chunk.line_count)
        .bind(chunk.raw_bytes)
        .bind(to_json(&chunk.marks))
        .bind(&*chunk.body)
        .execute(connection)
        .await?;
    }
    Ok(())
}

impl Store {
    /// At most `limit` lines of a step's log from line `from` (counted from 1) on. Unpacks one chunk at a time. In the place of
    /// the lines of a damaged chunk stands one that says so.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn log_page(
        &self,
        attempt: AttemptId,
        step: StepIndex,
        from: u64,
        limit: usize,
    ) -> Result<LogPage, StoreError> {
        let mut connection = self.reader().await?;
        let mut page = LogPage { lines: Vec::new(), next: Some(from.max(1)) };
        while let Some(next) = page.next
            && page.lines.len() < limit
        {
            match chunk_with(&mut connection, attempt, step, next).await? {
                Some(chunk) => page.next = Some(chunk::take_lines(&chunk, next, limit, &mut page.lines)),
                None => page.next = None,
            }
        }
        if let Some(next) = page.next
            && chunk_with(&mut connection, attempt, step, next).await?.is_none()
        {
            page.next = None;
        }
        Ok(page)
    }

    /// How many lines the log of a step has.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn log_line_count(&self, attempt: AttemptId, step: StepIndex) -> Result<u64, StoreError> {
        let row = query(
            "count the lines of a log",
            "SELECT COALESCE(MAX(first_line + line_count - 1), 0) AS lines FROM log_chunks \
             WHERE run = $1 AND job = $2 AND attempt = $3 AND step = $4",
        )
        .bind(attempt.run)
        .bind(attempt.job)
        .bind(attempt.number)
        .bind(step)
        .fetch_one(&mut self.reader().await?)
        .await?;
        number(&row, "lines")
    }
}

impl Transaction {
    /// The number of the line that comes next, for each step of an attempt that has lines.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next_lines(&mut self, attempt: AttemptId) -> Result<BTreeMap<StepIndex, u64>, StoreError> {
        let rows = query(
            "read how long the logs of an attempt are",
            "SELECT step, MAX(first_line + line_count) AS next FROM log_chunks \
             WHERE run = $1 AND job = $2 AND attempt = $3 GROUP BY step",
        )
        .bind(attempt.run)
        .bind(attempt.job)
        .bind(attempt.number)
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| Ok((StepIndex(number(row, "step")?), number(row, "next")?))).collect()
    }
}

/// The first chunk that has lines from this one on.
async fn chunk_with(
    connection: &mut Connection,
    attempt: AttemptId,
    step: StepIndex,
    line: u64,
) -> Result<Option<LogChunk>, StoreError> {
    // The chunk that begins at or before the line, else the first one after it. Both are found by the primary key.
    for sql in [
        "SELECT step, first_line, line_count, raw_bytes, marks, body FROM log_chunks \
         WHERE run = $1 AND job = $2 AND attempt = $3 AND step = $4 AND first_line <= $5 ORDER BY first_line DESC LIMIT 1",
        "SELECT step, first_line, line_count, raw_bytes, marks, body FROM log_chunks \
         WHERE run = $1 AND job = $2 AND attempt = $3 AND step = $4 AND first_line > $5 ORDER BY first_line LIMIT 1",
    ] {
        let row = query("read a log", sql)
            .bind(attempt.run)
            .bind(attempt.job)
            .bind(attempt.number)
            .bind(step)
            .bind(line)
            .fetch_optional(connection)
            .await?;
        if let Some(row) = row {
            let chunk = chunk::read(&row)?;
            if chunk::end(&chunk) > line {
                return Ok(Some(chunk));
            }
        }
    }
    Ok(None)
}

//! Chunks of logs as they are stored: for whole logs, and for streams that hand them on.

use oxide_core::{
    id::{AttemptId, JobIndex, RunId, StepIndex},
    protocol::{LogChunk, LogMark, LogStream},
    time::Timestamp,
};

use super::LogLine;
use crate::{
    Store, StoreError,
    list::List,
    row::{get, json, number},
    sql::{Row, query},
};

/// Which logs of a run: all of them, or those below a job, an attempt or a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOf {
    /// The run.
    pub run: RunId,
    /// This job only.
    pub job: Option<JobIndex>,
    /// These attempts only: those with this number.
    pub attempt: Option<u32>,
    /// These steps only: those at this position.
    pub step: Option<StepIndex>,
}

/// A chunk of a log, by its place. Places have the order in which a whole log is read: job, attempt, step, line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// The job.
    pub job: JobIndex,
    /// The number of the attempt.
    pub attempt: u32,
    /// The step.
    pub step: StepIndex,
    /// The number of its first line.
    pub first_line: u64,
}

/// A chunk of a log with what it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredChunk {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lines, packed.
    pub chunk: LogChunk,
}

/// How long the log of a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// The attempt.
    pub attempt: AttemptId,
    /// The step.
    pub step: StepIndex,
    /// How many lines.
    pub lines: u64,
    /// How many bytes, with the line breaks.
    pub bytes: u64,
}

impl LogOf {
    /// All logs of a run.
    pub fn run(run: RunId) -> LogOf {
        LogOf { run, job: None, attempt: None, step: None }
    }

    /// The log of one step of an attempt.
    pub fn step(attempt: AttemptId, step: StepIndex) -> LogOf {
        LogOf { run: attempt.run, job: Some(attempt.job), attempt: Some(attempt.number), step: Some(step) }
    }
}

impl StoredChunk {
    /// Where it stands.
    pub fn place(&self) -> LogPlace {
        let AttemptId { job, number: attempt, .. } = self.attempt;
        LogPlace { job, attempt, step: self.chunk.step, first_line: self.chunk.first_line }
    }

    /// Its lines; one that says so if it is damaged.
    pub fn lines(&self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        take_lines(&self.chunk, 0, usize::MAX, &mut lines);
        lines
    }

    /// The bytes of its lines, each with its line break; a line that says so if it is damaged.
    pub fn text(&self) -> Vec<u8> {
        unpack(&self.chunk).unwrap_or_else(|| format!("{}\n", damaged(&self.chunk)).into_bytes())
    }
}

impl Store {
    /// At most `limit` chunks after a place, or from the first line on, in the order of a whole log. A chunk is some tens of
    /// kilobytes. What another step has written in the meantime may stand before the place: follow a run step by step.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn log_chunks_after(
        &self,
        of: &LogOf,
        after: Option<LogPlace>,
        limit: u32,
    ) -> Result<Vec<StoredChunk>, StoreError> {
        let select = "SELECT job, attempt, step, first_line, line_count, raw_bytes, marks, body FROM log_chunks";
        let mut list = List::new("read a log", select)
            .only("run = ?", of.run)
            .maybe("job = ?", of.job)
            .maybe("attempt = ?", of.attempt)
            .maybe("step = ?", of.step);
        if let Some(place) = after {
            list = list.after_all(
                "(job, attempt, step, first_line)",
                [place.job.into(), place.attempt.into(), place.step.into(), place.first_line.into()],
            );
        }
        let rows = list.fetch_some(&mut self.reader().await?, "job, attempt, step, first_line", limit).await?;
        rows.iter().map(|row| Ok(StoredChunk { attempt: attempt(of.run, row)?, chunk: read(row)? })).collect()
    }

    /// How long the logs of a run are, in the order of a whole log.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn log_sizes(&self, run: RunId) -> Result<Vec<LogSize>, StoreError> {
        let rows = query(
            "measure the logs of a run",
            "SELECT job, attempt, step, MAX(first_line + line_count - 1) AS lines, \
             CAST(SUM(raw_bytes) AS BIGINT) AS bytes FROM log_chunks WHERE run = $1 \
             GROUP BY job, attempt, step ORDER BY job, attempt, step",
        )
        .bind(run)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter()
            .map(|row| {
                let (lines, bytes) = (number(row, "lines")?, number(row, "bytes")?);
                Ok(LogSize { attempt: attempt(run, row)?, step: StepIndex(number(row, "step")?), lines, bytes })
            })
            .collect()
    }
}

fn attempt(run: RunId, row: &Row) -> Result<AttemptId, StoreError> {
    Ok(AttemptId { run, job: JobIndex(number(row, "job")?), number: number(row, "attempt")? })
}

pub(super) fn read(row: &Row) -> Result<LogChunk, StoreError> {
    Ok(LogChunk {
        step: StepIndex(number(row, "step")?),
        first_line: number(row, "first_line")?,
        line_count: number(row, "line_count")?,
        raw_bytes: number(row, "raw_bytes")?,
        marks: json::<Vec<LogMark>>(row, "marks")?,
        body: get::<Vec<u8>>(row, "body")?.into(),
    })
}

/// The text of a chunk, if it is as long as it says. Takes no more than [`LogChunk::BYTES_MAX`].
pub(super) fn unpack(chunk: &LogChunk) -> Option<Vec<u8>> {
    let capacity = chunk.raw_bytes.min(LogChunk::BYTES_MAX) as usize;
    zstd::bulk::decompress(&chunk.body, capacity).ok()
}

/// What is said in the place of lines that cannot be read.
fn damaged(chunk: &LogChunk) -> String {
    format!("[lines {} to {} are damaged in the store]", chunk.first_line, end(chunk).saturating_sub(1))
}

/// The number of the line after the last one of a chunk.
pub(super) fn end(chunk: &LogChunk) -> u64 {
    chunk.first_line.saturating_add(chunk.line_count.into())
}

/// Adds at most `limit` lines of a chunk from line `from` on; returns the number of the line after the last one added.
pub(super) fn take_lines(chunk: &LogChunk, from: u64, limit: usize, lines: &mut Vec<LogLine>) -> u64 {
    let marked = |mark: Option<&LogMark>| mark.map_or((Timestamp(0), LogStream::Host), |mark| (mark.at, mark.stream));
    let Some(raw) = unpack(chunk) else {
        let (number, (at, _)) = (chunk.first_line.max(from), marked(chunk.marks.first()));
        lines.push(LogLine { number, at, stream: LogStream::Host, text: damaged(chunk).into() });
        return end(chunk);
    };
    let text = raw.strip_suffix(b"\n").unwrap_or(&raw);
    let mut mark = 0;
    for (position, text) in (0..chunk.line_count).zip(text.split(|byte| *byte == b'\n')) {
        let number = chunk.first_line.saturating_add(position.into());
        if lines.len() >= limit {
            return number;
        }
        while chunk.marks.get(mark + 1).is_some_and(|next| next.line <= position) {
            mark += 1;
        }
        if number >= from {
            let (at, stream) = marked(chunk.marks.get(mark));
            lines.push(LogLine { number, at, stream, text: text.to_vec() });
        }
    }
    end(chunk)
}

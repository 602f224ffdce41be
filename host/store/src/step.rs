//! Steps of attempts. A step has a row from its start on, or from when it is known that it will not be executed.

use oxide_core::{
    event::StepRecord,
    id::{AttemptId, JobIndex, RunId, StepIndex},
    outcome::Status,
    time::Timestamp,
};

use crate::{
    Store, StoreError, Transaction,
    row::{get, maybe_json, maybe_time, number, status, time, to_json},
    sql::{Connection, Row, query, write_rows},
};

/// A step of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRow {
    /// The attempt.
    pub attempt: AttemptId,
    /// The position in the job.
    pub step: StepIndex,
    /// The name.
    pub name: String,
    /// How it stands.
    pub status: Status,
    /// Why, if it did not succeed: the message of its failure, or why it was skipped.
    pub reason: Option<String>,
    /// Which try it is, counted from 1; 0 if it was not executed.
    pub try_number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What is known of it, once it has ended.
    pub record: Option<Box<StepRecord>>,
}

pub(crate) async fn write(connection: &mut Connection, steps: &[&StepRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO steps (run, job, attempt, step, name, status, reason, try_number, started_at, ended_at, record) ",
        " ON CONFLICT (run, job, attempt, step) DO UPDATE SET status = excluded.status, reason = excluded.reason, \
         try_number = excluded.try_number, started_at = excluded.started_at, ended_at = excluded.ended_at, \
         record = excluded.record",
    );
    write_rows(connection, "write steps", sql, steps, |values, step| {
        values
            .bind(step.attempt.run)
            .bind(step.attempt.job)
            .bind(step.attempt.number)
            .bind(step.step)
            .bind(&step.name)
            .bind(step.status.as_str())
            .bind(&step.reason)
            .bind(step.try_number)
            .bind(step.started_at)
            .bind(step.ended_at)
            .bind(step.record.as_deref().map(to_json))
    })
    .await?;
    Ok(())
}

fn read(run: RunId, row: &Row) -> Result<StepRow, StoreError> {
    Ok(StepRow {
        attempt: AttemptId { run, job: JobIndex(number(row, "job")?), number: number(row, "attempt")? },
        step: StepIndex(number(row, "step")?),
        name: get(row, "name")?,
        status: status(row)?,
        reason: get(row, "reason")?,
        try_number: number(row, "try_number")?,
        started_at: time(row, "started_at")?,
        ended_at: maybe_time(row, "ended_at")?,
        record: maybe_json(row, "record")?,
    })
}

impl Transaction {
    /// The steps of a run that have begun and not ended.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn running_steps(&mut self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        let rows = query(
            "read the running steps of a run",
            "SELECT job, attempt, step, name, status, reason, try_number, started_at, ended_at, record FROM steps \
             WHERE run = $1 AND ended_at IS NULL ORDER BY job, attempt, step",
        )
        .bind(run)
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| read(run, row)).collect()
    }
}

impl Store {
    /// The steps of a run, by job, attempt and position.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        let rows = query(
            "read the steps of a run",
            "SELECT job, attempt, step, name, status, reason, try_number, started_at, ended_at, record FROM steps \
             WHERE run = $1 ORDER BY job, attempt, step",
        )
        .bind(run)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(|row| read(run, row)).collect()
    }
}

//! Jobs of runs, and their attempts.

use oxide_core::{
    id::{AgentId, AttemptId, JobIndex, RunId, StageIndex},
    outcome::Status,
    run::JobState,
    time::Timestamp,
};
use sqlx::SqliteConnection;

use crate::{
    Store, StoreError, Transaction,
    row::{count, get, maybe_json, maybe_parse, maybe_time, millis, number, status, stop_to_json, time, write_rows},
};

/// A job of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// The run.
    pub run: RunId,
    /// The position in the plan.
    pub job: JobIndex,
    /// Its stage.
    pub stage: StageIndex,
    /// The name: the stage with its matrix values.
    pub name: String,
    /// How it stands.
    pub state: JobState,
}

/// One try of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Which one.
    pub id: AttemptId,
    /// The agent that took it.
    pub agent: Option<AgentId>,
    /// How it stands.
    pub status: Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
    /// When it was offered to agents.
    pub queued_at: Timestamp,
    /// When an agent took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The number of the last report that is stored; 0 if there was none.
    pub last_report: u64,
}

pub(crate) async fn write(connection: &mut SqliteConnection, jobs: &[&JobRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO jobs (run, job, stage, name, status, reason, attempt, agent, stop, started_at, ended_at) ",
        " ON CONFLICT (run, job) DO UPDATE SET status = excluded.status, reason = excluded.reason, \
         attempt = excluded.attempt, agent = excluded.agent, stop = excluded.stop, started_at = excluded.started_at, \
         ended_at = excluded.ended_at",
    );
    write_rows(connection, "write jobs", sql, jobs, |mut row, job| {
        let state = &job.state;
        row.push_bind(job.run.to_string())
            .push_bind(i64::from(job.job.0))
            .push_bind(i64::from(job.stage.0))
            .push_bind(job.name.clone())
            .push_bind(state.status.as_str())
            .push_bind(state.reason.clone())
            .push_bind(i64::from(state.attempt))
            .push_bind(state.agent.map(|agent| agent.to_string()))
            .push_bind(stop_to_json(state.stop.as_ref()))
            .push_bind(millis(state.started_at))
            .push_bind(millis(state.ended_at));
    })
    .await?;
    Ok(())
}

pub(crate) async fn write_attempts(
    connection: &mut SqliteConnection,
    attempts: &[&AttemptRow],
) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO attempts (run, job, attempt, agent, status, reason, queued_at, started_at, ended_at, last_report) ",
        " ON CONFLICT (run, job, attempt) DO UPDATE SET agent = excluded.agent, status = excluded.status, \
         reason = excluded.reason, started_at = excluded.started_at, ended_at = excluded.ended_at, \
         last_report = excluded.last_report",
    );
    write_rows(connection, "write attempts", sql, attempts, |mut row, attempt| {
        row.push_bind(attempt.id.run.to_string())
            .push_bind(i64::from(attempt.id.job.0))
            .push_bind(i64::from(attempt.id.number))
            .push_bind(attempt.agent.map(|agent| agent.to_string()))
            .push_bind(attempt.status.as_str())
            .push_bind(attempt.reason.clone())
            .push_bind(attempt.queued_at.0)
            .push_bind(millis(attempt.started_at))
            .push_bind(millis(attempt.ended_at))
            .push_bind(count(attempt.last_report));
    })
    .await?;
    Ok(())
}

pub(crate) async fn read(connection: &mut SqliteConnection, run: RunId) -> Result<Vec<JobRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT job, stage, name, status, reason, attempt, agent, stop, started_at, ended_at FROM jobs \
         WHERE run = $1 ORDER BY job",
    )
    .bind(run.to_string())
    .fetch_all(connection)
    .await
    .map_err(StoreError::query("read the jobs of a run"))?;
    rows.iter()
        .map(|row| {
            let state = JobState {
                status: status(row)?,
                reason: get(row, "reason")?,
                attempt: number(row, "attempt")?,
                agent: maybe_parse(row, "agent")?,
                started_at: maybe_time(row, "started_at")?,
                ended_at: maybe_time(row, "ended_at")?,
                stop: maybe_json(row, "stop")?,
            };
            let (job, stage) = (JobIndex(number(row, "job")?), StageIndex(number(row, "stage")?));
            Ok(JobRow { run, job, stage, name: get(row, "name")?, state })
        })
        .collect()
}

async fn read_attempts(connection: &mut SqliteConnection, run: RunId) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT job, attempt, agent, status, reason, queued_at, started_at, ended_at, last_report FROM attempts \
         WHERE run = $1 ORDER BY job, attempt",
    )
    .bind(run.to_string())
    .fetch_all(connection)
    .await
    .map_err(StoreError::query("read the attempts of a run"))?;
    rows.iter()
        .map(|row| {
            Ok(AttemptRow {
                id: AttemptId { run, job: JobIndex(number(row, "job")?), number: number(row, "attempt")? },
                agent: maybe_parse(row, "agent")?,
                status: status(row)?,
                reason: get(row, "reason")?,
                queued_at: time(row, "queued_at")?,
                started_at: maybe_time(row, "started_at")?,
                ended_at: maybe_time(row, "ended_at")?,
                last_report: number(row, "last_report")?,
            })
        })
        .collect()
}

impl Transaction {
    /// The attempts of a run, by job and number.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRow>, StoreError> {
        read_attempts(self.connection(), run).await
    }
}

impl Store {
    /// The jobs of a run, as in its plan.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn jobs(&self, run: RunId) -> Result<Vec<JobRow>, StoreError> {
        read(&mut *self.reader().await?, run).await
    }

    /// The attempts of a run, by job and number.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn attempts(&self, run: RunId) -> Result<Vec<AttemptRow>, StoreError> {
        read_attempts(&mut *self.reader().await?, run).await
    }
}

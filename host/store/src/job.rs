//! Jobs of runs, and their attempts.

use oxide_core::{
    id::{AgentId, AttemptId, JobIndex, RunId, StageIndex},
    outcome::Status,
    run::JobState,
    time::Timestamp,
};

use crate::{
    Store, StoreError, Transaction,
    row::{get, maybe_json, maybe_parse, maybe_time, number, status, stop_to_json, time},
    sql::{Connection, query, write_rows},
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

pub(crate) async fn write(connection: &mut Connection, jobs: &[&JobRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO jobs (run, job, stage, name, status, reason, attempt, agent, stop, started_at, ended_at) ",
        " ON CONFLICT (run, job) DO UPDATE SET status = excluded.status, reason = excluded.reason, \
         attempt = excluded.attempt, agent = excluded.agent, stop = excluded.stop, started_at = excluded.started_at, \
         ended_at = excluded.ended_at",
    );
    write_rows(connection, "write jobs", sql, jobs, |values, job| {
        let state = &job.state;
        values
            .bind(job.run)
            .bind(job.job)
            .bind(job.stage)
            .bind(&job.name)
            .bind(state.status.as_str())
            .bind(&state.reason)
            .bind(state.attempt)
            .bind(state.agent)
            .bind(stop_to_json(state.stop.as_ref()))
            .bind(state.started_at)
            .bind(state.ended_at)
    })
    .await?;
    Ok(())
}

pub(crate) async fn write_attempts(connection: &mut Connection, attempts: &[&AttemptRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO attempts (run, job, attempt, agent, status, reason, queued_at, started_at, ended_at, last_report) ",
        " ON CONFLICT (run, job, attempt) DO UPDATE SET agent = excluded.agent, status = excluded.status, \
         reason = excluded.reason, started_at = excluded.started_at, ended_at = excluded.ended_at, \
         last_report = excluded.last_report",
    );
    write_rows(connection, "write attempts", sql, attempts, |values, attempt| {
        values
            .bind(attempt.id.run)
            .bind(attempt.id.job)
            .bind(attempt.id.number)
            .bind(attempt.agent)
            .bind(attempt.status.as_str())
            .bind(&attempt.reason)
            .bind(attempt.queued_at)
            .bind(attempt.started_at)
            .bind(attempt.ended_at)
            .bind(attempt.last_report)
    })
    .await?;
    Ok(())
}

pub(crate) async fn read(connection: &mut Connection, run: RunId) -> Result<Vec<JobRow>, StoreError> {
    let rows = query(
        "read the jobs of a run",
        "SELECT job, stage, name, status, reason, attempt, agent, stop, started_at, ended_at FROM jobs \
         WHERE run = $1 ORDER BY job",
    )
    .bind(run)
    .fetch_all(connection)
    .await?;
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

async fn read_attempts(connection: &mut Connection, run: RunId) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = query(
        "read the attempts of a run",
        "SELECT job, attempt, agent, status, reason, queued_at, started_at, ended_at, last_report FROM attempts \
         WHERE run = $1 ORDER BY job, attempt",
    )
    .bind(run)
    .fetch_all(connection)
    .await?;
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
        read(&mut self.reader().await?, run).await
    }

    /// The attempts of a run, by job and number.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn attempts(&self, run: RunId) -> Result<Vec<AttemptRow>, StoreError> {
        read_attempts(&mut self.reader().await?, run).await
    }
}

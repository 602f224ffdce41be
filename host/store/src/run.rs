//! Runs: what they are to do, and how they stand.

use std::sync::Arc;

use oxide_core::{
    id::RunId,
    outcome::Status,
    plan::Plan,
    run::{RunState, Stop},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::{
    OwnerId, Store, StoreError, Transaction, job,
    row::{count, get, maybe_json, maybe_time, millis, number, parse, status, stop_to_json, time},
    stage,
};

/// A run that is to be executed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewRun {
    /// The id, a UUIDv7: newer runs have greater ids.
    pub id: RunId,
    /// What it will do.
    pub plan: Arc<Plan>,
    /// The text of the pipeline file.
    pub source_text: String,
    /// The directory of the project, or the repository.
    pub project_dir: String,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// The id.
    pub id: RunId,
    /// The name of the pipeline.
    pub pipeline: String,
    /// The number within its pipeline, counted from 1.
    pub number: u64,
    /// How it stands.
    pub status: Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
    /// The directory of the project, or the repository.
    pub project_dir: String,
    /// The process that owns (or owned) it.
    pub owner: OwnerId,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its first job was taken by an agent.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The part of a run's state that stands in its own row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStatus {
    /// How it stands.
    pub status: Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
    /// It is to end early.
    pub stop: Option<Stop>,
    /// When its first job was taken by an agent.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl From<&RunState> for RunStatus {
    fn from(state: &RunState) -> RunStatus {
        RunStatus {
            status: state.status,
            reason: state.reason.clone(),
            stop: state.stop.clone(),
            started_at: state.started_at,
            ended_at: state.ended_at,
        }
    }
}

impl Transaction {
    /// Stores a new run of an owner and gives it the next number of its pipeline. Its stages and jobs come with a
    /// [`crate::WriteBatch`].
    ///
    /// # Errors
    /// The store cannot be written, or there is a run with this id.
    pub async fn insert_run(&mut self, run: &NewRun, owner: OwnerId, created_at: Timestamp) -> Result<u64, StoreError> {
        let plan = serde_json::to_vec(&*run.plan).map_err(StoreError::value("plan"))?;
        let plan = zstd::bulk::compress(&plan, 1).map_err(StoreError::value("plan"))?;
        let row = sqlx::query(
            "INSERT INTO runs (id, pipeline, number, status, plan, source, project, owner, created_at) \
             SELECT $1, $2, COALESCE(MAX(number), 0) + 1, $3, $4, $5, $6, $7, $8 FROM runs WHERE pipeline = $2 \
             RETURNING number",
        )
        .bind(run.id.to_string())
        .bind(&run.plan.pipeline)
        .bind(Status::Pending.as_str())
        .bind(plan)
        .bind(&run.source_text)
        .bind(&run.project_dir)
        .bind(owner.to_string())
        .bind(created_at.0)
        .fetch_one(self.connection())
        .await
        .map_err(StoreError::query("write a new run"))?;
        number(&row, "number")
    }

    /// The runs of an owner that have not ended.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_runs(&mut self, owner: OwnerId) -> Result<Vec<RunRow>, StoreError> {
        open_runs(self.connection(), owner).await
    }

    /// The plan of a run and where it stands.
    ///
    /// # Errors
    /// The store cannot be read, or holds no such run.
    pub async fn run_state(&mut self, id: RunId) -> Result<(Plan, RunState), StoreError> {
        run_state(self.connection(), id).await
    }
}

pub(crate) async fn write(
    connection: &mut SqliteConnection,
    runs: impl Iterator<Item = (&RunId, &RunStatus)>,
) -> Result<(), StoreError> {
    for (id, run) in runs {
        sqlx::query(
            "UPDATE runs SET status = $1, reason = $2, stop = $3, started_at = $4, ended_at = $5 WHERE id = $6",
        )
        .bind(run.status.as_str())
        .bind(&run.reason)
        .bind(stop_to_json(run.stop.as_ref()))
        .bind(millis(run.started_at))
        .bind(millis(run.ended_at))
        .bind(id.to_string())
        .execute(&mut *connection)
        .await
        .map_err(StoreError::query("write a run"))?;
    }
    Ok(())
}

const COLUMNS: &str = "id, pipeline, number, status, reason, project, owner, created_at, started_at, ended_at";

fn read(row: &SqliteRow) -> Result<RunRow, StoreError> {
    Ok(RunRow {
        id: parse(row, "id")?,
        pipeline: get(row, "pipeline")?,
        number: number(row, "number")?,
        status: status(row)?,
        reason: get(row, "reason")?,
        project_dir: get(row, "project")?,
        owner: parse(row, "owner")?,
        created_at: time(row, "created_at")?,
        started_at: maybe_time(row, "started_at")?,
        ended_at: maybe_time(row, "ended_at")?,
    })
}

/// `SELECT` of the columns of a run, with what follows.
fn select(rest: &'static str) -> sqlx::AssertSqlSafe<String> {
    // Both parts are constants of this file.
    sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM runs {rest}"))
}

async fn open_runs(connection: &mut SqliteConnection, owner: OwnerId) -> Result<Vec<RunRow>, StoreError> {
    let rows = sqlx::query(select("WHERE owner = $1 AND ended_at IS NULL ORDER BY id"))
        .bind(owner.to_string())
        .fetch_all(connection)
        .await
        .map_err(StoreError::query("read the runs of an owner"))?;
    rows.iter().map(read).collect()
}

async fn run_state(connection: &mut SqliteConnection, id: RunId) -> Result<(Plan, RunState), StoreError> {
    let row = sqlx::query("SELECT plan, status, reason, stop, started_at, ended_at FROM runs WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut *connection)
        .await
        .map_err(StoreError::query("read a run"))?
        .ok_or_else(|| StoreError::NoSuchRun { reference: id.to_string() })?;
    let stages = stage::read(connection, id).await?;
    let jobs = job::read(connection, id).await?;
    let state = RunState {
        status: status(&row)?,
        reason: get(&row, "reason")?,
        started_at: maybe_time(&row, "started_at")?,
        ended_at: maybe_time(&row, "ended_at")?,
        stop: maybe_json(&row, "stop")?,
        stages: stages.into_iter().map(|stage| stage.state).collect(),
        jobs: jobs.into_iter().map(|job| job.state).collect(),
    };
    Ok((plan(&row)?, state))
}

fn plan(row: &SqliteRow) -> Result<Plan, StoreError> {
    let packed: &[u8] = get(row, "plan")?;
    let text = zstd::decode_all(packed).map_err(StoreError::value("plan"))?;
    serde_json::from_slice(&text).map_err(StoreError::value("plan"))
}

impl Store {
    /// Runs, newest first: at most `limit` of those that are older than `before`, if that is given.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list_runs(&self, before: Option<RunId>, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        let rows = sqlx::query(select("WHERE $1 IS NULL OR id < $1 ORDER BY id DESC LIMIT $2"))
            .bind(before.map(|id| id.to_string()))
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(StoreError::query("list runs"))?;
        rows.iter().map(read).collect()
    }

    /// A run by its id; none if there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        let row = sqlx::query(select("WHERE id = $1"))
            .bind(id.to_string())
            .fetch_optional(&mut *self.reader().await?)
            .await
            .map_err(StoreError::query("read a run"))?;
        row.as_ref().map(read).transpose()
    }

    /// A run as a person names it: `latest`, its number, its id, or the beginning of its id (4 characters at least). `latest`,
    /// and a number that several pipelines have, mean, if `pipeline` does not say which, the newest of their runs in the directory
    /// `project`, else the newest of all.
    ///
    /// # Errors
    /// No run fits, several begin with the same id, or the store cannot be read.
    pub async fn find_run(
        &self,
        reference: &str,
        pipeline: Option<&str>,
        project: Option<&str>,
    ) -> Result<RunRow, StoreError> {
        let no_such = || StoreError::NoSuchRun { reference: reference.to_owned() };
        let mut connection = self.reader().await?;
        let reference_number = reference.strip_prefix('#').unwrap_or(reference);
        let query = if reference == "latest" {
            let newest = "WHERE $1 IS NULL OR pipeline = $1 ORDER BY project = $2 DESC, id DESC LIMIT 1";
            sqlx::query(select(newest)).bind(pipeline).bind(project)
        } else if let (Ok(number), false) = (reference_number.parse::<u64>(), reference_number.starts_with('0')) {
            let newest =
                "WHERE ($1 IS NULL OR pipeline = $1) AND number = $2 ORDER BY project = $3 DESC, id DESC LIMIT 1";
            sqlx::query(select(newest)).bind(pipeline).bind(count(number)).bind(project)
        } else if reference.len() >= 4 && reference.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            let from = reference.to_ascii_lowercase();
            // `g` stands after every digit of an id.
            let to = format!("{from}g");
            sqlx::query(select("WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 5")).bind(from).bind(to)
        } else {
            return Err(no_such());
        };
        let rows = query.fetch_all(&mut *connection).await.map_err(StoreError::query("look for a run"))?;
        let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        match found.len() {
            0 => Err(no_such()),
            1 => Ok(found.remove(0)),
            _ => Err(StoreError::AmbiguousRun {
                reference: reference.to_owned(),
                candidates: found.iter().map(|run| format!("{} #{} ({})", run.pipeline, run.number, run.id)).collect(),
            }),
        }
    }

    /// The runs of an owner that have not ended.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_runs(&self, owner: OwnerId) -> Result<Vec<RunRow>, StoreError> {
        open_runs(&mut *self.reader().await?, owner).await
    }

    /// The plan of a run and where it stands.
    ///
    /// # Errors
    /// The store cannot be read, or holds no such run.
    pub async fn run_state(&self, id: RunId) -> Result<(Plan, RunState), StoreError> {
        run_state(&mut *self.reader().await?, id).await
    }

    /// The plan of a run.
    ///
    /// # Errors
    /// The store cannot be read, or holds no such run.
    pub async fn plan(&self, id: RunId) -> Result<Plan, StoreError> {
        plan(&self.column_of("SELECT plan FROM runs WHERE id = $1", id).await?)
    }

    /// The text of the pipeline file that a run was made from.
    ///
    /// # Errors
    /// The store cannot be read, or holds no such run.
    pub async fn source_text(&self, id: RunId) -> Result<String, StoreError> {
        let row = self.column_of("SELECT source FROM runs WHERE id = $1", id).await?;
        row.try_get("source").map_err(StoreError::value("source"))
    }

    async fn column_of(&self, sql: &'static str, id: RunId) -> Result<SqliteRow, StoreError> {
        sqlx::query(sql)
            .bind(id.to_string())
            .fetch_optional(&mut *self.reader().await?)
            .await
            .map_err(StoreError::query("read a run"))?
            .ok_or_else(|| StoreError::NoSuchRun { reference: id.to_string() })
    }
}

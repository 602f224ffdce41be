//! Runs: what they are to do, and how they stand.

use std::sync::Arc;

use oxide_core::{
    id::{PipelineId, ProjectId, RunId, UserId},
    outcome::Status,
    plan::Plan,
    run::{RunState, Stop},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    OwnerId, Store, StoreError, Transaction, job,
    row::{get, maybe_json, maybe_number, maybe_parse, maybe_time, number, parse, status, stop_to_json, time, to_json},
    sql::{Connection, Kind, Row, query},
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
    /// Where it comes from; nothing of it is known of a run of `oxide run`.
    #[serde(default)]
    pub origin: RunOrigin,
}

/// Where a run of a server comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrigin {
    /// The project that it belongs to.
    pub project: Option<ProjectId>,
    /// The pipeline of the server. Its runs are numbered together.
    pub pipeline: Option<PipelineId>,
    /// The version of the pipeline.
    pub version: Option<u64>,
    /// What caused it.
    pub trigger: Option<Json>,
    /// The git reference, such as `refs/heads/main`.
    pub git_ref: Option<String>,
    /// The branch.
    pub git_branch: Option<String>,
    /// The commit.
    pub git_sha: Option<String>,
    /// Higher ones go first.
    pub priority: i64,
    /// Who asked for it.
    pub created_by: Option<UserId>,
    /// The run that it repeats.
    pub retry_of: Option<RunId>,
    /// The concurrency group that it belongs to, with its rules.
    pub concurrency: Option<Json>,
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
    /// Where it comes from.
    pub origin: RunOrigin,
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

/// The first half of the locks of a database under which runs are numbered.
const NUMBER_LOCK: i64 = 0x6f78_6964;

impl Transaction {
    /// Stores a new run of an owner and gives it the next number of its pipeline. Its stages and jobs come with a
    /// [`crate::WriteBatch`].
    ///
    /// # Errors
    /// The store cannot be written, or there is a run with this id.
    pub async fn insert_run(&mut self, run: &NewRun, owner: OwnerId, created_at: Timestamp) -> Result<u64, StoreError> {
        let plan = serde_json::to_vec(&*run.plan).map_err(StoreError::value("plan"))?;
        let plan = zstd::bulk::compress(&plan, 1).map_err(StoreError::value("plan"))?;
        let origin = &run.origin;
        let counted_by = origin.pipeline.map_or_else(|| run.plan.pipeline.clone(), |pipeline| pipeline.to_string());
        let connection = self.connection();
        if connection.kind() == Kind::Postgres {
            // Else two at the same time would get the same number, and one of them be refused.
            let lock = query("number a new run", "SELECT pg_advisory_xact_lock(CAST($1 AS INTEGER), hashtext($2))");
            lock.bind(NUMBER_LOCK).bind(&counted_by).execute(connection).await?;
        }
        let newest = query(
            "number a new run",
            "SELECT COALESCE(MAX(number), 0) AS number FROM runs WHERE COALESCE(pipeline_id, pipeline) = $1",
        );
        let number = number::<u64>(&newest.bind(&counted_by).fetch_one(connection).await?, "number")? + 1;
        query(
            "write a new run",
            "INSERT INTO runs (id, pipeline, number, status, plan, source, project, owner, created_at, project_id, pipeline_id, \
             pipeline_version, trigger, git_ref, git_branch, git_sha, priority, created_by, retry_of, concurrency) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        )
        .bind(run.id)
        .bind(&run.plan.pipeline)
        .bind(number)
        .bind(Status::Pending.as_str())
        .bind(plan)
        .bind(&run.source_text)
        .bind(&run.project_dir)
        .bind(owner)
        .bind(created_at)
        .bind(origin.project)
        .bind(origin.pipeline)
        .bind(origin.version)
        .bind(origin.trigger.as_ref().map(to_json))
        .bind(&origin.git_ref)
        .bind(&origin.git_branch)
        .bind(&origin.git_sha)
        .bind(origin.priority)
        .bind(origin.created_by)
        .bind(origin.retry_of)
        .bind(origin.concurrency.as_ref().map(to_json))
        .execute(connection)
        .await?;
        Ok(number)
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
    connection: &mut Connection,
    runs: impl Iterator<Item = (&RunId, &RunStatus)>,
) -> Result<(), StoreError> {
    for (id, run) in runs {
        query(
            "write a run",
            "UPDATE runs SET status = $1, reason = $2, stop = $3, started_at = $4, ended_at = $5 WHERE id = $6",
        )
        .bind(run.status.as_str())
        .bind(&run.reason)
        .bind(stop_to_json(run.stop.as_ref()))
        .bind(run.started_at)
        .bind(run.ended_at)
        .bind(*id)
        .execute(connection)
        .await?;
    }
    Ok(())
}

pub(crate) const COLUMNS: &str = "id, pipeline, number, status, reason, project, owner, created_at, started_at, ended_at, \
    project_id, pipeline_id, pipeline_version, trigger, git_ref, git_branch, git_sha, priority, created_by, retry_of, \
    concurrency";

pub(crate) fn read(row: &Row) -> Result<RunRow, StoreError> {
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
        origin: RunOrigin {
            project: maybe_parse(row, "project_id")?,
            pipeline: maybe_parse(row, "pipeline_id")?,
            version: maybe_number(row, "pipeline_version")?,
            trigger: maybe_json(row, "trigger")?,
            git_ref: get(row, "git_ref")?,
            git_branch: get(row, "git_branch")?,
            git_sha: get(row, "git_sha")?,
            priority: get(row, "priority")?,
            created_by: maybe_parse(row, "created_by")?,
            retry_of: maybe_parse(row, "retry_of")?,
            concurrency: maybe_json(row, "concurrency")?,
        },
    })
}

/// `SELECT` of the columns of a run, with what follows.
fn select(rest: &'static str) -> String {
    format!("SELECT {COLUMNS} FROM runs {rest}")
}

async fn open_runs(connection: &mut Connection, owner: OwnerId) -> Result<Vec<RunRow>, StoreError> {
    let rows = query("read the runs of an owner", select("WHERE owner = $1 AND ended_at IS NULL ORDER BY id"))
        .bind(owner)
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

async fn run_state(connection: &mut Connection, id: RunId) -> Result<(Plan, RunState), StoreError> {
    let row = query("read a run", "SELECT plan, status, reason, stop, started_at, ended_at FROM runs WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?
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

fn plan(row: &Row) -> Result<Plan, StoreError> {
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
        let found = match before {
            Some(before) => query("list runs", select("WHERE id < $1 ORDER BY id DESC LIMIT $2")).bind(before),
            None => query("list runs", select("ORDER BY id DESC LIMIT $1")),
        };
        found.bind(limit).fetch_all(&mut self.reader().await?).await?.iter().map(read).collect()
    }

    /// A run by its id; none if there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        let found = query("read a run", select("WHERE id = $1")).bind(id);
        found.fetch_optional(&mut self.reader().await?).await?.as_ref().map(read).transpose()
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
        const WHAT: &str = "look for a run";
        let no_such = || StoreError::NoSuchRun { reference: reference.to_owned() };
        let reference_number = reference.strip_prefix('#').unwrap_or(reference);
        let found = if reference == "latest" {
            let newest = "WHERE CAST($1 AS TEXT) IS NULL OR pipeline = $1 \
                          ORDER BY CASE WHEN project = $2 THEN 0 ELSE 1 END, id DESC LIMIT 1";
            query(WHAT, select(newest)).bind(pipeline).bind(project)
        } else if let (Ok(number), false) = (reference_number.parse::<u64>(), reference_number.starts_with('0')) {
            let newest = "WHERE (CAST($1 AS TEXT) IS NULL OR pipeline = $1) AND number = $2 \
                          ORDER BY CASE WHEN project = $3 THEN 0 ELSE 1 END, id DESC LIMIT 1";
            query(WHAT, select(newest)).bind(pipeline).bind(number).bind(project)
        } else if reference.len() >= 4 && reference.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            let from = reference.to_ascii_lowercase();
            // `g` stands after every digit of an id.
            let to = format!("{from}g");
            query(WHAT, select("WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 5")).bind(from).bind(to)
        } else {
            return Err(no_such());
        };
        let rows = found.fetch_all(&mut self.reader().await?).await?;
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
        open_runs(&mut self.reader().await?, owner).await
    }

    /// The plan of a run and where it stands.
    ///
    /// # Errors
    /// The store cannot be read, or holds no such run.
    pub async fn run_state(&self, id: RunId) -> Result<(Plan, RunState), StoreError> {
        run_state(&mut self.reader().await?, id).await
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
        get(&self.column_of("SELECT source FROM runs WHERE id = $1", id).await?, "source")
    }

    async fn column_of(&self, text: &'static str, id: RunId) -> Result<Row, StoreError> {
        let found = query("read a run", text).bind(id).fetch_optional(&mut self.reader().await?).await?;
        found.ok_or_else(|| StoreError::NoSuchRun { reference: id.to_string() })
    }
}

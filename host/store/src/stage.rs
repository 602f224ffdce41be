//! Stages of runs.

use oxide_core::{
    id::{RunId, StageIndex},
    run::StageState,
};
use sqlx::SqliteConnection;

use crate::{
    Store, StoreError,
    row::{get, json, maybe_json, maybe_time, millis, number, status, stop_to_json, to_json, write_rows},
};

/// A stage of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct StageRow {
    /// The run.
    pub run: RunId,
    /// The position in the plan.
    pub stage: StageIndex,
    /// The name.
    pub name: String,
    /// How it stands.
    pub state: StageState,
}

pub(crate) async fn write(connection: &mut SqliteConnection, stages: &[&StageRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO stages (run, stage, name, status, reason, blocked, stop, outputs, started_at, ended_at) ",
        " ON CONFLICT (run, stage) DO UPDATE SET status = excluded.status, reason = excluded.reason, \
         blocked = excluded.blocked, stop = excluded.stop, outputs = excluded.outputs, \
         started_at = excluded.started_at, ended_at = excluded.ended_at",
    );
    write_rows(connection, "write stages", sql, stages, |mut row, stage| {
        let state = &stage.state;
        row.push_bind(stage.run.to_string())
            .push_bind(i64::from(stage.stage.0))
            .push_bind(stage.name.clone())
            .push_bind(state.status.as_str())
            .push_bind(state.reason.clone())
            .push_bind(i64::from(state.blocked))
            .push_bind(stop_to_json(state.stop.as_ref()))
            .push_bind(to_json(&state.outputs))
            .push_bind(millis(state.started_at))
            .push_bind(millis(state.ended_at));
    })
    .await?;
    Ok(())
}

pub(crate) async fn read(connection: &mut SqliteConnection, run: RunId) -> Result<Vec<StageRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT stage, name, status, reason, blocked, stop, outputs, started_at, ended_at FROM stages \
         WHERE run = $1 ORDER BY stage",
    )
    .bind(run.to_string())
    .fetch_all(connection)
    .await
    .map_err(StoreError::query("read the stages of a run"))?;
    rows.iter()
        .map(|row| {
            let state = StageState {
                status: status(row)?,
                reason: get(row, "reason")?,
                blocked: get::<i64>(row, "blocked")? != 0,
                started_at: maybe_time(row, "started_at")?,
                ended_at: maybe_time(row, "ended_at")?,
                stop: maybe_json(row, "stop")?,
                outputs: json(row, "outputs")?,
            };
            Ok(StageRow { run, stage: StageIndex(number(row, "stage")?), name: get(row, "name")?, state })
        })
        .collect()
}

impl Store {
    /// The stages of a run, as in its plan.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn stages(&self, run: RunId) -> Result<Vec<StageRow>, StoreError> {
        read(&mut *self.reader().await?, run).await
    }
}

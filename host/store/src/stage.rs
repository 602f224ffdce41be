//! Stages of runs.

use oxide_core::{
    id::{RunId, StageIndex},
    run::StageState,
};

use crate::{
    Store, StoreError,
    row::{get, json, maybe_json, maybe_time, number, status, stop_to_json, to_json},
    sql::{Connection, query, write_rows},
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

pub(crate) async fn write(connection: &mut Connection, stages: &[&StageRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO stages (run, stage, name, status, reason, blocked, stop, outputs, started_at, ended_at) ",
        " ON CONFLICT (run, stage) DO UPDATE SET status = excluded.status, reason = excluded.reason, \
         blocked = excluded.blocked, stop = excluded.stop, outputs = excluded.outputs, \
         started_at = excluded.started_at, ended_at = excluded.ended_at",
    );
    write_rows(connection, "write stages", sql, stages, |values, stage| {
        let state = &stage.state;
        values
            .bind(stage.run)
            .bind(stage.stage)
            .bind(&stage.name)
            .bind(state.status.as_str())
            .bind(&state.reason)
            .bind(state.blocked)
            .bind(stop_to_json(state.stop.as_ref()))
            .bind(to_json(&state.outputs))
            .bind(state.started_at)
            .bind(state.ended_at)
    })
    .await?;
    Ok(())
}

pub(crate) async fn read(connection: &mut Connection, run: RunId) -> Result<Vec<StageRow>, StoreError> {
    let rows = query(
        "read the stages of a run",
        "SELECT stage, name, status, reason, blocked, stop, outputs, started_at, ended_at, \
         (SELECT MAX(created_at) FROM approvals WHERE approvals.run = stages.run AND approvals.stage = stages.stage) \
         AS approval_requested_at FROM stages WHERE run = $1 ORDER BY stage",
    )
    .bind(run)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let state = StageState {
                status: status(row)?,
                reason: get(row, "reason")?,
                blocked: get::<i64>(row, "blocked")? != 0,
                started_at: maybe_time(row, "started_at")?,
                ended_at: maybe_time(row, "ended_at")?,
                stop: maybe_json(row, "stop")?,
                approval_requested_at: maybe_time(row, "approval_requested_at")?,
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
        read(&mut self.reader().await?, run).await
    }
}

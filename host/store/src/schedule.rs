//! Schedules of pipelines: when they run next.

use oxide_core::{
    id::{PipelineId, ProjectId},
    time::Timestamp,
};

use crate::{
    Store, StoreError, Transaction,
    row::{get, number, parse, time},
    sql::{Connection, Row, query, write_rows},
};

/// A schedule of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// Its place among the triggers of the pipeline.
    pub position: u32,
    /// When it runs, such as `0 3 * * *`.
    pub cron: String,
    /// In which time zone that is meant.
    pub timezone: String,
    /// When it runs next.
    pub next_at: Timestamp,
}

/// A schedule whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSchedule {
    /// The schedule.
    pub schedule: ScheduleRow,
    /// The project of the pipeline.
    pub project: ProjectId,
    /// The newest version of the pipeline.
    pub latest_version: u64,
}

const COLUMNS: &str = "schedules.pipeline AS pipeline, position, cron, timezone, next_at";

fn read(row: &Row) -> Result<ScheduleRow, StoreError> {
    Ok(ScheduleRow {
        pipeline: parse(row, "pipeline")?,
        position: number(row, "position")?,
        cron: get(row, "cron")?,
        timezone: get(row, "timezone")?,
        next_at: time(row, "next_at")?,
    })
}

async fn due(connection: &mut Connection, now: Timestamp, limit: u32) -> Result<Vec<DueSchedule>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS}, pipelines.project AS project, pipelines.latest_version AS latest_version FROM schedules \
         JOIN pipelines ON pipelines.id = schedules.pipeline WHERE next_at <= $1 AND pipelines.deleted_at IS NULL \
         ORDER BY next_at, schedules.pipeline, position LIMIT $2"
    );
    let rows = query("look for schedules that are due", text).bind(now).bind(limit).fetch_all(connection).await?;
    let read_due = |row: &Row| {
        let (project, latest_version) = (parse(row, "project")?, number(row, "latest_version")?);
        Ok(DueSchedule { schedule: read(row)?, project, latest_version })
    };
    rows.iter().map(read_due).collect()
}

impl Transaction {
    /// Gives a pipeline these schedules in the place of those that it had.
    ///
    /// # Errors
    /// The store cannot be written, or there is no such pipeline.
    pub async fn set_schedules(&mut self, pipeline: PipelineId, schedules: &[ScheduleRow]) -> Result<(), StoreError> {
        query("remove the schedules of a pipeline", "DELETE FROM schedules WHERE pipeline = $1")
            .bind(pipeline)
            .execute(self.connection())
            .await?;
        let sql = ("INSERT INTO schedules (pipeline, position, cron, timezone, next_at) ", "");
        write_rows(self.connection(), "write the schedules of a pipeline", sql, schedules, |values, schedule| {
            values
                .bind(pipeline)
                .bind(schedule.position)
                .bind(&schedule.cron)
                .bind(&schedule.timezone)
                .bind(schedule.next_at)
        })
        .await?;
        Ok(())
    }

    /// At most `limit` schedules whose time has come, the one that waits longest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn due_schedules(&mut self, now: Timestamp, limit: u32) -> Result<Vec<DueSchedule>, StoreError> {
        due(self.connection(), now, limit).await
    }

    /// Sets when a schedule runs next, if it still has the time that it was read with: of several that do so, one gets `true`
    /// and starts the run in the same transaction.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn advance_schedule(&mut self, schedule: &ScheduleRow, next_at: Timestamp) -> Result<bool, StoreError> {
        let changed = query(
            "advance a schedule",
            "UPDATE schedules SET next_at = $1 WHERE pipeline = $2 AND position = $3 AND next_at = $4",
        )
        .bind(next_at)
        .bind(schedule.pipeline)
        .bind(schedule.position)
        .bind(schedule.next_at)
        .execute(self.connection())
        .await?;
        Ok(changed == 1)
    }
}

impl Store {
    /// The schedules of a pipeline.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn schedules(&self, pipeline: PipelineId) -> Result<Vec<ScheduleRow>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM schedules WHERE schedules.pipeline = $1 ORDER BY position");
        let rows = query("read the schedules of a pipeline", text).bind(pipeline);
        rows.fetch_all(&mut self.reader().await?).await?.iter().map(read).collect()
    }

    /// At most `limit` schedules whose time has come, the one that waits longest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn due_schedules(&self, now: Timestamp, limit: u32) -> Result<Vec<DueSchedule>, StoreError> {
        due(&mut self.reader().await?, now, limit).await
    }

    /// When the next schedule is due; none if there is no schedule.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next_schedule(&self) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT next_at FROM schedules ORDER BY next_at LIMIT 1";
        let row = query("look for the next schedule", text).fetch_optional(&mut self.reader().await?).await?;
        row.map(|row| time(&row, "next_at")).transpose()
    }
}

//! Runs in lists, with filters, and how many stand how.

use oxide_core::{
    api::page::Page,
    id::{PipelineId, ProjectId, RunId},
    outcome::Status,
    time::Timestamp,
};

use crate::{
    PageRequest, RunRow, Store, StoreError,
    list::List,
    row::{number, status},
    run,
    sql::query,
};

/// Which runs are wanted.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only those of these projects; none means all.
    pub projects: Option<Vec<ProjectId>>,
    /// Only those of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Only those of pipelines with this name.
    pub pipeline_name: Option<String>,
    /// Only those in this state.
    pub status: Option<Status>,
    /// Only those of this branch.
    pub branch: Option<String>,
    /// Only those that were created then or later.
    pub since: Option<Timestamp>,
    /// Only those that were created before.
    pub until: Option<Timestamp>,
}

impl Store {
    /// Runs, newest first.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn runs(&self, filter: &RunFilter, request: &PageRequest) -> Result<Page<RunRow>, StoreError> {
        let rows = List::new("list runs", &format!("SELECT {} FROM runs", run::COLUMNS))
            .one_of("project_id", filter.projects.as_deref())
            .maybe("pipeline_id = ?", filter.pipeline)
            .maybe("pipeline = ?", filter.pipeline_name.as_deref())
            .maybe("status = ?", filter.status.map(|status| status.as_str().to_owned()))
            .maybe("git_branch = ?", filter.branch.as_deref())
            .maybe("created_at >= ?", filter.since)
            .maybe("created_at < ?", filter.until)
            .maybe("id < ?", request.key::<RunId>()?)
            .fetch(&mut self.reader().await?, "id DESC", request)
            .await?;
        let runs = rows.iter().map(run::read).collect::<Result<_, _>>()?;
        Ok(request.page(runs, |last: &RunRow| last.id.to_string()))
    }

    /// How many runs that have not ended stand how.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_run_counts(&self) -> Result<Vec<(Status, u64)>, StoreError> {
        let text = "SELECT status, COUNT(*) AS count FROM runs WHERE ended_at IS NULL GROUP BY status ORDER BY status";
        let rows = query("count runs", text).fetch_all(&mut self.reader().await?).await?;
        rows.iter().map(|row| Ok((status(row)?, number(row, "count")?))).collect()
    }
}

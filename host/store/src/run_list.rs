//! Lists of runs: by project, pipeline, state, branch and time, newest first, quick however many there are.
//!
//! Each list is a merge of few ranges of an index that each have the right order already: a choice of states, say, becomes one
//! range for each state. The database then never sorts more than some pages.

use std::fmt::Write as _;

use oxide_core::{
    api::page::{LIMIT_MAX, Page},
    id::{PipelineId, ProjectId},
    outcome::Status,
    time::Timestamp,
};

use crate::{
    PageRequest, RunRow, Store, StoreError,
    list::cursor_of,
    row::{number, status},
    run,
    sql::{Query, Value, query},
};

/// Which runs are wanted. All conditions hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of one of these projects; none for all, also those that belong to no project.
    pub projects: Option<Vec<ProjectId>>,
    /// Of this pipeline of the server.
    pub pipeline: Option<PipelineId>,
    /// Of pipelines with this name.
    pub pipeline_name: Option<String>,
    /// In one of these states; empty for any.
    pub statuses: Vec<Status>,
    /// Of this branch.
    pub branch: Option<String>,
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
}

/// How many ranges are merged at most. Above that all runs are looked at from the newest on.
const RANGES_MAX: usize = 64;

const EVERY_STATUS: [Status; 10] = [
    Status::Pending,
    Status::WaitingApproval,
    Status::Queued,
    Status::Running,
    Status::Success,
    Status::Warning,
    Status::Failure,
    Status::Cancelled,
    Status::Timeout,
    Status::Skipped,
];

/// The statement of a page, with its values.
struct Statement {
    values: Vec<Value>,
    ranges: Vec<String>,
}

impl Statement {
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn one_of(&mut self, column: &str, choice: impl IntoIterator<Item = Value>) -> String {
        let places: Vec<String> = choice.into_iter().map(|value| self.value(value)).collect();
        if places.is_empty() { "1 = 0".into() } else { format!("{column} IN ({})", places.join(", ")) }
    }

    fn new(filter: &RunFilter, after: Option<(i64, String)>, limit: u32) -> Statement {
        let mut statement = Statement { values: Vec::new(), ranges: Vec::new() };
        let mut common = Vec::new();
        let pairs = [
            ("pipeline_id = ", filter.pipeline.map(Value::from)),
            ("git_branch = ", filter.branch.as_ref().map(Value::from)),
            ("pipeline = ", filter.pipeline_name.as_ref().map(Value::from)),
            ("created_at >= ", filter.since.map(Value::from)),
            ("created_at < ", filter.until.map(Value::from)),
        ];
        for (condition, value) in pairs {
            if let Some(value) = value {
                common.push(format!("{condition}{}", statement.value(value)));
            }
        }
        if let Some((created_at, id)) = after {
            let (created_at, id) = (statement.value(created_at), statement.value(id));
            common.push(format!("(created_at, id) < ({created_at}, {id})"));
        }
        statement.range_by_range(filter, &common);
        let limit = statement.value(limit);
        for range in &mut statement.ranges {
            write!(range, " ORDER BY created_at DESC, id DESC LIMIT {limit}").expect("a string takes all of it");
        }
        statement
    }

    /// Pipelines and branches have an index of their own; else each pair of project and state is a range.
    fn range_by_range(&mut self, filter: &RunFilter, common: &[String]) {
        let has_own_index = filter.pipeline.is_some() || filter.pipeline_name.is_some() || filter.branch.is_some();
        let statuses = filter.statuses.as_slice();
        let count = filter.projects.as_ref().map_or(1, Vec::len)
            * if statuses.is_empty() { EVERY_STATUS.len() } else { statuses.len() };
        match &filter.projects {
            projects if has_own_index || count > RANGES_MAX => {
                let mut conditions = common.to_vec();
                if let Some(projects) = projects {
                    conditions.push(self.one_of("project_id", projects.iter().map(|id| (*id).into())));
                }
                if !statuses.is_empty() {
                    conditions.push(self.one_of("status", statuses.iter().map(|status| status.as_str().into())));
                }
                self.range(conditions);
            }
            None if statuses.is_empty() => self.range(common.to_vec()),
            None => {
                for status in statuses {
                    let is_so = format!("status = {}", self.value(status.as_str()));
                    self.range([&[is_so], common].concat());
                }
            }
            Some(projects) => {
                let statuses = if statuses.is_empty() { &EVERY_STATUS } else { statuses };
                for project in projects {
                    let project = format!("project_id = {}", self.value(*project));
                    for status in statuses {
                        let is_so = format!("status = {}", self.value(status.as_str()));
                        self.range([&[project.clone(), is_so], common].concat());
                    }
                }
            }
        }
    }

    fn range(&mut self, conditions: Vec<String>) {
        let word = if conditions.is_empty() { "" } else { " WHERE " };
        self.ranges.push(format!("SELECT {} FROM runs{word}{}", run::COLUMNS, conditions.join(" AND ")));
    }

    fn text(&self) -> String {
        match self.ranges.as_slice() {
            // No project may be seen.
            [] => format!("SELECT {} FROM runs WHERE 1 = 0", run::COLUMNS),
            [range] => range.clone(),
            ranges => {
                let parts: Vec<String> = ranges
                    .iter()
                    .enumerate()
                    .map(|(place, range)| format!("SELECT * FROM ({range}) AS range_{place}"))
                    .collect();
                let (parts, limit) = (parts.join(" UNION ALL "), self.values.len());
                format!("{parts} ORDER BY created_at DESC, id DESC LIMIT ${limit}")
            }
        }
    }

    fn query(self) -> Query {
        let text = self.text();
        let values = if self.ranges.is_empty() { Vec::new() } else { self.values };
        values.into_iter().fold(query("list runs", text), Query::bind)
    }
}

impl Store {
    /// A page of runs, newest first. Runs that are created while somebody turns the pages do not move those that follow.
    ///
    /// # Errors
    /// The cursor is none of such a list, or the store cannot be read.
    pub async fn runs(&self, filter: &RunFilter, request: &PageRequest) -> Result<Page<RunRow>, StoreError> {
        let bad = || StoreError::BadCursor { cursor: request.cursor.clone().unwrap_or_default() };
        let after = match request.texts::<2>()? {
            Some([created_at, id]) => Some((created_at.parse().map_err(|_| bad())?, id)),
            None => None,
        };
        let wanted = request.limit.clamp(1, LIMIT_MAX) + 1;
        let statement = Statement::new(filter, after, wanted);
        let rows = statement.query().fetch_all(&mut self.reader().await?).await?;
        let found = rows.iter().map(run::read).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(found, |run| cursor_of(&[&run.created_at.0.to_string(), &run.id.to_string()])))
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

    /// How many jobs of runs that have not ended are queued, and how many run.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_job_counts(&self) -> Result<Vec<(Status, u64)>, StoreError> {
        let text = "SELECT jobs.status AS status, COUNT(*) AS count FROM runs JOIN jobs ON jobs.run = runs.id \
                    WHERE runs.ended_at IS NULL AND jobs.status IN ('queued', 'running') \
                    GROUP BY jobs.status ORDER BY jobs.status";
        let rows = query("count jobs", text).fetch_all(&mut self.reader().await?).await?;
        rows.iter().map(|row| Ok((status(row)?, number(row, "count")?))).collect()
    }
}

#[cfg(test)]
#[path = "tests/run_list.rs"]
mod tests;

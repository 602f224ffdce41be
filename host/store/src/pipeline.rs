//! Pipelines of a server: a name, and every text that it ever had.
//!
//! A version is never changed and never removed: a run names the one that it was made from.

use oxide_core::{
    api::page::Page,
    id::{PipelineId, ProjectId, UserId},
    time::Timestamp,
};

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::{List, cursor_of},
    row::{get, maybe_parse, maybe_time, number, parse, time},
    sql::{Connection, Row, query},
};

/// What is known of a pipeline, but for its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineRow {
    /// The id.
    pub id: PipelineId,
    /// The project.
    pub project: ProjectId,
    /// The name; no other pipeline of the project has it, but for deleted ones.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where its code is.
    pub repository: Option<String>,
    /// The number of its newest version, counted from 1.
    pub latest_version: u64,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it was deleted. It is hidden then, and its runs and versions stay.
    pub deleted_at: Option<Timestamp>,
}

/// The texts of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineText {
    /// The pipeline file.
    pub source: String,
    /// Its lock file.
    pub lock: String,
}

/// A version of a pipeline in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// The number, counted from 1.
    pub version: u64,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A pipeline that is to be stored, with its first version.
#[derive(Clone, Debug)]
pub struct NewPipeline {
    /// The id.
    pub id: PipelineId,
    /// The project.
    pub project: ProjectId,
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where its code is.
    pub repository: Option<String>,
    /// The texts of version 1.
    pub text: PipelineText,
    /// Who makes it.
    pub created_by: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
}

/// What is to change of a pipeline. What is not named stays.
#[derive(Clone, Debug, Default)]
pub struct PipelineChange {
    /// The new name.
    pub name: Option<String>,
    /// What it is for; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// Where its code is; `Some(None)` removes it.
    pub repository: Option<Option<String>>,
    /// The new texts: a new version, unless the newest one has the same.
    pub text: Option<PipelineText>,
    /// Who changes it.
    pub by: Option<UserId>,
    /// The version that the change was made for (`If-Match`); if it is not the newest any more, nothing is changed.
    pub expected: Option<u64>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipelineWrite {
    /// It is stored. `new_version` tells whether there is a new version.
    Changed {
        /// The pipeline as it is now.
        pipeline: PipelineRow,
        /// Is its newest version a new one?
        new_version: bool,
    },
    /// It was so already; nothing was written.
    Unchanged(PipelineRow),
    /// Somebody else has made this version meanwhile; nothing was written.
    Conflict {
        /// The number of the newest version.
        latest_version: u64,
    },
    /// There is no such pipeline, or it is deleted.
    Missing,
}

/// Which pipelines are wanted. What is deleted is never listed.
#[derive(Clone, Debug, Default)]
pub struct PipelineFilter {
    /// Only those of these projects; none means all.
    pub projects: Option<Vec<ProjectId>>,
    /// Only those of this name.
    pub name: Option<String>,
}

const SELECT: &str = "SELECT id, project, name, description, repository, latest_version, created_by, created_at, \
                      updated_at, deleted_at FROM pipelines";

fn read(row: &Row) -> Result<PipelineRow, StoreError> {
    Ok(PipelineRow {
        id: parse(row, "id")?,
        project: parse(row, "project")?,
        name: get(row, "name")?,
        description: get(row, "description")?,
        repository: get(row, "repository")?,
        latest_version: number(row, "latest_version")?,
        created_by: maybe_parse(row, "created_by")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        deleted_at: maybe_time(row, "deleted_at")?,
    })
}

fn read_version(row: &Row) -> Result<VersionRow, StoreError> {
    Ok(VersionRow {
        pipeline: parse(row, "pipeline")?,
        version: number(row, "version")?,
        created_by: maybe_parse(row, "created_by")?,
        created_at: time(row, "created_at")?,
    })
}

async fn find(connection: &mut Connection, id: PipelineId) -> Result<Option<PipelineRow>, StoreError> {
    let row = query("read a pipeline", format!("{SELECT} WHERE id = $1")).bind(id);
    row.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

async fn text_of(
    connection: &mut Connection,
    id: PipelineId,
    version: u64,
) -> Result<Option<(VersionRow, PipelineText)>, StoreError> {
    let row = query(
        "read a version of a pipeline",
        "SELECT pipeline, version, source, lock, created_by, created_at FROM pipeline_versions \
         WHERE pipeline = $1 AND version = $2",
    )
    .bind(id)
    .bind(version)
    .fetch_optional(connection)
    .await?;
    let texts =
        |row: Row| Ok((read_version(&row)?, PipelineText { source: get(&row, "source")?, lock: get(&row, "lock")? }));
    row.map(texts).transpose()
}

impl Transaction {
    /// Stores a new pipeline with its first version.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if the project has a pipeline of this name; or the store cannot be written.
    pub async fn create_pipeline(&mut self, new: &NewPipeline) -> Result<PipelineRow, StoreError> {
        query(
            "write a pipeline",
            "INSERT INTO pipelines (id, project, name, description, repository, latest_version, created_by, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        )
        .bind(new.id)
        .bind(new.project)
        .bind(&new.name)
        .bind(&new.description)
        .bind(&new.repository)
        .bind(1u64)
        .bind(new.created_by)
        .bind(new.created_at)
        .execute(self.connection())
        .await
        .map_err(StoreError::taken("pipeline", &new.name))?;
        self.insert_version(new.id, 1, &new.text, new.created_by, new.created_at).await?;
        Ok(PipelineRow {
            id: new.id,
            project: new.project,
            name: new.name.clone(),
            description: new.description.clone(),
            repository: new.repository.clone(),
            latest_version: 1,
            created_by: new.created_by,
            created_at: new.created_at,
            updated_at: new.created_at,
            deleted_at: None,
        })
    }

    async fn insert_version(
        &mut self,
        id: PipelineId,
        version: u64,
        text: &PipelineText,
        by: Option<UserId>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "write a version of a pipeline",
            "INSERT INTO pipeline_versions (pipeline, version, source, lock, created_by, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(version)
        .bind(&text.source)
        .bind(&text.lock)
        .bind(by)
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Reads a pipeline that is not deleted and keeps others from changing it until this transaction ends.
    async fn hold_pipeline(&mut self, id: PipelineId) -> Result<Option<PipelineRow>, StoreError> {
        // A change that changes nothing locks the row in both databases.
        let text = "UPDATE pipelines SET latest_version = latest_version WHERE id = $1 AND deleted_at IS NULL";
        match query("read a pipeline", text).bind(id).execute(self.connection()).await? {
            0 => Ok(None),
            _ => find(self.connection(), id).await,
        }
    }

    /// Changes a pipeline. Other texts than those of its newest version make a new one.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if the project has another pipeline of the new name; or the store cannot be written.
    pub async fn change_pipeline(
        &mut self,
        id: PipelineId,
        change: PipelineChange,
        at: Timestamp,
    ) -> Result<PipelineWrite, StoreError> {
        let Some(old) = self.hold_pipeline(id).await? else { return Ok(PipelineWrite::Missing) };
        if change.expected.is_some_and(|expected| expected != old.latest_version) {
            return Ok(PipelineWrite::Conflict { latest_version: old.latest_version });
        }
        let mut pipeline = PipelineRow {
            name: change.name.unwrap_or_else(|| old.name.clone()),
            description: change.description.unwrap_or_else(|| old.description.clone()),
            repository: change.repository.unwrap_or_else(|| old.repository.clone()),
            ..old.clone()
        };
        let text = match change.text {
            None => None,
            Some(text) => {
                let newest = text_of(self.connection(), id, old.latest_version).await?;
                Some(text).filter(|text| newest.is_none_or(|(_, newest)| newest != *text))
            }
        };
        if let Some(text) = &text {
            pipeline.latest_version += 1;
            self.insert_version(id, pipeline.latest_version, text, change.by, at).await?;
        }
        if pipeline == old {
            return Ok(PipelineWrite::Unchanged(old));
        }
        pipeline.updated_at = at;
        query(
            "write a pipeline",
            "UPDATE pipelines SET name = $1, description = $2, repository = $3, latest_version = $4, updated_at = $5 \
             WHERE id = $6",
        )
        .bind(&pipeline.name)
        .bind(&pipeline.description)
        .bind(&pipeline.repository)
        .bind(pipeline.latest_version)
        .bind(at)
        .bind(id)
        .execute(self.connection())
        .await
        .map_err(StoreError::taken("pipeline", &pipeline.name))?;
        Ok(PipelineWrite::Changed { pipeline, new_version: text.is_some() })
    }

    /// Hides a pipeline: its versions and runs stay, its schedules and secrets go, and its name is free again.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_pipeline(
        &mut self,
        id: PipelineId,
        expected: Option<u64>,
        at: Timestamp,
    ) -> Result<PipelineWrite, StoreError> {
        let Some(old) = self.hold_pipeline(id).await? else { return Ok(PipelineWrite::Missing) };
        if expected.is_some_and(|expected| expected != old.latest_version) {
            return Ok(PipelineWrite::Conflict { latest_version: old.latest_version });
        }
        query("delete a pipeline", "UPDATE pipelines SET deleted_at = $1, updated_at = $1 WHERE id = $2")
            .bind(at)
            .bind(id)
            .execute(self.connection())
            .await?;
        for (what, text) in [
            ("remove the schedules of a pipeline", "DELETE FROM schedules WHERE pipeline = $1"),
            ("remove the secrets of a pipeline", "DELETE FROM secrets WHERE scope = 'pipeline' AND scope_id = $1"),
        ] {
            query(what, text).bind(id).execute(self.connection()).await?;
        }
        let pipeline = PipelineRow { deleted_at: Some(at), updated_at: at, ..old };
        Ok(PipelineWrite::Changed { pipeline, new_version: false })
    }

    /// A pipeline by its id, deleted or not.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pipeline(&mut self, id: PipelineId) -> Result<Option<PipelineRow>, StoreError> {
        find(self.connection(), id).await
    }
}

impl Store {
    /// A pipeline by its id, deleted or not.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pipeline(&self, id: PipelineId) -> Result<Option<PipelineRow>, StoreError> {
        find(&mut self.reader().await?, id).await
    }

    /// The pipeline of a project that has this name and is not deleted.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pipeline_by_name(&self, project: ProjectId, name: &str) -> Result<Option<PipelineRow>, StoreError> {
        let text = format!("{SELECT} WHERE project = $1 AND name = $2 AND deleted_at IS NULL");
        let row = query("read a pipeline", text).bind(project).bind(name);
        row.fetch_optional(&mut self.reader().await?).await?.as_ref().map(read).transpose()
    }

    /// Pipelines by name.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn pipelines(
        &self,
        filter: &PipelineFilter,
        request: &PageRequest,
    ) -> Result<Page<PipelineRow>, StoreError> {
        let rows = List::new("list pipelines", SELECT)
            .plainly("deleted_at IS NULL")
            .one_of("project", filter.projects.as_deref())
            .maybe("name = ?", filter.name.as_deref())
            .after_both(("name", "id"), request.texts::<2>()?)
            .fetch(&mut self.reader().await?, "name, id", request)
            .await?;
        let pipelines = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(pipelines, |last: &PipelineRow| cursor_of(&[&last.name, &last.id.to_string()])))
    }

    /// A version of a pipeline with its texts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pipeline_version(
        &self,
        id: PipelineId,
        version: u64,
    ) -> Result<Option<(VersionRow, PipelineText)>, StoreError> {
        text_of(&mut self.reader().await?, id, version).await
    }

    /// The versions of a pipeline, newest first.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn pipeline_versions(
        &self,
        id: PipelineId,
        request: &PageRequest,
    ) -> Result<Page<VersionRow>, StoreError> {
        let select = "SELECT pipeline, version, created_by, created_at FROM pipeline_versions";
        let rows = List::new("list the versions of a pipeline", select)
            .only("pipeline = ?", id)
            .maybe("version < ?", request.key::<i64>()?)
            .fetch(&mut self.reader().await?, "version DESC", request)
            .await?;
        let versions = rows.iter().map(read_version).collect::<Result<_, _>>()?;
        Ok(request.page(versions, |last: &VersionRow| last.version.to_string()))
    }
}

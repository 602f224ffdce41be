//! Projects: what pipelines, secrets and members belong to.

use oxide_core::{
    api::page::Page,
    id::{ProjectId, UserId},
    time::Timestamp,
};

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::{List, cursor_of},
    row::{get, parse, time},
    sql::{Connection, Row, query},
};

/// What is known of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRow {
    /// The id.
    pub id: ProjectId,
    /// The name; no other project has it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where its code is.
    pub repository: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT id, name, description, repository, created_at FROM projects";

fn read(row: &Row) -> Result<ProjectRow, StoreError> {
    Ok(ProjectRow {
        id: parse(row, "id")?,
        name: get(row, "name")?,
        description: get(row, "description")?,
        repository: get(row, "repository")?,
        created_at: time(row, "created_at")?,
    })
}

async fn find(connection: &mut Connection, condition: &str, value: String) -> Result<Option<ProjectRow>, StoreError> {
    let found = query("read a project", format!("{SELECT} WHERE {condition}")).bind(value);
    found.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

impl Transaction {
    /// Stores a new project.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if another one has the name; or the store cannot be written.
    pub async fn insert_project(&mut self, project: &ProjectRow) -> Result<(), StoreError> {
        query(
            "write a project",
            "INSERT INTO projects (id, name, description, repository, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(project.id)
        .bind(&project.name)
        .bind(&project.description)
        .bind(&project.repository)
        .bind(project.created_at)
        .execute(self.connection())
        .await
        .map_err(StoreError::taken("project", &project.name))?;
        Ok(())
    }

    /// Stores what is known of a project now. `false` if there is no such project.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if another one has the name; or the store cannot be written.
    pub async fn update_project(&mut self, project: &ProjectRow) -> Result<bool, StoreError> {
        let changed =
            query("write a project", "UPDATE projects SET name = $1, description = $2, repository = $3 WHERE id = $4")
                .bind(&project.name)
                .bind(&project.description)
                .bind(&project.repository)
                .bind(project.id)
                .execute(self.connection())
                .await
                .map_err(StoreError::taken("project", &project.name))?;
        Ok(changed == 1)
    }

    /// Removes a project with its pipelines, members, tokens and secrets. Its runs stay. `false` if there is no such project.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn remove_project(&mut self, id: ProjectId) -> Result<bool, StoreError> {
        query(
            "remove the secrets of a project",
            "DELETE FROM secrets WHERE (scope = 'project' AND scope_id = $1) \
             OR (scope = 'pipeline' AND scope_id IN (SELECT id FROM pipelines WHERE project = $1))",
        )
        .bind(id)
        .execute(self.connection())
        .await?;
        let removed = query("remove a project", "DELETE FROM projects WHERE id = $1").bind(id);
        Ok(removed.execute(self.connection()).await? == 1)
    }

    /// A project by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn project(&mut self, id: ProjectId) -> Result<Option<ProjectRow>, StoreError> {
        find(self.connection(), "id = $1", id.to_string()).await
    }
}

impl Store {
    /// A project by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn project(&self, id: ProjectId) -> Result<Option<ProjectRow>, StoreError> {
        find(&mut self.reader().await?, "id = $1", id.to_string()).await
    }

    /// A project by its name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn project_by_name(&self, name: &str) -> Result<Option<ProjectRow>, StoreError> {
        find(&mut self.reader().await?, "name = $1", name.to_owned()).await
    }

    /// Projects by name: all of them, or those of this user.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn projects(
        &self,
        member: Option<UserId>,
        request: &PageRequest,
    ) -> Result<Page<ProjectRow>, StoreError> {
        let cursor = request.texts::<1>()?.map(|[name]| name);
        let rows = List::new("list projects", SELECT)
            .maybe("id IN (SELECT project FROM memberships WHERE user_id = ?)", member)
            .maybe("name > ?", cursor)
            .fetch(&mut self.reader().await?, "name", request)
            .await?;
        let projects = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(projects, |last: &ProjectRow| cursor_of(&[&last.name])))
    }

    /// Those of these projects that are there, in no order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn projects_by_id(&self, ids: &[ProjectId]) -> Result<Vec<ProjectRow>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        let mut connection = self.reader().await?;
        for ids in ids.chunks(oxide_core::api::page::LIMIT_MAX as usize) {
            let request = PageRequest::first(ids.len() as u32);
            let rows = List::new("read projects", SELECT)
                .one_of("id", Some(ids))
                .fetch(&mut connection, "name", &request)
                .await?;
            for row in &rows {
                found.push(read(row)?);
            }
        }
        Ok(found)
    }
}

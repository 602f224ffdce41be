//! Secrets of a server, encrypted with AES-256-GCM. Values go in through a [`Vault`] and come out of it for jobs alone.
//!
//! Whoever has the database without the master key has names, and no values. A value is bound to its place: moved to another
//! row it cannot be read. Master keys are numbered; [`Vault::rotate`] exchanges them while servers run.

mod crypto;
mod error;
mod master_keys;
mod rotate;
mod vault;

pub use error::VaultError;
pub use master_keys::{KeySource, KeyText, MASTER_KEY_VARIABLE};
pub use rotate::Rotation;
pub use vault::{NewSecret, Resolved, Vault};

use std::fmt;

use oxide_core::{
    api::{page::Page, secret::SecretScope},
    id::{PipelineId, ProjectId, SecretId, UserId},
    time::Timestamp,
};

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::{List, cursor_of},
    row::{get, maybe_parse, parse, time},
    sql::{Row, query},
};

/// Whose a secret is. Of several with the same name the nearest one counts: that of the pipeline, else that of its project,
/// else that of the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretOwner {
    /// The server's own, such as the key that it signs sessions with. No job gets it and no list shows it.
    Server,
    /// For all pipelines.
    Organization,
    /// For the pipelines of a project.
    Project(ProjectId),
    /// For one pipeline.
    Pipeline(PipelineId),
}

impl SecretOwner {
    /// As it stands in the columns `scope` and `scope_id`.
    pub(crate) fn columns(self) -> (&'static str, String) {
        match self {
            SecretOwner::Server => ("server", String::new()),
            SecretOwner::Organization => ("organization", String::new()),
            SecretOwner::Project(id) => ("project", id.to_string()),
            SecretOwner::Pipeline(id) => ("pipeline", id.to_string()),
        }
    }

    fn read(row: &Row) -> Result<SecretOwner, StoreError> {
        match get::<&str>(row, "scope")? {
            "server" => Ok(SecretOwner::Server),
            "organization" => Ok(SecretOwner::Organization),
            "project" => parse(row, "scope_id").map(SecretOwner::Project),
            "pipeline" => parse(row, "scope_id").map(SecretOwner::Pipeline),
            other => Err(StoreError::value("scope")(format!("unknown scope `{other}`"))),
        }
    }
}

impl fmt::Display for SecretOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretOwner::Server => f.write_str("the server"),
            SecretOwner::Organization => f.write_str("the organization"),
            SecretOwner::Project(id) => write!(f, "project {id}"),
            SecretOwner::Pipeline(id) => write!(f, "pipeline {id}"),
        }
    }
}

/// What is shown of a secret: everything but its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    /// The id.
    pub id: SecretId,
    /// Whose it is.
    pub owner: SecretOwner,
    /// The project that it belongs to, or that its pipeline belongs to.
    pub project: Option<ProjectId>,
    /// The name.
    pub name: String,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it got its value.
    pub updated_at: Timestamp,
}

/// Which secrets are wanted. Those of the server itself are never listed.
#[derive(Clone, Debug, Default)]
pub struct SecretFilter {
    /// Only those that belong to such an owner.
    pub kind: Option<SecretScope>,
    /// Only those of these projects and their pipelines; none means all, those of the organization too.
    pub projects: Option<Vec<ProjectId>>,
    /// Only those of this pipeline.
    pub pipeline: Option<PipelineId>,
}

fn read(row: &Row) -> Result<SecretRow, StoreError> {
    Ok(SecretRow {
        id: parse(row, "id")?,
        owner: SecretOwner::read(row)?,
        project: maybe_parse(row, "project")?,
        name: get(row, "name")?,
        created_by: maybe_parse(row, "created_by")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

const PROJECT: &str = "CASE WHEN secrets.scope = 'project' THEN secrets.scope_id WHEN secrets.scope = 'pipeline' THEN pipelines.project END";

impl Transaction {
    /// Removes a secret. `false` if there is none of this name.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn remove_secret(&mut self, owner: SecretOwner, name: &str) -> Result<bool, StoreError> {
        let (scope, scope_id) = owner.columns();
        let text = "DELETE FROM secrets WHERE scope = $1 AND scope_id = $2 AND name = $3";
        let removed = query("remove a secret", text).bind(scope).bind(scope_id).bind(name);
        Ok(removed.execute(self.connection()).await? == 1)
    }
}

impl Store {
    /// Secrets by name, without their values.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn secrets(&self, filter: &SecretFilter, request: &PageRequest) -> Result<Page<SecretRow>, StoreError> {
        let select = format!(
            "SELECT secrets.id AS id, scope, scope_id, {PROJECT} AS project, secrets.name AS name, \
             secrets.created_by AS created_by, secrets.created_at AS created_at, secrets.updated_at AS updated_at \
             FROM secrets LEFT JOIN pipelines ON secrets.scope = 'pipeline' AND pipelines.id = secrets.scope_id"
        );
        let kind = filter.kind.map(|kind| match kind {
            SecretScope::Organization => "organization",
            SecretScope::Project => "project",
            SecretScope::Pipeline => "pipeline",
        });
        let rows = List::new("list secrets", &select)
            .plainly("scope <> 'server'")
            .maybe("scope = ?", kind)
            .one_of(PROJECT, filter.projects.as_deref())
            .maybe("scope = 'pipeline' AND scope_id = ?", filter.pipeline)
            .after_both(("secrets.name", "secrets.id"), request.texts::<2>()?)
            .fetch(&mut self.reader().await?, "secrets.name, secrets.id", request)
            .await?;
        let secrets = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(secrets, |last: &SecretRow| cursor_of(&[&last.name, &last.id.to_string()])))
    }
}

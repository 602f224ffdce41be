//! Secrets of a server. Values go in and never come out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{PipelineId, ProjectId, SecretId, UserId},
    time::Timestamp,
};

/// For which runs a secret is. If several have a name, that of the pipeline goes before that of the project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretScope {
    /// Those of all projects.
    Organization,
    /// Those of one project.
    #[default]
    Project,
    /// Those of one pipeline.
    Pipeline,
}

/// What is known of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Secret {
    /// The id.
    pub id: SecretId,
    /// The name that steps have for it.
    pub name: String,
    /// For which runs it is.
    pub scope: SecretScope,
    /// The project, if it is for one project or pipeline.
    pub project: Option<ProjectId>,
    /// The pipeline, if it is for one.
    pub pipeline: Option<PipelineId>,
    /// Who stored it first.
    pub created_by: Option<UserId>,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored.
    pub updated_at: Timestamp,
}

/// A secret that is to be stored. One of the same name and scope gets the new value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// The name: letters, digits and `_`.
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// The value. A shorter one could not be masked in logs.
    #[schemars(length(min = 6, max = 65_536))]
    pub value: String,
    /// For which runs it is; those of the project if nothing is said.
    #[serde(default)]
    pub scope: SecretScope,
    /// The name or id of the project; `default` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The id or name of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

/// Without the value: it must not end up in a log.
impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Which secrets are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretQuery {
    /// How many entries, 1 to 200; 50 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// For which runs it is; those of the project if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<SecretScope>,
    /// The name or id of the project; `default` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The id or name of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

/// Which secret of a name is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretPlace {
    /// For which runs it is; those of the project if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<SecretScope>,
    /// The name or id of the project; `default` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The id or name of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

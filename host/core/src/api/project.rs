//! Projects, and what their members may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{LINE, TEXT};
use crate::{
    access::Role,
    id::{ProjectId, UserId},
    time::Timestamp,
};

/// A project: pipelines, secrets and members that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// The id.
    pub id: ProjectId,
    /// The name; it may stand in the place of the id.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where its code is.
    pub repository: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the caller may do here.
    pub role: Role,
}

/// A new project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// The name: letters, digits, `-`, `_` and `.`, at most 100.
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    #[schemars(length(max = 2000), regex(pattern = TEXT))]
    pub description: Option<String>,
    /// Where its code is.
    #[serde(default)]
    #[schemars(length(max = 2000), regex(pattern = LINE))]
    pub repository: Option<String>,
}

/// A change of a project. What is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChange {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: Option<String>,
    /// What it is for; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), regex(pattern = TEXT))]
    pub description: Option<String>,
    /// Where its code is; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), regex(pattern = LINE))]
    pub repository: Option<String>,
}

/// A member of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The id of the user.
    pub user: UserId,
    /// The name of the user.
    pub name: String,
    /// What the user may do in the project.
    pub role: Role,
}

/// What a member is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// What the user may do in the project.
    pub role: Role,
}

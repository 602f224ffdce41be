//! Users.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::EMAIL;
use crate::{
    access::{Role, Scope},
    id::{ProjectId, UserId},
    time::Timestamp,
};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The name; it may stand in the place of the id.
    pub name: String,
    /// The e-mail address, if it is known.
    pub email: Option<String>,
    /// May do everything everywhere.
    pub is_admin: bool,
    /// When the user was made.
    pub created_at: Timestamp,
    /// Since when the user may not sign in.
    pub disabled_at: Option<Timestamp>,
}

/// A new user. It has no password: give it a token, or link it by its e-mail address when it signs in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name: letters, digits, `-`, `_` and `.`, at most 100.
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// The e-mail address.
    #[serde(default)]
    #[schemars(length(max = 320), regex(pattern = EMAIL))]
    pub email: Option<String>,
    /// May do everything everywhere.
    #[serde(default)]
    pub is_admin: bool,
}

/// A change of a user. What is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: Option<String>,
    /// The new e-mail address; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320), regex(pattern = EMAIL))]
    pub email: Option<String>,
    /// May do everything everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,
    /// May not sign in, and no token of the user works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
}

/// Who the caller is, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// The user.
    pub user: User,
    /// The roles, by the name of the project. An administrator has all roles in all projects, named here or not.
    pub roles: BTreeMap<String, Role>,
    /// What the token of this request may be used for; a session may be used for everything.
    pub scopes: Vec<Scope>,
    /// The only project that the token of this request is for.
    pub project: Option<ProjectId>,
}

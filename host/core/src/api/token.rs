//! API tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::TEXT;
use crate::{
    access::Scope,
    id::{ProjectId, TokenId},
    time::Timestamp,
};

/// What is known of a token. The token itself is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// The id.
    pub id: TokenId,
    /// What the user calls it.
    pub name: String,
    /// How the token begins, to tell tokens from each other.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The id of the only project that it is for; null if it is for all that the user may use.
    pub project: Option<ProjectId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends to work; null if never.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What to call it.
    #[schemars(length(min = 1, max = 100), regex(pattern = TEXT))]
    pub name: String,
    /// What it may be used for; everything that the caller may, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub scopes: Option<Vec<Scope>>,
    /// The name or id of the only project that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// When it ends to work; in 90 days if nothing is said, and in a year at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A token that was made. This is the only time that it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedToken {
    /// The token: send it as `Authorization: Bearer oxide_pat_…`.
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub about: Token,
}

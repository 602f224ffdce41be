//! The audit log: who changed what, and who was not let in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{id::ProjectId, time::Timestamp};

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Its number; entries of later have higher ones.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who: `user:NAME`, `agent:ID`, `setup` or `nobody`.
    pub actor: String,
    /// What: the name of the operation, such as `create_project`; below `/v2/` `push_plugin` or `delete_plugin`.
    pub action: String,
    /// To what: the path of the request.
    pub target: String,
    /// The id of the project that it belongs to.
    pub project: Option<ProjectId>,
    /// From where.
    pub address: Option<String>,
    /// More about it.
    pub details: serde_json::Value,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditQuery {
    /// How many entries, 1 to 200; 50 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only what this actor did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only what belongs to this project: its name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

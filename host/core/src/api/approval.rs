//! Stages that ask people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::TEXT;
use crate::{
    approval::{ApprovalStatus, Approver},
    id::{ApprovalId, ProjectId, RunId, UserId},
    time::Timestamp,
};

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// The id.
    pub id: ApprovalId,
    /// The run that waits.
    pub run: RunId,
    /// The project of the run.
    pub project: Option<ProjectId>,
    /// The name of the pipeline.
    pub pipeline_name: String,
    /// The name of the stage.
    pub stage: String,
    /// How it stands.
    pub status: ApprovalStatus,
    /// Who may answer.
    pub approvers: Vec<Approver>,
    /// How many of them must agree.
    pub minimum: u32,
    /// When it was asked.
    pub created_at: Timestamp,
    /// Until when people can answer.
    pub expires_at: Timestamp,
    /// When it was decided.
    pub ended_at: Option<Timestamp>,
    /// What people have answered, oldest first.
    pub votes: Vec<ApprovalVote>,
}

/// What one person has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalVote {
    /// Who.
    pub user: UserId,
    /// The name of the user.
    pub name: String,
    /// Yes or no.
    pub approve: bool,
    /// What there was to say.
    pub comment: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVote {
    /// What there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), regex(pattern = TEXT))]
    pub comment: Option<String>,
}

/// Which approvals are wanted; newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalQuery {
    /// How many entries, 1 to 200; 50 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only those of this project: its name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Only those of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Only those that stand so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ApprovalStatus>,
}

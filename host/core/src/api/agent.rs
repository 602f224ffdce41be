//! Agents, and how they join.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{LINE, TEXT};
use crate::{
    event::AgentStatus,
    id::{AgentId, AgentTokenId, UserId},
    protocol::{AgentCapability, SystemMetrics},
    time::Timestamp,
};

/// An agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    /// The id.
    pub id: AgentId,
    /// The name.
    pub name: String,
    /// What it does.
    pub status: AgentStatus,
    /// Labels that jobs ask for with `runs_on`.
    pub labels: Vec<String>,
    /// What its machine can do.
    pub capabilities: Vec<AgentCapability>,
    /// How many jobs it runs at the same time.
    pub slots: u32,
    /// The version of its program.
    pub version: String,
    /// It takes no more jobs.
    pub draining: bool,
    /// When it joined.
    pub registered_at: Timestamp,
    /// When it was last heard of.
    pub last_heartbeat_at: Option<Timestamp>,
    /// How its machine fares.
    pub metrics: Option<SystemMetrics>,
}

/// Drain an agent, or let it take jobs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainAgent {
    /// No more jobs?
    #[serde(default = "yes")]
    pub drain: bool,
}

impl Default for DrainAgent {
    fn default() -> Self {
        DrainAgent { drain: true }
    }
}

fn yes() -> bool {
    true
}

/// A token with which one agent may join, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgentToken {
    /// What to call it.
    #[serde(default)]
    #[schemars(length(max = 100), regex(pattern = TEXT))]
    pub name: String,
    /// The labels of the agent; if nothing is said, it chooses them itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 100), regex(pattern = LINE)))]
    pub labels: Option<Vec<String>>,
    /// When it ends to work; in an hour if nothing is said, and in 30 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What is known of a token with which an agent may join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentToken {
    /// The id.
    pub id: AgentTokenId,
    /// What it is called.
    pub name: String,
    /// The labels of the agent that joins with it; null if it chooses them itself.
    pub labels: Option<Vec<String>>,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends to work.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// By which agent.
    pub used_by: Option<AgentId>,
}

/// A token that was made. This is the only time that it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedAgentToken {
    /// The token: `oxide agent --join TOKEN` takes it.
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub about: AgentToken,
}

/// An agent that wants to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinAgent {
    /// The token, `oxide_reg_…`. It works once.
    pub token: String,
    /// A name for people, such as the host name.
    #[schemars(length(min = 1, max = 100), regex(pattern = TEXT))]
    pub name: String,
    /// Labels that jobs ask for with `runs_on`.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub labels: Vec<String>,
    /// What its machine can do.
    #[serde(default)]
    pub capabilities: Vec<AgentCapability>,
    /// How many jobs it runs at the same time.
    #[schemars(range(min = 1, max = 10_000))]
    pub slots: u32,
    /// The version of its program.
    #[serde(default)]
    pub version: String,
}

/// An agent has joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinedAgent {
    /// Its id.
    pub id: AgentId,
    /// What it signs in with from now on, `oxide_agt_…`. This is the only time that it is shown.
    pub credential: String,
}

/// An agent waits for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// The agent.
    pub agent: AgentId,
}

//! What an agent tells of its machine.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the machine of an agent can do beyond running plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentCapability {
    /// Start containers: a Docker or Podman socket answers.
    Docker,
    /// `nix develop`.
    Nix,
    /// Virtual machines: `/dev/kvm` can be opened and `firecracker` is there.
    Kvm,
    /// Run commands of pipelines on the machine itself, as the user of the agent: whoever writes a pipeline can then read
    /// whatever that user can read.
    Host,
}

impl AgentCapability {
    /// All of them.
    pub const ALL: [AgentCapability; 4] =
        [AgentCapability::Docker, AgentCapability::Nix, AgentCapability::Kvm, AgentCapability::Host];

    /// The word in JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentCapability::Docker => "docker",
            AgentCapability::Nix => "nix",
            AgentCapability::Kvm => "kvm",
            AgentCapability::Host => "host",
        }
    }
}

impl fmt::Display for AgentCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no capability of an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no capability `{0}` of agents; there are docker, nix, kvm and host")]
pub struct UnknownCapability(pub String);

impl FromStr for AgentCapability {
    type Err = UnknownCapability;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = AgentCapability::ALL.into_iter().find(|capability| capability.as_str() == text);
        known.ok_or_else(|| UnknownCapability(text.to_owned()))
    }
}

/// How the machine of an agent fares. What it cannot measure is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemMetrics {
    /// How busy all processors together were since the last heartbeat, from 0 to 100.
    pub cpu_percent: f64,
    /// The average number of processes that wanted to run in the last minute.
    pub load_1m: f64,
    /// Bytes of memory in use.
    pub memory_used_bytes: u64,
    /// Bytes of memory in all.
    pub memory_total_bytes: u64,
    /// Bytes in use on the disk that holds the agent's data.
    pub disk_used_bytes: u64,
    /// Bytes of that disk in all.
    pub disk_total_bytes: u64,
}

//! What a step did through the capabilities that it was granted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The calls of capabilities that a step made in one try.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepEffects {
    /// One entry for each function that was called, in the order of the first calls.
    #[serde(default)]
    pub calls: Vec<CallTally>,
    /// SHA-256 over the names and arguments of all calls in their order, as 64 hexadecimal digits: two steps with the same digest
    /// asked for the same. None if nothing was called, or if the step may read a secret: the digest of a short text would
    /// give it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// All calls of one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallTally {
    /// Interface and function as in the contract, such as `workspace.read`.
    pub name: String,
    /// How many calls.
    pub count: u64,
    /// How many of them were answered with an error, or never returned.
    pub failed: u64,
    /// How long all of them took together, in microseconds.
    pub wall_us: u64,
}

impl StepEffects {
    /// Was nothing called?
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.calls.iter().map(|tally| tally.count).sum()
    }
}

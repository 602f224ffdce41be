//! Plugins as pipelines use them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{plugin::Capability, time::Timestamp};

/// A plugin by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginRef {
    /// As it stands behind `uses:`.
    pub reference: String,
    /// `sha256:` and the digest of the component.
    pub digest: String,
}

/// A plugin that runs have used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsedPlugin {
    /// As it stands behind `uses:`.
    pub reference: String,
    /// `sha256:` and the digest of the component.
    pub digest: String,
    /// What it can ask for.
    pub capabilities: BTreeSet<Capability>,
    /// When a run used it first.
    pub first_used_at: Timestamp,
    /// When a run used it last.
    pub last_used_at: Timestamp,
    /// How many runs have used it.
    pub uses: u64,
}

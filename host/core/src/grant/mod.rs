//! What a pipeline lets one step do. Deny by default: the effective right is what the component imports and the pipeline
//! grants.

mod host_rule;
mod trust;

use std::collections::{BTreeMap, BTreeSet};

pub use host_rule::{HostRule, HostRuleError, is_public};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use trust::{ForkRights, Trust};

use crate::plugin::Capability;

/// What one step was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Grants {
    /// The granted capabilities.
    pub capabilities: BTreeSet<Capability>,
    /// The workspace may be read only.
    #[serde(default)]
    pub workspace_read_only: bool,
    /// Entries of the cache may be restored, and none saved.
    #[serde(default)]
    pub cache_read_only: bool,
    /// Artifacts may be downloaded, and none uploaded.
    #[serde(default)]
    pub artifacts_read_only: bool,
    /// The secrets that it may spend, and whether it may also read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretGrant>,
    /// Where its HTTP requests may go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HostRule>,
    /// Where its TCP connections may go; each rule has a port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<HostRule>,
    /// How far the run is trusted: some capabilities do less for a fork.
    #[serde(default, skip_serializing_if = "Trust::is_full")]
    pub trust: Trust,
}

/// What a step may do with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretGrant {
    /// Hand it on without reading it.
    Spend,
    /// Read it.
    Reveal,
}

/// Hosts as they are shown. Those of which the pipeline says that they may be private are marked.
fn hosts(rules: &[HostRule]) -> String {
    let shown = |rule: &HostRule| {
        let by_itself = HostRule::parse(&rule.to_string()).is_ok_and(|rule| rule.private);
        format!("{rule}{}", if rule.private && !by_itself { " (may be private)" } else { "" })
    };
    match rules {
        [] => "no host".to_owned(),
        rules => rules.iter().map(shown).collect::<Vec<_>>().join(" and "),
    }
}

impl Grants {
    /// Is this capability granted?
    pub fn allows(&self, capability: Capability) -> bool {
        capability.is_always_granted() || self.capabilities.contains(&capability)
    }

    /// Is this capability granted for reading only?
    pub fn is_read_only(&self, capability: Capability) -> bool {
        match capability {
            Capability::Workspace => self.workspace_read_only,
            Capability::Cache => self.cache_read_only,
            Capability::Artifacts => self.artifacts_read_only,
            _ => false,
        }
    }

    /// Grants this capability for reading only.
    pub fn make_read_only(&mut self, capability: Capability) {
        match capability {
            Capability::Workspace => self.workspace_read_only = true,
            Capability::Cache => self.cache_read_only = true,
            Capability::Artifacts => self.artifacts_read_only = true,
            _ => {}
        }
    }

    /// A granted capability as it is shown: `git`, `cache (read only)`, `http: codecov.io and example.org:8443`.
    pub fn shown(&self, capability: Capability) -> String {
        let key = capability.yaml_key();
        match capability {
            Capability::Http => format!("{key}: {}", hosts(&self.http)),
            Capability::Tcp => format!("{key}: {}", hosts(&self.tcp)),
            _ if self.is_read_only(capability) => format!("{key} (read only)"),
            _ => key.to_owned(),
        }
    }

    /// Grants the spending of a secret; a right to read it that is there already stays.
    pub fn spend(&mut self, secret: &str) {
        self.secrets.entry(secret.to_owned()).or_insert(SecretGrant::Spend);
    }
}

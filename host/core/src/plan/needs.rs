//! What a job needs of the agent that takes it, and which secrets it may see.

use std::collections::BTreeSet;

use super::{EnvironmentSpec, PlannedJob};
use crate::protocol::AgentCapability;

impl PlannedJob {
    /// What the machine of an agent must be able to do.
    pub fn needs(&self) -> BTreeSet<AgentCapability> {
        let place: &[AgentCapability] = match &self.environment {
            EnvironmentSpec::Host => &[AgentCapability::Host],
            EnvironmentSpec::Container { .. } => &[AgentCapability::Docker],
            // Its commands run on the machine as well.
            EnvironmentSpec::Nix { .. } => &[AgentCapability::Nix, AgentCapability::Host],
            EnvironmentSpec::Firecracker { .. } => &[AgentCapability::Kvm],
        };
        let services = (!self.services.is_empty()).then_some(AgentCapability::Docker);
        place.iter().copied().chain(services).collect()
    }

    /// The names of the secrets that its steps and services may spend or read: the only ones whose values travel to the
    /// agent that takes it.
    pub fn secret_names(&self) -> BTreeSet<&str> {
        let of_steps = self.steps.iter().flat_map(|step| step.grants.secrets.keys());
        let of_services = self.services.iter().flat_map(|service| &service.secrets);
        of_steps.chain(of_services).map(String::as_str).collect()
    }
}

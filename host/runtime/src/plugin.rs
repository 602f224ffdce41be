//! A plugin that is ready to be called.

use oxide_core::{
    grant::Grants,
    plugin::{Capability, PluginDescription},
    wit::Type,
};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::{describe::record_type, state::State};

/// A compiled and linked component. Everything that does not differ between two calls is prepared here.
pub struct Plugin {
    description: PluginDescription,
    asks_for: Vec<Capability>,
    pub(crate) inputs: Type,
    pub(crate) outputs: Type,
    pub(crate) instance: InstancePre<State>,
    pub(crate) run: ComponentExportIndex,
}

/// A capability that the component imports and the pipeline does not grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it imports `{}` ({}), which this step does not grant", capability.import(), capability.summary())]
pub struct NotGranted {
    /// The first capability that is missing.
    pub capability: Capability,
    /// All capabilities that the component asks for.
    asks_for: Vec<Capability>,
}

impl NotGranted {
    /// The line to add to the step.
    pub fn hint(&self) -> String {
        let grants: Vec<String> = self.asks_for.iter().map(|capability| capability.example_grant()).collect();
        format!("add `grants: {{ {} }}` to the step if you trust the plugin", grants.join(", "))
    }
}

impl Plugin {
    /// Puts a plugin together; none if the component has no `run`, which its description excludes.
    pub(crate) fn new(
        description: PluginDescription,
        component: &Component,
        instance: InstancePre<State>,
    ) -> Option<Plugin> {
        Some(Plugin {
            asks_for: description.asks_for().collect(),
            inputs: record_type(&description.inputs),
            outputs: record_type(&description.outputs),
            instance,
            run: component.get_export_index(None, "run")?,
            description,
        })
    }

    /// What is known of it.
    pub fn description(&self) -> &PluginDescription {
        &self.description
    }

    /// Is everything granted that the component asks for?
    ///
    /// # Errors
    /// [`NotGranted`] with the first capability that is not.
    pub fn check_grants(&self, grants: &Grants) -> Result<(), NotGranted> {
        match self.asks_for.iter().find(|capability| !grants.allows(**capability)) {
            Some(capability) => Err(NotGranted { capability: *capability, asks_for: self.asks_for.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_is_the_line_to_write() {
        let missing = NotGranted {
            capability: Capability::Environment,
            asks_for: vec![Capability::Workspace, Capability::Environment, Capability::Secrets, Capability::Http],
        };
        assert_eq!(
            missing.to_string(),
            "it imports `oxide:ci/environment` (run commands in the job's environment), which this step does not grant"
        );
        assert_eq!(
            missing.hint(),
            "add `grants: { workspace: write, environment: true, secrets: [NAME], http: [HOST] }` to the step if you trust the plugin"
        );
    }
}

//! What the host offers to plugins: one file for each interface of `wit/`, named like it, and for the standard ones `http`
//! and `tcp`. What several share is in [`reach`] and [`stored`].
//!
//! An interface is linked only into components that import it, and those run only where it is granted. [`OFFERS`] is the
//! complete list.

pub(crate) mod artifacts;
pub(crate) mod cache;
pub(crate) mod containers;
pub(crate) mod environment;
pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod run_info;
pub(crate) mod secrets;
pub(crate) mod tcp;
pub(crate) mod workspace;

use oxide_core::plugin::Capability;
use wasmtime::component::{HasSelf, Linker, ResourceTableError};

use self::bindings::oxide::ci;
use crate::state::State;

/// The traits that the interfaces of `wit/` ask the host to implement.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package oxide:host;
            world host {
                import oxide:ci/types@0.1.0;
                import oxide:ci/log@0.1.0;
                import oxide:ci/output@0.1.0;
                import oxide:ci/run-info@0.1.0;
                import oxide:ci/workspace@0.1.0;
                import oxide:ci/environment@0.1.0;
                import oxide:ci/git@0.1.0;
                import oxide:ci/secrets@0.1.0;
                import oxide:ci/containers@0.1.0;
                import oxide:ci/cache@0.1.0;
                import oxide:ci/artifacts@0.1.0;
            }
        ",
        world: "oxide:host/host",
        imports: { default: async | trappable },
        additional_derives: [serde::Serialize],
        trappable_error_type: { "oxide:ci/types.error" => crate::capability::CapabilityError },
        with: {
            "oxide:ci/workspace.directory": crate::capability::workspace::Directory,
            "oxide:ci/environment.environment": crate::capability::environment::JobEnvironment,
            "oxide:ci/environment.command": crate::capability::environment::Command,
            "oxide:ci/environment.process": crate::capability::environment::RunningProcess,
            "oxide:ci/git.repository": crate::capability::git::Repository,
            "oxide:ci/secrets.secret": crate::capability::secrets::Secret,
            "oxide:ci/containers.engine": crate::capability::containers::Engine,
            "oxide:ci/containers.image": crate::capability::containers::Image,
            "oxide:ci/cache.cache-store": crate::capability::cache::CacheStore,
            "oxide:ci/artifacts.artifact-store": crate::capability::artifacts::ArtifactStore,
        },
    });
}

/// Links one interface.
type Link = fn(&mut Linker<State>) -> wasmtime::Result<()>;

/// Everything that a plugin can be offered.
const OFFERS: [(Capability, Link); 13] = [
    (Capability::Types, |linker| ci::types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Log, |linker| ci::log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Output, |linker| ci::output::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::RunInfo, |linker| ci::run_info::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Workspace, |linker| ci::workspace::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Environment, |linker| ci::environment::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Git, |linker| ci::git::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Secrets, |linker| ci::secrets::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Containers, |linker| ci::containers::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Cache, |linker| ci::cache::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Artifacts, |linker| ci::artifacts::add_to_linker::<State, HasSelf<State>>(linker, |state| state)),
    (Capability::Http, http::add_to_linker),
    // With the rest of WASI, for every plugin.
    (Capability::Tcp, |_| Ok(())),
];

/// Links one capability.
pub(crate) fn link(capability: Capability, linker: &mut Linker<State>) -> wasmtime::Result<()> {
    OFFERS.iter().filter(|(offered, _)| *offered == capability).try_for_each(|(_, link)| link(linker))
}

/// Why a capability could not do what it was asked: an `error` of the contract, or a trap.
#[derive(Debug)]
pub(crate) enum CapabilityError {
    NotFound(String),
    Denied(String),
    Invalid(String),
    Limit(String),
    Other(String),
    /// Ends the plugin: a limit that it cannot handle, or a handle that is none.
    Trap(wasmtime::Error),
}

impl From<ResourceTableError> for CapabilityError {
    fn from(error: ResourceTableError) -> Self {
        CapabilityError::Trap(error.into())
    }
}

impl From<crate::environment::LogLimitReached> for CapabilityError {
    fn from(error: crate::environment::LogLimitReached) -> Self {
        CapabilityError::Trap(error.into())
    }
}

impl ci::types::Host for State {
    fn convert_error(&mut self, error: CapabilityError) -> wasmtime::Result<ci::types::Error> {
        self.recorder.failed();
        Ok(match error {
            CapabilityError::NotFound(text) => ci::types::Error::NotFound(text),
            CapabilityError::Denied(text) => ci::types::Error::Denied(text),
            CapabilityError::Invalid(text) => ci::types::Error::Invalid(text),
            CapabilityError::Limit(text) => ci::types::Error::Limit(text),
            CapabilityError::Other(text) => ci::types::Error::Other(text),
            CapabilityError::Trap(error) => return Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_is_offered_once() {
        assert_eq!(OFFERS.map(|(capability, _)| capability), Capability::ALL);
    }
}

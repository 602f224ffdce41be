//! Where the commands of a job run: one file for each kind of place.
//!
//! A [`JobEnvironment`] lives as long as its attempt; each step sees it through a [`StepEnvironment`] with the step's own
//! variables.

mod by_hand;
mod container;
mod firecracker;
mod host;
mod nix;
mod output;

use std::{io, sync::Arc};

use async_trait::async_trait;
use oxide_core::{
    id::{AgentId, AttemptId},
    outcome::{Failure, FailureCause},
    plan::EnvironmentSpec,
};
use oxide_runtime::environment::Environment;

pub use by_hand::ByHand;
pub(crate) use container::remove_containers_of;

use crate::{docker::containers::Containers, workspace::JobDirectory};

/// The place where the commands of one attempt run.
#[async_trait]
pub(crate) trait JobEnvironment: Send + Sync {
    /// The place as one step sees it, with these variables on top of its own; later ones win.
    fn for_step(&self, variables: Vec<(String, String)>) -> Arc<dyn StepEnvironment>;

    /// The network of its commands, as Docker names it: what services join.
    fn network(&self) -> String;

    /// Ends everything that still runs there and lets go of what was made for the job, the workspace excepted. Containers
    /// are gone when their `Removals` end.
    async fn end(&self);
}

/// The place as one step sees it.
#[async_trait]
pub(crate) trait StepEnvironment: Environment {
    /// Asks every process that the step has started and that still runs to end. Tells whether there were any.
    async fn terminate(&self) -> bool;
}

/// Makes the environment that the plan asks for. `services` are the names by which commands in a container reach what joins
/// its network.
///
/// # Errors
/// A failure with cause [`FailureCause::Environment`] that says what is missing and what to do.
pub(crate) async fn prepare(
    spec: &EnvironmentSpec,
    services: &[&str],
    containers: &Containers,
    directory: &JobDirectory,
) -> Result<Arc<dyn JobEnvironment>, Failure> {
    match spec {
        EnvironmentSpec::Host => {
            let (agent, attempt) = containers.owner();
            Ok(Arc::new(host::HostEnvironment::new(agent, attempt, directory)))
        }
        EnvironmentSpec::Container { image, cpus, memory_bytes, pids, network } => {
            let (memory_bytes, network) = (*memory_bytes, *network);
            let wish = container::Wish { image, cpus: *cpus, memory_bytes, pids: *pids, network, services };
            Ok(Arc::new(container::ContainerEnvironment::start(wish, containers, directory).await?))
        }
        EnvironmentSpec::Nix { flake } => {
            let (agent, attempt) = containers.owner();
            Ok(Arc::new(nix::NixEnvironment::new(flake, agent, attempt, directory)?))
        }
        EnvironmentSpec::Firecracker { kernel, rootfs, boot_args, vcpus, memory_bytes } => {
            let (kernel, rootfs, boot_args) = (kernel.clone(), rootfs.clone(), boot_args.clone());
            let wish = firecracker::Wish { kernel, rootfs, boot_args, vcpus: *vcpus, memory_bytes: *memory_bytes };
            let (agent, attempt) = containers.owner();
            Ok(Arc::new(firecracker::FirecrackerEnvironment::new(wish, agent, attempt, directory).await?))
        }
    }
}

/// A failure of the environment.
pub(crate) fn failure(message: impl Into<String>) -> Failure {
    Failure::new(FailureCause::Environment, message)
}

/// What stands in the environment of every command.
fn common_variables(agent: AgentId, attempt: AttemptId, workspace: &str) -> Vec<(String, String)> {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        set("LANG", "C.UTF-8"),
        set("CI", "true"),
        set("OXIDE_CI", "true"),
        set("OXIDE_WORKSPACE", workspace),
        (crate::processes::ATTEMPT_COOKIE.to_owned(), attempt.to_string()),
        (crate::processes::AGENT_COOKIE.to_owned(), agent.to_string()),
    ]
}

/// The names of variables that say whose a process is; nobody may change them.
fn is_cookie(name: &str) -> bool {
    matches!(name, crate::processes::AGENT_COOKIE | crate::processes::ATTEMPT_COOKIE | crate::processes::PROCESS_COOKIE)
}

/// Refuses names and values that no operating system takes.
fn check_variable(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.contains('=') || name.contains('\0') {
        return Err(format!("`{}` is not a name of an environment variable", name.escape_debug()));
    }
    if value.contains('\0') {
        return Err(format!("the value of the environment variable `{name}` holds a zero byte"));
    }
    Ok(())
}

/// The words of the operating system without the number of the error.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

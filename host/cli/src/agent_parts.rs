//! The parts of an agent, put together alike wherever one runs: in `oxide run`, in `oxide server`, and as `oxide agent`.

use std::{path::Path, sync::Arc};

use oxide_agent::{Agent, AgentConfig, AgentError, Session, Wish};
use oxide_blobs::Blobs;
use oxide_core::{
    id::AgentId,
    protocol::{AgentCapability, OrchestratorLink},
    secret::Secrets,
};
use oxide_registry::{Catalog, Lock, oci::Client};
use oxide_runtime::{Runtime, RuntimeConfig, RuntimeError};
use tokio::{sync::watch, task::JoinHandle};

use crate::{compiling, failure::Failure, registries};

/// What tells one agent from another.
#[derive(Clone, Debug)]
pub struct AgentProfile {
    /// Its id.
    pub id: AgentId,
    /// A name for people.
    pub name: String,
    /// Labels that jobs ask for with `runs_on`.
    pub labels: Vec<String>,
    /// How many jobs it runs at the same time.
    pub slots: u32,
    /// What it says that its machine can do; none means that it finds out.
    pub capabilities: Option<Vec<AgentCapability>>,
    /// The socket of Docker; none means the usual one.
    pub docker_host: Option<String>,
    /// How many bytes of reports it keeps on disk while its orchestrator is away; none if that cannot be.
    pub spool_bytes_max: Option<u64>,
}

/// An agent that runs beside other parts of this process. Its session is to be held until all of them have ended: from then on
/// nobody looks for what this process may have left.
pub struct RunningAgent {
    task: JoinHandle<Result<Vec<String>, AgentError>>,
    wish: watch::Sender<Wish>,
}

/// Puts an agent together.
pub fn agent(
    profile: AgentProfile,
    data: &Path,
    session: &Arc<Session>,
    link: Arc<dyn OrchestratorLink>,
    blobs: Arc<Blobs>,
    catalog: Catalog,
) -> Result<Agent, Failure> {
    let runtime = runtime(data, blobs)?;
    // Without it everything works but the killing of what hides on purpose.
    let _ = oxide_agent::adopt_orphans();
    let AgentProfile { id, name, labels, slots, capabilities, docker_host, spool_bytes_max } = profile;
    let config = AgentConfig {
        id,
        name,
        labels,
        slots,
        capabilities,
        data_dir: data.to_path_buf(),
        docker_host,
        clock: oxide_agent::system_clock(),
        secrets: Secrets::new(),
        spool_bytes_max,
    };
    Ok(Agent::new(config, Arc::clone(session), link, runtime, Arc::new(catalog)))
}

impl RunningAgent {
    /// Lets an agent run.
    pub fn start(agent: Agent) -> RunningAgent {
        let (wish, wishes) = watch::channel(Wish::Work);
        RunningAgent { task: tokio::spawn(agent.run(wishes)), wish }
    }

    /// Waits until its jobs have ended (or stops them, if that is wished), and says what went wrong.
    pub async fn end(self, wish: Wish) {
        self.wish.send_replace(wish);
        match self.task.await {
            Ok(Ok(left_behind)) => tell_left_behind(&left_behind),
            Ok(Err(error)) => Failure::trouble("the agent stopped").because(&error).print(),
            Err(error) => Failure::trouble("the agent broke off").because(&error).print(),
        }
    }
}

/// Says what an agent could not remove.
pub fn tell_left_behind(left_behind: &[String]) {
    for left in left_behind {
        eprintln!("note: could not remove what a job left, the next `oxide` command tries again: {left}");
    }
}

/// Where agents find the plugins of pipelines whose files are elsewhere: in this program, on this machine, or in the registry
/// that the plan names.
pub fn catalog_of_stored_pipelines(data: &Path, registries: Client) -> Catalog {
    Catalog::of_lock(Lock::default()).with_store(registries::store(data)).with_registries(registries)
}

fn runtime(data: &Path, blobs: Arc<Blobs>) -> Result<Arc<Runtime>, Failure> {
    let config =
        RuntimeConfig { cache_dir: data.join("compiled"), compiler: compiling::compiler()?, blobs: Some(blobs) };
    let runtime = Runtime::new(config).map_err(|error| {
        let failure = Failure::trouble("could not start the component runtime").because(&error);
        match error {
            RuntimeError::Cache(_) => failure.hint(in_the_way(data)),
            RuntimeError::Engine(_) => failure,
        }
    })?;
    Ok(Arc::new(runtime))
}

/// What to do where the data directory holds something that is not ours.
pub fn in_the_way(data: &Path) -> String {
    let data = data.display();
    format!("move away what is in the way in `{data}`, or name another data directory with `--data-dir DIR`")
}

/// What an agent says that its machine can do: what it finds out itself, whenever it registers; or what it found out now, but for
/// commands on the machine itself.
pub async fn capabilities(host_jobs: bool, docker_host: Option<&str>) -> Option<Vec<AgentCapability>> {
    if host_jobs {
        return None;
    }
    let mut found = oxide_agent::capabilities::detect(docker_host).await;
    found.retain(|capability| *capability != AgentCapability::Host);
    Some(found)
}

/// How many jobs run at the same time: one for each processor, two at least.
pub fn slots() -> u32 {
    std::thread::available_parallelism().map_or(2, |count| u32::try_from(count.get()).unwrap_or(2)).max(2)
}

/// The labels that every agent of this machine has.
pub fn labels_of_this_machine() -> Vec<String> {
    [std::env::consts::OS, std::env::consts::ARCH].map(str::to_owned).to_vec()
}

//! Store, bus, orchestrator and one agent in this process: the same parts that the server uses.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use oxide_agent::{DeadAgent, Session, Wish};
use oxide_blobs::Blobs;
use oxide_bus::Bus;
use oxide_core::{
    id::{AgentId, RunId},
    plan::Plan,
    protocol::AgentCapability,
    secret::Secrets,
    time::Timestamp,
};
use oxide_orchestrator::{Control, NewRun, Orchestrator, OrchestratorHandle};
use oxide_registry::Catalog;
use oxide_store::{Location, RunOrigin, Store};
use uuid::Uuid;

use crate::{
    agent_parts::{self, AgentProfile, RunningAgent, in_the_way},
    failure::Failure,
    project::Project,
    registries,
};

/// Everything that runs a pipeline on this machine.
pub struct LocalEngine {
    /// Where everything is kept.
    pub store: Store,
    /// What happens, as it happens.
    pub bus: Bus,
    /// Owns every state change.
    pub orchestrator: Control,
    handle: OrchestratorHandle,
    agent: RunningAgent,
    /// Ends last: from its end on, nobody looks for what this process may have left.
    session: Arc<Session>,
}

/// What `runs_on` may ask of this machine.
pub const LABELS: [&str; 2] = ["linux", "local"];

/// Opens the store after cleaning up what dead processes left, so that it tells the truth.
///
/// Answers with the store alone: enough for commands that only look.
pub async fn open_store(data: &Path) -> Result<Store, Failure> {
    let store = open(data).await?;
    recover(data, &store).await?;
    Ok(store)
}

impl LocalEngine {
    /// Starts all parts for the plugins of a project.
    pub async fn start(
        data: &Path,
        project: &Project,
        secrets: Secrets,
        blobs: Arc<Blobs>,
    ) -> Result<LocalEngine, Failure> {
        let store = open(data).await?;
        recover(data, &store).await?;
        let id = AgentId(Uuid::now_v7());
        let session = Session::begin(data, id)
            .map(Arc::new)
            .map_err(|error| Failure::trouble("could not begin").because(&error).hint(in_the_way(data)))?;
        let bus = Bus::new();
        let clock = oxide_agent::system_clock();
        let orchestrator = Orchestrator::new(id.into(), clock.clone())
            .secrets(Arc::new(secrets.clone()))
            .start(store.clone(), bus.clone())
            .await
            .map_err(|error| Failure::trouble("could not start the orchestrator").because(&error))?;
        let profile = AgentProfile {
            id,
            name: "local".to_owned(),
            labels: LABELS.map(str::to_owned).to_vec(),
            slots: agent_parts::slots(),
            // What is missing is told by the job that needs it; here no other agent could come.
            capabilities: Some(AgentCapability::ALL.to_vec()),
            docker_host: None,
            spool_bytes_max: None,
        };
        let catalog = Catalog::new(project.directory.clone()).with_store(registries::store(data));
        let link = Arc::new(orchestrator.control());
        let agent = agent_parts::agent(profile, data, &session, link, blobs, catalog)?;
        let agent = RunningAgent::start(agent);
        let (orchestrator, handle) = (orchestrator.control(), orchestrator);
        Ok(LocalEngine { store, bus, orchestrator, handle, agent, session })
    }

    /// Creates a run; answers with its number within its pipeline.
    pub async fn submit(&self, id: RunId, plan: &Arc<Plan>, project: &Project) -> Result<u64, Failure> {
        let run = NewRun {
            id,
            plan: plan.clone(),
            source_text: project.source.clone(),
            project_dir: project.directory.display().to_string(),
            origin: RunOrigin::default(),
        };
        self.orchestrator
            .submit(run)
            .await
            .map_err(|error| Failure::trouble("could not create the run").because(&error))
    }

    /// Ends the parts in order: the agent first, then what it reports to.
    pub async fn stop(self) {
        self.agent.end(Wish::Drain).await;
        self.handle.shutdown().await;
        drop(self.session);
    }
}

async fn open(data: &Path) -> Result<Store, Failure> {
    let file: PathBuf = data.join("oxide.db");
    Store::open(&Location::from(file))
        .await
        .map_err(|error| Failure::of(&error).hint("name another data directory with `--data-dir DIR`"))
}

/// Removes what dead processes left, then writes down that their runs were interrupted.
async fn recover(data: &Path, store: &Store) -> Result<(), Failure> {
    let dead = oxide_agent::sweep(data).await;
    let owners: Vec<_> = dead.iter().map(|dead| (dead.agent.into(), dead.pid.unwrap_or(0))).collect();
    for left in dead.iter().flat_map(|dead| &dead.left_behind) {
        eprintln!("note: could not remove what an earlier run left: {left}");
    }
    oxide_orchestrator::recover(store, &owners, now())
        .await
        .map_err(|error| Failure::trouble("could not write down what became of interrupted runs").because(&error))?;
    dead.into_iter().for_each(DeadAgent::forget);
    Ok(())
}

/// The present.
pub fn now() -> Timestamp {
    oxide_agent::system_clock()()
}

/// How long threads may go on that wait for the system after all is done, such as for a name that is looked up.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// Runs a future to its end in a runtime of its own.
pub fn in_runtime<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::trouble("could not start threads").because(&error))?;
    let done = runtime.block_on(future);
    runtime.shutdown_timeout(LAST_MOMENTS);
    done
}

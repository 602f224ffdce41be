//! Store, bus, orchestrator and one agent in this process: the same parts that the server uses.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use oxide_agent::{Agent, AgentConfig, DeadAgent, Session, Wish};
use oxide_blobs::Blobs;
use oxide_bus::Bus;
use oxide_core::{
    id::{AgentId, RunId},
    plan::Plan,
    secret::Secrets,
    time::Timestamp,
};
use oxide_orchestrator::{Control, NewRun, Orchestrator, OrchestratorHandle};
use oxide_registry::Catalog;
use oxide_runtime::{Runtime, RuntimeConfig, RuntimeError};
use oxide_store::{Location, RunOrigin, Store};
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use crate::{compiling, failure::Failure, project::Project, registries};

/// Everything that runs a pipeline on this machine.
pub struct LocalEngine {
    /// Where everything is kept.
    pub store: Store,
    /// What happens, as it happens.
    pub bus: Bus,
    /// Owns every state change.
    pub orchestrator: Control,
    handle: OrchestratorHandle,
    agent: JoinHandle<()>,
    stop_agent: watch::Sender<Wish>,
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
        let config =
            RuntimeConfig { cache_dir: data.join("compiled"), compiler: compiling::compiler()?, blobs: Some(blobs) };
        let runtime = Runtime::new(config).map_err(|error| {
            let failure = Failure::trouble("could not start the component runtime").because(&error);
            match error {
                RuntimeError::Cache(_) => failure.hint(in_the_way(data)),
                RuntimeError::Engine(_) => failure,
            }
        })?;
        // Without it everything works but the killing of what hides on purpose.
        let _ = oxide_agent::adopt_orphans();
        let config = AgentConfig {
            id,
            name: "local".to_owned(),
            labels: LABELS.map(str::to_owned).to_vec(),
            slots: slots(),
            data_dir: data.to_path_buf(),
            docker_host: None,
            clock,
            secrets,
            spool_bytes_max: None,
        };
        let catalog = Arc::new(Catalog::new(project.directory.clone()).with_store(registries::store(data)));
        let agent =
            Agent::new(config, Arc::clone(&session), Arc::new(orchestrator.control()), Arc::new(runtime), catalog);
        let (stop_agent, wishes) = watch::channel(Wish::Work);
        let agent = tokio::spawn(async move {
            match agent.run(wishes).await {
                Ok(left_behind) => left_behind.iter().for_each(|left| {
                    eprintln!("note: could not remove what a job left, the next `oxide` command tries again: {left}");
                }),
                Err(error) => Failure::trouble("the agent stopped").because(&error).print(),
            }
        });
        let (orchestrator, handle) = (orchestrator.control(), orchestrator);
        Ok(LocalEngine { store, bus, orchestrator, handle, agent, stop_agent, session })
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
        let _ = self.stop_agent.send(Wish::Drain);
        let _ = self.agent.await;
        self.handle.shutdown().await;
        drop(self.session);
    }
}

/// What to do where the data directory holds something that is not ours.
fn in_the_way(data: &Path) -> String {
    let data = data.display();
    format!("move away what is in the way in `{data}`, or name another data directory with `--data-dir DIR`")
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

/// How many jobs run at the same time: one for each processor, two at least.
fn slots() -> u32 {
    std::thread::available_parallelism().map_or(2, |count| u32::try_from(count.get()).unwrap_or(2)).max(2)
}

/// Runs a future to its end in a runtime of its own.
pub fn in_runtime<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::trouble("could not start threads").because(&error))?;
    runtime.block_on(future)
}

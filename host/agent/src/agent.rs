//! The agent: takes jobs while it has free slots, and passes on what the orchestrator wants stopped.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use oxide_core::{
    id::{AgentId, AttemptId},
    protocol::{Cancellation, Heartbeat, Lease, LinkError, OrchestratorLink, Register},
    secret::{Masker, Secrets},
};
use oxide_registry::Catalog;
use oxide_runtime::Runtime;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    Clock, Session,
    docker::images::DockerEngine,
    job::{self, Tools},
    orphans,
    report::{Closed, insist},
};

/// The pause after a message that did not get through.
const PAUSE: Duration = Duration::from_millis(500);

/// What an agent is told at its start.
#[derive(Clone)]
pub struct AgentConfig {
    /// The id that it chooses for itself; never used again.
    pub id: AgentId,
    /// A name for people, such as the host name.
    pub name: String,
    /// Labels that jobs ask for with `runs_on`.
    pub labels: Vec<String>,
    /// How many jobs it runs at the same time.
    pub slots: u32,
    /// Where it keeps its lock file and the directories of its jobs.
    pub data_dir: PathBuf,
    /// The socket of Docker, such as `unix:///var/run/docker.sock`; none means `DOCKER_HOST`, else the usual place.
    pub docker_host: Option<String>,
    /// Tells the time of what happens.
    pub clock: Clock,
    /// The values of the secrets that its jobs may name.
    pub secrets: Secrets,
}

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The orchestrator has shut down before the agent was known to it.
    #[error("could not register the agent `{name}`: the orchestrator has shut down")]
    Closed {
        /// Its name.
        name: String,
    },
}

/// A process (or a part of one) that takes jobs and runs them.
pub struct Agent {
    config: AgentConfig,
    tools: Arc<Tools>,
    attempts: Arc<Attempts>,
}

/// The attempts that run, and how each learns that it shall stop.
#[derive(Default)]
struct Attempts(Mutex<HashMap<AttemptId, watch::Sender<Option<Cancellation>>>>);

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptId, watch::Sender<Option<Cancellation>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, attempt: AttemptId) -> watch::Receiver<Option<Cancellation>> {
        let (sender, receiver) = watch::channel(None);
        self.lock().insert(attempt, sender);
        receiver
    }

    fn cancel(&self, cancellation: Cancellation) {
        if let Some(sender) = self.lock().get(&cancellation.attempt) {
            sender.send_replace(Some(cancellation));
        }
    }

    fn running(&self) -> Vec<AttemptId> {
        self.lock().keys().copied().collect()
    }
}

impl Agent {
    /// An agent that has not started yet. The session is the caller's, who began it before anything was written under the
    /// agent's id: what a killed process leaves is found by its session.
    pub fn new(
        config: AgentConfig,
        session: Arc<Session>,
        link: Arc<dyn OrchestratorLink>,
        runtime: Arc<Runtime>,
        catalog: Arc<Catalog>,
    ) -> Agent {
        let tools = Arc::new(Tools {
            agent: config.id,
            data_dir: config.data_dir.clone(),
            docker_host: config.docker_host.clone(),
            containers: Arc::new(DockerEngine::new(config.docker_host.clone())),
            clock: Arc::clone(&config.clock),
            masker: Arc::new(Masker::new(config.secrets.values())),
            secrets: config.secrets.clone(),
            session,
            link,
            runtime,
            catalog,
            left_behind: Mutex::default(),
        });
        Agent { config, tools, attempts: Arc::default() }
    }

    /// Takes and runs jobs until `shutdown` turns true (or its sender is gone), the orchestrator asks to drain, or has
    /// shut down. Returns when the jobs that ran then have ended; it cancels none of them by itself. Answers with what it could
    /// not remove: the session stays for that, and the next sweep tries again.
    ///
    /// # Errors
    /// If the orchestrator is gone before the agent is registered.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) -> Result<Vec<String>, AgentError> {
        let name = self.config.name.clone();
        let register = Register {
            agent: self.config.id,
            name: name.clone(),
            labels: self.config.labels.clone(),
            slots: self.config.slots,
        };
        tokio::select! {
            registered = insist(|| self.tools.link.register(register.clone())) => {
                registered.map_err(|Closed| AgentError::Closed { name })?;
            }
            () = turns_true(&mut shutdown) => return Ok(Vec::new()),
        }
        let (drain_sender, mut drain) = watch::channel(false);
        let mut heartbeats = JoinSet::new();
        heartbeats.spawn(beat(Arc::clone(&self.tools), Arc::clone(&self.attempts), drain_sender));
        heartbeats.spawn(orphans::reap_while_jobs_run());
        let mut jobs = JoinSet::new();
        tokio::select! {
            () = self.take_jobs(&mut jobs) => {}
            () = turns_true(&mut shutdown) => {}
            () = turns_true(&mut drain) => {}
        }
        // Heartbeats go on meanwhile: they bring cancellations.
        while jobs.join_next().await.is_some() {}
        // Once more: a job that broke off has not done it.
        orphans::attempt_ends(orphans::attempt_begins().await).await;
        let work = crate::workspace::work_directory(&self.config.data_dir, self.config.id);
        // It is empty now, unless something could not be removed.
        let _ = std::fs::remove_dir(work);
        let left_behind = self.tools.left_behind();
        if !left_behind.is_empty() {
            self.tools.session.leave_to_the_sweep();
        }
        Ok(left_behind)
    }

    /// Leases jobs one after the other while there are slots. Ends when the orchestrator has shut down.
    async fn take_jobs(&self, jobs: &mut JoinSet<()>) {
        let slots = Arc::new(Semaphore::new(self.config.slots.max(1) as usize));
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the slots are never closed");
            let lease = match self.tools.link.lease(self.config.id).await {
                Ok(Some(lease)) => lease,
                Ok(None) => continue,
                Err(LinkError::Closed) => return,
                Err(LinkError::Unavailable(_)) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let work = self.work(*lease);
            jobs.spawn(async move {
                work.await;
                drop(slot);
            });
            while jobs.try_join_next().is_some() {}
        }
    }

    fn work(&self, lease: Lease) -> impl Future<Output = ()> + Send + 'static {
        let attempt = lease.attempt;
        let cancelled = self.attempts.begin(attempt);
        let (tools, attempts) = (Arc::clone(&self.tools), Arc::clone(&self.attempts));
        async move {
            // A task of its own, so that a panic in it costs this job only.
            if let Err(error) = tokio::spawn(job::run(Arc::clone(&tools), lease, cancelled)).await {
                tools.leave_behind(format!("all that a job had made when it broke off: {error}"));
            }
            attempts.lock().remove(&attempt);
        }
    }
}

/// Tells the orchestrator that the agent lives, and passes on what it answers.
async fn beat(tools: Arc<Tools>, attempts: Arc<Attempts>, drain: watch::Sender<bool>) {
    loop {
        let heartbeat = Heartbeat { agent: tools.agent, attempts: attempts.running() };
        match tools.link.heartbeat(heartbeat).await {
            Ok(answer) => {
                let idle = answer.cancel.is_empty();
                answer.cancel.into_iter().for_each(|cancellation| attempts.cancel(cancellation));
                if answer.drain {
                    drain.send_replace(true);
                }
                if !idle || answer.drain {
                    // What was just said may be said again until it has taken effect.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Err(LinkError::Closed) => {
                drain.send_replace(true);
                return;
            }
            Err(LinkError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn turns_true(flag: &mut watch::Receiver<bool>) {
    // A sender that is gone counts as true: nobody is left who could say so.
    let _ = flag.wait_for(|value| *value).await;
}

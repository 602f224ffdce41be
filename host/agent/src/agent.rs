//! The agent: takes jobs while it has free slots, and passes on what the orchestrator wants stopped.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use oxide_core::{
    id::AgentId,
    protocol::{AgentCapability, Heartbeat, Lease, LinkError, OrchestratorLink, Register},
    secret::Secrets,
};
use oxide_registry::Catalog;
use oxide_runtime::Runtime;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    Clock, Session,
    attempts::Attempts,
    capabilities,
    docker::images::DockerEngine,
    job::{self, Tools},
    link::insist::{Pauses, Unheard, insist},
    metrics::Meter,
    orphans,
    restart::replay,
    spool::{Spool, left::LeftAttempt},
};

/// An orchestrator that answers a heartbeat at once is not asked more often.
const HEARTBEAT_PAUSE: Duration = Duration::from_secs(1);
/// What was just said may be said again until it has taken effect.
const TOLD_PAUSE: Duration = Duration::from_millis(50);

/// What an agent is told at its start.
#[derive(Clone)]
pub struct AgentConfig {
    /// Its id: one that it chooses for itself, or that a server gave it when it joined.
    pub id: AgentId,
    /// A name for people, such as the host name.
    pub name: String,
    /// Labels that jobs ask for with `runs_on`.
    pub labels: Vec<String>,
    /// How many jobs it runs at the same time.
    pub slots: u32,
    /// What it says that its machine can do; none means that it finds out.
    pub capabilities: Option<Vec<AgentCapability>>,
    /// Where it keeps its lock file, the directories of its jobs, and its spool.
    pub data_dir: PathBuf,
    /// The socket of Docker, such as `unix:///var/run/docker.sock`; none means `DOCKER_HOST`, else the usual place.
    pub docker_host: Option<String>,
    /// Tells the time of what happens.
    pub clock: Clock,
    /// The values of secrets that its jobs may name besides those that come with each.
    pub secrets: Secrets,
    /// How many bytes of reports are kept on disk while the orchestrator is away; none for an agent in the process of its
    /// orchestrator, which ends with it.
    pub spool_bytes_max: Option<u64>,
}

/// What whoever started an agent wants of it. It becomes more, never less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Take jobs and run them.
    #[default]
    Work,
    /// Take no more jobs, and end when the present ones have ended.
    Drain,
    /// Stop the present jobs at once, tell that they are lost, and end.
    Stop,
}

/// Why an agent could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The orchestrator has shut down before the agent was known to it.
    #[error("could not register the agent `{name}`: the orchestrator has shut down")]
    Closed {
        /// Its name.
        name: String,
    },
    /// The orchestrator does not want it.
    #[error("the agent `{name}` is not wanted any more: {reason}")]
    Refused {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// A process (or a part of one) that takes jobs and runs them.
pub struct Agent {
    config: AgentConfig,
    tools: Arc<Tools>,
    attempts: Arc<Attempts>,
}

/// Why no more jobs are taken.
#[derive(Clone, Debug, PartialEq)]
enum Ending {
    /// The orchestrator has shut down.
    Closed,
    /// The orchestrator does not want this agent any more.
    Refused(String),
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
        let spool = config.spool_bytes_max.map(|bytes_max| Spool::of(&config.data_dir, config.id, bytes_max));
        let tools = Arc::new(Tools {
            agent: config.id,
            data_dir: config.data_dir.clone(),
            docker_host: config.docker_host.clone(),
            containers: Arc::new(DockerEngine::new(config.docker_host.clone())),
            clock: Arc::clone(&config.clock),
            secrets: config.secrets.clone(),
            session,
            link,
            runtime,
            catalog,
            spool,
            stop: watch::channel(false).0,
            left_behind: Mutex::default(),
        });
        Agent { config, tools, attempts: Arc::default() }
    }

    /// Takes and runs jobs until [`Wish::Drain`] (or the sender of wishes is gone), or until the orchestrator has shut down. An
    /// orchestrator that drains the agent gives no jobs, for a while or for ever: the agent stays and asks. Returns when the jobs
    /// that ran then have ended; only [`Wish::Stop`] and an orchestrator that does not want the agent any more cut them short.
    /// Answers with what it could not remove: the session stays for that, and the next sweep tries again.
    ///
    /// An agent with a spool first tells what an earlier process of the same id could not tell.
    ///
    /// # Errors
    /// If the orchestrator is gone before the agent is registered, or refuses it.
    pub async fn run(self, mut wish: watch::Receiver<Wish>) -> Result<Vec<String>, AgentError> {
        let name = self.config.name.clone();
        let left = self.tools.spool.as_ref().map(Spool::left).unwrap_or_default();
        // They are this agent's until it has told their end.
        left.iter().for_each(|left| drop(self.attempts.begin(left.attempt)));
        let register = self.description().await;
        tokio::select! {
            registered = insist(|| self.tools.link.register(register.clone())) => match registered {
                Ok(()) => {}
                Err(Unheard::Closed) => return Err(AgentError::Closed { name }),
                Err(Unheard::Refused(reason) | Unheard::Rejected(reason)) => {
                    return Err(AgentError::Refused { name, reason });
                }
            },
            () = becomes(&mut wish, Wish::Drain) => return Ok(Vec::new()),
        }
        tracing::info!(agent = %self.config.id, "the agent `{name}` is known to its orchestrator");
        let (ending_sender, mut ending) = watch::channel(None);
        let mut heartbeats = JoinSet::new();
        let meter = Meter::new(&self.config.data_dir);
        heartbeats.spawn(beat(Arc::clone(&self.tools), Arc::clone(&self.attempts), register, meter, ending_sender));
        heartbeats.spawn(orphans::reap_while_jobs_run());
        let mut jobs = JoinSet::new();
        let work = async {
            self.tell_what_is_left(left).await;
            self.take_jobs(&mut jobs).await
        };
        let ended = tokio::select! {
            ended = work => Some(ended),
            () = becomes(&mut wish, Wish::Drain) => None,
            ended = turns_some(&mut ending) => Some(ended),
        };
        // Those that have ended already.
        while jobs.try_join_next().is_some() {}
        if !jobs.is_empty() {
            tracing::info!("taking no more jobs; waiting for {} to end", jobs.len());
        }
        let refusal = self.end_jobs(jobs, wish, ending, ended).await;
        heartbeats.shutdown().await;
        // Once more: a job that broke off has not done it.
        orphans::attempt_ends(orphans::attempt_begins().await).await;
        let work = crate::workspace::work_directory(&self.config.data_dir, self.config.id);
        // It is empty now, unless something could not be removed.
        let _ = std::fs::remove_dir(work);
        let left_behind = self.tools.left_behind();
        if !left_behind.is_empty() {
            self.tools.session.leave_to_the_sweep();
        }
        match refusal {
            Some(reason) => Err(AgentError::Refused { name, reason }),
            None => Ok(left_behind),
        }
    }

    /// Waits for the jobs that run, and stops them if that is wished or nobody wants them any more. Answers with the reason
    /// of who refuses this agent. Heartbeats go on meanwhile: they bring cancellations.
    async fn end_jobs(
        &self,
        mut jobs: JoinSet<()>,
        mut wish: watch::Receiver<Wish>,
        mut ending: watch::Receiver<Option<Ending>>,
        ended: Option<Ending>,
    ) -> Option<String> {
        let reason_of = |ended: Ending| match ended {
            Ending::Refused(reason) => Some(reason),
            Ending::Closed => None,
        };
        let mut refusal = ended.and_then(reason_of);
        loop {
            if refusal.is_some() {
                self.tools.stop.send_replace(true);
            }
            tokio::select! {
                job = jobs.join_next() => if job.is_none() {
                    return refusal;
                },
                () = becomes_stop(&mut wish), if !*self.tools.stop.borrow() => {
                    tracing::info!("stopping {} jobs at once", jobs.len());
                    self.tools.stop.send_replace(true);
                }
                reason = refused(&mut ending), if refusal.is_none() => refusal = Some(reason),
            }
        }
    }

    async fn description(&self) -> Register {
        Register {
            agent: self.config.id,
            name: self.config.name.clone(),
            labels: self.config.labels.clone(),
            slots: self.config.slots,
            capabilities: match &self.config.capabilities {
                Some(said) => said.clone(),
                None => capabilities::detect(self.config.docker_host.as_deref()).await,
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Tells what an earlier process of this agent could not tell.
    async fn tell_what_is_left(&self, left: Vec<LeftAttempt>) {
        for left in left {
            let attempt = left.attempt;
            replay(&self.tools, left).await;
            self.attempts.end(attempt);
        }
    }

    /// Leases jobs one after the other while there are slots.
    async fn take_jobs(&self, jobs: &mut JoinSet<()>) -> Ending {
        let slots = Arc::new(Semaphore::new(self.config.slots.max(1) as usize));
        let mut pauses = Pauses::new();
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the slots are never closed");
            let lease = match self.tools.link.lease(self.config.id).await {
                Ok(lease) => lease,
                Err(LinkError::Closed) => return Ending::Closed,
                Err(LinkError::Refused { reason }) => return Ending::Refused(reason),
                Err(LinkError::Unavailable(_) | LinkError::Rejected { .. }) => {
                    pauses.pause().await;
                    continue;
                }
            };
            pauses = Pauses::new();
            let Some(lease) = lease else { continue };
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
            attempts.end(attempt);
        }
    }
}

/// Tells the orchestrator that the agent lives, and passes on what it answers.
async fn beat(
    tools: Arc<Tools>,
    attempts: Arc<Attempts>,
    register: Register,
    mut meter: Meter,
    ending: watch::Sender<Option<Ending>>,
) {
    let mut pauses = Pauses::new();
    let (mut is_away, mut drains) = (false, false);
    loop {
        let heartbeat = Heartbeat { agent: tools.agent, attempts: attempts.all(), metrics: meter.read() };
        let began = tokio::time::Instant::now();
        match tools.link.heartbeat(heartbeat).await {
            Ok(answer) => {
                if std::mem::take(&mut is_away) {
                    tracing::info!("the server is back");
                }
                pauses = Pauses::new();
                let has_news = !answer.cancel.is_empty() || answer.drain != drains;
                answer.cancel.into_iter().for_each(|cancellation| attempts.cancel(cancellation));
                if std::mem::replace(&mut drains, answer.drain) != answer.drain {
                    match answer.drain {
                        true => tracing::info!("the server drains this agent: no jobs come until it ends that"),
                        false => tracing::info!("the server gives this agent jobs again"),
                    }
                }
                if has_news {
                    tokio::time::sleep(TOLD_PAUSE).await;
                } else if began.elapsed() < HEARTBEAT_PAUSE {
                    tokio::time::sleep(HEARTBEAT_PAUSE).await;
                }
            }
            Err(LinkError::Closed) => {
                ending.send_replace(Some(Ending::Closed));
                return;
            }
            Err(LinkError::Refused { reason }) => {
                ending.send_replace(Some(Ending::Refused(reason)));
                return;
            }
            Err(LinkError::Unavailable(error)) => {
                if !std::mem::replace(&mut is_away, true) {
                    tracing::warn!("the server cannot be reached: {}", oxide_core::cause::in_one_line(&*error));
                }
                pauses.pause().await;
                // It may have forgotten us. If it cannot hear us, the next heartbeat finds that out, too.
                let _ = tools.link.register(register.clone()).await;
            }
            Err(LinkError::Rejected { reason }) => {
                tracing::error!("the server does not take heartbeats: {reason}");
                pauses.pause().await;
            }
        }
    }
}

/// Waits until so much is wished. A sender that is gone wishes to drain: nobody is left who could say so.
async fn becomes(wish: &mut watch::Receiver<Wish>, wanted: Wish) {
    let _ = wish.wait_for(|wish| *wish >= wanted).await;
}

/// The same for what only somebody who is there can wish.
async fn becomes_stop(wish: &mut watch::Receiver<Wish>) {
    if wish.wait_for(|wish| *wish == Wish::Stop).await.is_err() {
        std::future::pending().await
    }
}

async fn turns_some(ending: &mut watch::Receiver<Option<Ending>>) -> Ending {
    match ending.wait_for(Option::is_some).await {
        Ok(ended) => ended.clone().expect("it was waited for"),
        Err(_) => Ending::Closed,
    }
}

/// Waits for the word that this agent is not wanted any more; for ever if nobody can say it.
async fn refused(ending: &mut watch::Receiver<Option<Ending>>) -> String {
    loop {
        if let Some(Ending::Refused(reason)) = &*ending.borrow_and_update() {
            return reason.clone();
        }
        if ending.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests;

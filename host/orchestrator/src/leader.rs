//! Of several servers on one store one leads: it has the orchestrator. The others stand by, and take over within seconds.
//!
//! [`Election`] is what a server asks, whoever leads: a call goes to the orchestrator of this process, or, by [`Forward`], to the
//! server that leads. Who leads is told by the store alone: the connection that an orchestrator writes with holds the lock, so
//! that what a former leader would still like to write cannot be committed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use oxide_core::time::Timestamp;
use oxide_store::{LeaderInfo, Store, Writer};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    Call, Carrier, Control, Orchestrator, OrchestratorError, OrchestratorHandle, Reply, Tail, actor::Ended,
    error::Cause,
};

/// How often a server that stands by tries to lead.
const TRY: Duration = Duration::from_millis(500);
/// How long a call waits for somebody to lead.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before a call is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Carries a call to another server.
#[async_trait]
pub trait Forward: Send + Sync {
    /// Asks the server that leads.
    ///
    /// # Errors
    /// [`OrchestratorError::Unreachable`] if it could not be reached, or its address leads to a server that does not lead;
    /// [`OrchestratorError::NoLeader`] if it announces no address; else what it answered.
    async fn forward(&self, leader: &LeaderInfo, call: Call) -> Result<Reply, OrchestratorError>;
}

/// Who leads, as this server knows it.
#[derive(Clone, Debug)]
pub enum Leadership {
    /// This server.
    Here(OrchestratorHandle),
    /// Another one.
    Elsewhere(LeaderInfo),
    /// Nobody, for the moment.
    Nobody,
}

/// A server that leads, or stands by. Cheap to clone.
#[derive(Clone)]
pub struct Election {
    store: Store,
    leadership: watch::Receiver<Leadership>,
    forward: Option<Arc<dyn Forward>>,
}

/// The part of a server that leads and stands by. Ends with [`Candidate::stop`].
#[derive(Debug)]
pub struct Candidate {
    stop: watch::Sender<bool>,
    task: JoinHandle<Tail>,
}

impl std::fmt::Debug for Election {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Election").field("leadership", &*self.leadership.borrow()).finish_non_exhaustive()
    }
}

impl Election {
    /// Begins to stand for leadership. Each time that this server becomes the leader it starts this orchestrator, whose events
    /// go to `tail`. Without `forward` calls find nobody while another server leads.
    ///
    /// # Errors
    /// The store cannot be written; a file of SQLite may have a server already.
    pub async fn stand(
        store: Store,
        orchestrator: Orchestrator,
        server: LeaderInfo,
        tail: Tail,
        forward: Option<Arc<dyn Forward>>,
    ) -> Result<(Election, Candidate), OrchestratorError> {
        let (tell, leadership) = watch::channel(Leadership::Nobody);
        let (stop, stopped) = watch::channel(false);
        let candidacy = Candidacy { store: store.clone(), orchestrator, server, tail, tell, stopped };
        // The first try is waited for: a file that has a server is found out at once.
        let writer = candidacy.try_lead().await?;
        let task = tokio::spawn(candidacy.run(writer));
        Ok((Election { store, leadership, forward }, Candidate { stop, task }))
    }

    /// What can be asked, whoever leads.
    pub fn control(&self) -> Control {
        Control::new(Arc::new(self.clone()))
    }

    /// Who leads now.
    pub fn leadership(&self) -> Leadership {
        self.leadership.borrow().clone()
    }

    /// Tells whenever somebody else leads.
    pub fn watch(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Asks the orchestrator of this process, and nobody else: what another server forwards is not forwarded again.
    ///
    /// # Errors
    /// [`OrchestratorError::NoLeader`] if this server does not lead.
    pub async fn call_here(&self, call: Call) -> Result<Reply, OrchestratorError> {
        let Leadership::Here(handle) = self.leadership() else { return Err(OrchestratorError::NoLeader) };
        match handle.call(call).await {
            // It was deposed meanwhile, or is ending.
            Err(OrchestratorError::Closed) => Err(OrchestratorError::NoLeader),
            answer => answer,
        }
    }

    async fn try_once(&self, call: Call) -> Result<Reply, OrchestratorError> {
        match (self.leadership(), &self.forward) {
            (Leadership::Here(_), _) => self.call_here(call).await,
            (Leadership::Elsewhere(leader), Some(forward)) => forward.forward(&leader, call).await,
            (Leadership::Elsewhere(_), None) | (Leadership::Nobody, _) => Err(OrchestratorError::NoLeader),
        }
    }

    /// Was the call done although its answer was lost? Only of a new run that can be found out; everything else may be said twice.
    async fn done_before(&self, call: &Call) -> Option<Reply> {
        let id = match call {
            Call::Submit(run) => run.id,
            Call::Retry(retry) => retry.id,
            _ => return None,
        };
        let run = self.store.run(id).await.ok()??;
        Some(Reply::Submitted { number: run.number })
    }
}

#[async_trait]
impl Carrier for Election {
    /// Asks whoever leads. While nobody does, or the leader cannot be reached, it is tried again for some seconds: a call that
    /// was done and whose answer was lost is not done twice.
    async fn call(&self, call: Call) -> Result<Reply, OrchestratorError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let error = match self.try_once(call.clone()).await {
                Err(error @ (OrchestratorError::NoLeader | OrchestratorError::Unreachable { .. })) => error,
                answer => return answer,
            };
            if let Some(reply) = self.done_before(&call).await {
                return Ok(reply);
            }
            if Instant::now() >= until {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }
}

impl Candidate {
    /// Ends the orchestrator, if this server leads, lets another one lead at once, and ends. Gives the tail back, which is to be
    /// ended last.
    pub async fn stop(self) -> Option<Tail> {
        let _ = self.stop.send(true);
        self.task.await.ok()
    }
}

struct Candidacy {
    store: Store,
    orchestrator: Orchestrator,
    server: LeaderInfo,
    tail: Tail,
    tell: watch::Sender<Leadership>,
    stopped: watch::Receiver<bool>,
}

impl Candidacy {
    async fn run(mut self, mut first: Option<Writer>) -> Tail {
        while !*self.stopped.borrow() && self.stopped.has_changed().is_ok() {
            let writer = match first.take() {
                Some(writer) => Some(writer),
                None => self.try_lead().await.unwrap_or_else(|error| {
                    tracing::warn!(cause = Cause::of(&error).chain(), "could not find out who leads");
                    self.tell(Leadership::Nobody);
                    None
                }),
            };
            match writer {
                Some(writer) => self.lead(writer).await,
                None => self.stand_by().await,
            }
            self.pause().await;
        }
        self.tell(Leadership::Nobody);
        self.tail
    }

    async fn try_lead(&self) -> Result<Option<Writer>, OrchestratorError> {
        let info = LeaderInfo { since: self.now(), ..self.server.clone() };
        Ok(self.store.try_lead(&info).await?)
    }

    /// Leads until it is deposed or stopped.
    async fn lead(&mut self, writer: Writer) {
        let begun = self.orchestrator.clone().start_with(writer.clone(), &self.tail).await;
        let (handle, mut task) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                tracing::warn!(cause = Cause::of(&error).chain(), "could not take over");
                return writer.step_down().await;
            }
        };
        tracing::info!(server = self.server.server, "this server leads");
        self.tell(Leadership::Here(handle.clone()));
        let ended = tokio::select! {
            ended = &mut task => ended,
            () = turns_true(&mut self.stopped) => {
                // Who asks from now on waits for the next leader.
                self.tell(Leadership::Nobody);
                let shutdown = handle.shutdown();
                let ended = async {
                    let (ended, asked) = (&mut task).await?;
                    asked.into_iter().for_each(|answer| drop(answer.send(Ok(()))));
                    Ok((ended, Vec::new()))
                };
                tokio::join!(shutdown, ended).1
            }
        };
        self.tell(Leadership::Nobody);
        drop(handle);
        match ended {
            Ok((Ended::LeadershipLost, _)) => tracing::warn!(server = self.server.server, "this server leads no more"),
            Ok(_) => {}
            Err(panic) => tracing::error!(%panic, "the orchestrator broke off"),
        }
        writer.step_down().await;
    }

    /// Remembers who leads.
    async fn stand_by(&self) {
        match self.store.leader().await {
            Ok(Some(leader)) if leader.server != self.server.server => self.tell(Leadership::Elsewhere(leader)),
            Ok(_) => self.tell(Leadership::Nobody),
            // Whoever led may still do.
            Err(error) => tracing::warn!(cause = Cause::of(&error).chain(), "could not read who leads"),
        }
    }

    async fn pause(&mut self) {
        tokio::select! {
            () = sleep(TRY) => {}
            () = turns_true(&mut self.stopped) => {}
        }
    }

    fn tell(&self, now: Leadership) {
        self.tell.send_if_modified(|before| {
            let same = match (&*before, &now) {
                (Leadership::Nobody, Leadership::Nobody) => true,
                (Leadership::Elsewhere(before), Leadership::Elsewhere(now)) => before == now,
                _ => false,
            };
            *before = now;
            !same
        });
    }

    fn now(&self) -> Timestamp {
        self.orchestrator.clock().now()
    }
}

/// A sender that is gone counts as true: nobody is left who could say so.
async fn turns_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|value| *value).await;
}

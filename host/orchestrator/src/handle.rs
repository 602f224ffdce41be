//! How others speak to the orchestrator, agents of the same process included.

use async_trait::async_trait;
use oxide_core::{
    id::{AgentId, RunId},
    protocol::{
        Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, LinkError, OrchestratorLink, Register, Report,
    },
    run::RunEvent,
};
use oxide_store::{OwnerId, Store};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Clock, NewRun, OrchestratorError, RunSummary,
    command::{Answer, Command},
    publish::Written,
};

/// The way to an orchestrator. Cheap to clone; the orchestrator ends when all are dropped, as if it had been killed: use
/// [`OrchestratorHandle::shutdown`].
#[derive(Clone)]
pub struct OrchestratorHandle {
    commands: mpsc::Sender<Command>,
    store: Store,
    clock: Clock,
    publisher: mpsc::WeakSender<Written>,
}

impl std::fmt::Debug for OrchestratorHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrchestratorHandle").field("store", &self.store.path()).finish_non_exhaustive()
    }
}

impl OrchestratorHandle {
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        store: Store,
        clock: Clock,
        publisher: mpsc::WeakSender<Written>,
    ) -> OrchestratorHandle {
        OrchestratorHandle { commands, store, clock, publisher }
    }

    /// Stores a run and offers its first jobs to agents. Answers with its number within its pipeline.
    ///
    /// # Errors
    /// The store cannot be written, or the orchestrator has shut down.
    pub async fn submit(&self, run: NewRun) -> Result<u64, OrchestratorError> {
        self.ask(|answer| Command::Submit(Box::new(run), answer)).await
    }

    /// Asks a run to end. What waits ends at once; what runs ends when its agent has stopped it. A second request also
    /// ends stages that run because of their condition. A run that has ended stays as it is.
    ///
    /// # Errors
    /// There is no such run, another process has it, or the store cannot be written.
    pub async fn cancel(&self, run: RunId, reason: impl Into<String>) -> Result<(), OrchestratorError> {
        self.end(run, RunEvent::CancelRequested { reason: reason.into() }).await
    }

    /// Cancels a run without waiting for it: the processes of its steps are killed, and nothing more of it runs.
    ///
    /// # Errors
    /// There is no such run, another process has it, or the store cannot be written.
    pub async fn kill(&self, run: RunId, reason: impl Into<String>) -> Result<(), OrchestratorError> {
        self.end(run, RunEvent::KillRequested { reason: reason.into() }).await
    }

    async fn end(&self, run: RunId, event: RunEvent) -> Result<(), OrchestratorError> {
        if self.ask(|answer| Command::End(run, event, answer)).await? {
            return Ok(());
        }
        self.summary(run).await.map(|_| ())
    }

    /// Waits until a run has ended.
    ///
    /// # Errors
    /// There is no such run, another process has it, or the orchestrator shuts down meanwhile.
    pub async fn wait(&self, run: RunId) -> Result<RunSummary, OrchestratorError> {
        match self.ask(|answer| Command::Wait(run, answer)).await? {
            Some(summary) => Ok(summary),
            None => self.summary(run).await,
        }
    }

    /// Ends the runs that dead processes left: see [`crate::recover`].
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn recover(&self, dead_owners: &[OwnerId]) -> Result<(), OrchestratorError> {
        let known = self.store.owners().await?;
        let pid_of = |id: &OwnerId| known.iter().find(|owner| owner.id == *id).map_or(0, |owner| owner.pid);
        let owners: Vec<_> = dead_owners.iter().map(|id| (*id, pid_of(id))).collect();
        crate::recover(&self.store, &owners, (self.clock)()).await?;
        if let Some(publisher) = self.publisher.upgrade() {
            // If it is gone, so is who would listen.
            let _ = publisher.send(Written::default()).await;
        }
        Ok(())
    }

    /// Writes and publishes what was taken in, answers all who wait, and ends. Runs that have not ended stay as they are:
    /// the next orchestrator of the same owner goes on with them.
    pub async fn shutdown(&self) {
        // An error says that it has ended already.
        let _ = self.ask(Command::Shutdown).await;
    }

    /// How a run ended that is not executed here.
    async fn summary(&self, id: RunId) -> Result<RunSummary, OrchestratorError> {
        let run = self.store.run(id).await?.ok_or(OrchestratorError::NoSuchRun(id))?;
        if !run.status.is_final() {
            return Err(OrchestratorError::NotOurs(id));
        }
        let (number, status, reason) = (run.number, run.status, run.reason);
        Ok(RunSummary { id, number, status, reason, started_at: run.started_at, ended_at: run.ended_at })
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, OrchestratorError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| OrchestratorError::Closed)?;
        answered.await.unwrap_or(Err(OrchestratorError::Closed))
    }
}

#[async_trait]
impl OrchestratorLink for OrchestratorHandle {
    async fn register(&self, message: Register) -> Result<(), LinkError> {
        Ok(self.ask(|answer| Command::Register(message, answer)).await?)
    }

    async fn lease(&self, agent: AgentId) -> Result<Option<Box<Lease>>, LinkError> {
        Ok(self.ask(|answer| Command::Lease(agent, answer)).await?)
    }

    async fn report(&self, message: Report) -> Result<Acknowledgement, LinkError> {
        Ok(self.ask(|answer| Command::Report(message, answer)).await?)
    }

    async fn heartbeat(&self, message: Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        Ok(self.ask(|answer| Command::Heartbeat(message, answer)).await?)
    }

    async fn complete(&self, message: Complete) -> Result<Acknowledgement, LinkError> {
        Ok(self.ask(|answer| Command::Complete(message, answer)).await?)
    }
}

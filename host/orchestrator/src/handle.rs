//! The way to an orchestrator of this process.

use std::sync::Arc;

use async_trait::async_trait;
use oxide_core::id::RunId;
use oxide_store::{OwnerId, Store};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    Call, Carrier, Clock, Control, OrchestratorError, Reply, RunSummary,
    command::{Answer, Command},
    door, retry,
    tail::Written,
};

/// The way to an orchestrator of this process. Cheap to clone; the orchestrator ends when all are dropped, as if it had been
/// killed: use [`OrchestratorHandle::shutdown`].
#[derive(Clone)]
pub struct OrchestratorHandle {
    commands: mpsc::Sender<Command>,
    store: Store,
    clock: Clock,
    tail: mpsc::WeakSender<Written>,
    problem: watch::Receiver<Option<String>>,
}

impl std::fmt::Debug for OrchestratorHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrchestratorHandle").field("store", self.store.location()).finish_non_exhaustive()
    }
}

impl OrchestratorHandle {
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        store: Store,
        clock: Clock,
        tail: mpsc::WeakSender<Written>,
        problem: watch::Receiver<Option<String>>,
    ) -> OrchestratorHandle {
        OrchestratorHandle { commands, store, clock, tail, problem }
    }

    /// What it can be asked for.
    pub fn control(&self) -> Control {
        Control::new(Arc::new(self.clone()))
    }

    /// Why what happens cannot be stored, as a full disk or a database that is read-only; none if the last of it was.
    pub fn storing_problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    /// Ends the runs that dead processes left: see [`crate::recover`].
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn recover(&self, dead_owners: &[OwnerId]) -> Result<(), OrchestratorError> {
        let known = self.store.owners().await?;
        let pid_of = |id: &OwnerId| known.iter().find(|owner| owner.id == *id).map_or(0, |owner| owner.pid);
        let owners: Vec<_> = dead_owners.iter().map(|id| (*id, pid_of(id))).collect();
        crate::recover(&self.store, &owners, self.clock.now()).await?;
        if let Some(tail) = self.tail.upgrade() {
            // If it is gone, so is who would listen.
            let _ = tail.send(Written::default()).await;
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

    pub(crate) fn downgrade(&self) -> mpsc::WeakSender<Command> {
        self.commands.downgrade()
    }

    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, OrchestratorError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| OrchestratorError::Closed)?;
        answered.await.unwrap_or(Err(OrchestratorError::Closed))
    }
}

#[async_trait]
impl Carrier for OrchestratorHandle {
    async fn call(&self, call: Call) -> Result<Reply, OrchestratorError> {
        let call = match call {
            Call::Retry(asked) => Call::Submit(Box::new(retry::run_of(&self.store, asked).await?)),
            Call::Report(report) => {
                door::check(&report).await?;
                Call::Report(report)
            }
            other => other,
        };
        // What to look up if the task does not know the run (any more).
        let (ended, vote) = match &call {
            Call::Cancel { run, .. } | Call::Kill { run, .. } => (Some((*run, false)), None),
            Call::Wait { run } => (Some((*run, true)), None),
            Call::Vote(vote) => (None, Some(vote.approval)),
            _ => (None, None),
        };
        match (self.ask(|answer| Command::Call(call, answer)).await, ended, vote) {
            (Err(OrchestratorError::NotOurs(_)), Some((run, tells)), _) => {
                let summary = self.summary(run).await?;
                Ok(if tells { Reply::Run(Some(summary)) } else { Reply::Done })
            }
            (Err(OrchestratorError::NoSuchApproval(id)), _, Some(_)) => match self.store.approval(id).await? {
                Some(found) if found.approval.ended_at.is_some() => {
                    Err(OrchestratorError::ApprovalEnded { approval: id, status: found.approval.status })
                }
                _ => Err(OrchestratorError::NoSuchApproval(id)),
            },
            (answer, ..) => answer,
        }
    }
}

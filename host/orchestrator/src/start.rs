//! Starts orchestrators.

use std::{path::PathBuf, sync::Arc};

use oxide_bus::Bus;
use oxide_core::{run::DecideCondition, secret::Secrets, time::Timestamp};
use oxide_store::{Owner, OwnerId, Store, Writer};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    Clock, OrchestratorError, OrchestratorHandle, PlanSource, SecretSource, Tail,
    actor::{Actor, Ended, Parts},
    command::Answer,
    conditions, schedules,
};

/// Commands that wait for the task; who sends more waits, too.
const COMMANDS: usize = 1024;

/// An orchestrator that is to be started, and what it is given.
#[derive(Clone)]
pub struct Orchestrator {
    owner: OwnerId,
    clock: Clock,
    decide: DecideCondition,
    secrets: Arc<dyn SecretSource>,
    plans: Option<Arc<dyn PlanSource>>,
    forgets_events: bool,
}

impl std::fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orchestrator").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// One that executes the runs of this owner.
    pub fn new(owner: OwnerId, clock: impl Into<Clock>) -> Orchestrator {
        let clock = clock.into();
        Orchestrator {
            owner,
            clock,
            decide: conditions::decide,
            secrets: Arc::new(Secrets::new()),
            plans: None,
            forgets_events: true,
        }
    }

    /// Where the secrets of jobs come from. Without this there are none.
    #[must_use]
    pub fn secrets(self, secrets: Arc<dyn SecretSource>) -> Orchestrator {
        Orchestrator { secrets, ..self }
    }

    /// Makes runs of schedules. Without this schedules are not looked at.
    #[must_use]
    pub fn plans(self, plans: Arc<dyn PlanSource>) -> Orchestrator {
        Orchestrator { plans: Some(plans), ..self }
    }

    /// Leaves old events to somebody else. Without this they are forgotten after seven days.
    #[must_use]
    pub fn keep_events(self) -> Orchestrator {
        Orchestrator { forgets_events: false, ..self }
    }

    /// Evaluates `if:` of stages in another way.
    #[must_use]
    pub fn decide(self, decide: DecideCondition) -> Orchestrator {
        Orchestrator { decide, ..self }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Starts on the present tokio runtime, alone on its bus, as `oxide run` does. It goes on with the runs of its owner that
    /// have not ended, and makes the owner known with the id of this process.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn start(self, store: Store, bus: Bus) -> Result<OrchestratorHandle, OrchestratorError> {
        let mut transaction = store.begin().await?;
        transaction.put_owner(&this_process(self.owner, self.clock.now())).await?;
        transaction.commit().await?;
        let tail = Tail::start(store.clone(), bus.clone()).await?;
        let owner = self.owner;
        let (handle, task) = self.start_with(store.writer(), &tail).await?;
        tokio::spawn(async move {
            let Ok((ended, asked)) = task.await else { return };
            if ended == Ended::Abandoned {
                return;
            }
            // It ends when all that was written is published.
            tail.end().await;
            if ended == (Ended::Shutdown { nothing_left: true })
                && let Ok(mut transaction) = store.begin().await
            {
                // An owner that stays known is harmless: it has no runs.
                let _ = transaction.remove_owner(owner).await;
                let _ = transaction.commit().await;
            }
            bus.close();
            for answer in asked {
                let _ = answer.send(Ok(()));
            }
        });
        Ok(handle)
    }

    /// Starts with a writer; events are told to the tail of the process. What the task gives back has those who asked it to
    /// end, to be answered.
    pub(crate) async fn start_with(
        self,
        writer: Writer,
        tail: &Tail,
    ) -> Result<(OrchestratorHandle, JoinHandle<(Ended, Vec<Answer<()>>)>), OrchestratorError> {
        let store = writer.store().clone();
        let (sender, commands) = mpsc::channel(COMMANDS);
        let hints = tail.hints();
        let (problem, told) = watch::channel(None);
        let handle = OrchestratorHandle::new(sender, store.clone(), self.clock.clone(), hints.downgrade(), told);
        let parts = Parts {
            writer,
            owner: self.owner,
            clock: self.clock.clone(),
            decide: self.decide,
            secrets: self.secrets,
            hints,
            forgets_events: self.forgets_events,
            commands: handle.downgrade(),
            problem,
        };
        let mut actor = Actor::new(parts);
        actor.load().await?;
        let task = tokio::spawn(actor.run(commands));
        if let Some(plans) = self.plans {
            schedules::run(store, self.clock, plans, handle.downgrade());
        }
        Ok((handle, task))
    }
}

fn this_process(id: OwnerId, now: Timestamp) -> Owner {
    // The name matters only where several machines share a store; SQLite files do not leave theirs.
    let host = std::fs::read_to_string(PathBuf::from("/proc/sys/kernel/hostname")).unwrap_or_default();
    Owner { id, pid: std::process::id(), host: host.trim().to_owned(), started_at: now }
}

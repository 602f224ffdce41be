//! What one turn of the task collects: rows to write, and what follows once they are written.

use std::sync::Arc;

use oxide_core::{
    id::{AgentId, AttemptId, RunId},
    protocol::{Cancellation, Lease},
    time::Timestamp,
};
use oxide_store::{StoreError, Transaction, WriteBatch};

use crate::{OrchestratorError, RunSummary, command::Answer};

/// How a commit went.
pub(crate) type Committed = Result<(), Arc<StoreError>>;

/// An answer that waits for the commit.
pub(crate) type Deferred = Box<dyn FnOnce(&Committed) + Send>;

/// A job that was given to an agent, and the request that it answers.
pub(crate) struct Leased {
    pub answer: Answer<Option<Box<Lease>>>,
    pub lease: Box<Lease>,
    pub agent: AgentId,
}

pub(crate) struct Turn {
    pub now: Timestamp,
    pub batch: WriteBatch,
    /// Open if something had to be written or read ahead of the batch.
    pub transaction: Option<Transaction>,
    pub effects: Effects,
    /// Answers that are true only if the commit succeeds.
    answers: Vec<Deferred>,
    pub leases: Vec<Leased>,
}

/// What machines asked for beside rows.
#[derive(Default)]
pub(crate) struct Effects {
    pub queued: Vec<AttemptId>,
    pub ended: Vec<EndedAttempt>,
    pub cancellations: Vec<(AgentId, Cancellation)>,
    pub deadlines: Vec<(Timestamp, RunId)>,
    pub finished_runs: Vec<RunSummary>,
}

/// An attempt that has ended.
pub(crate) struct EndedAttempt {
    pub id: AttemptId,
    pub agent: Option<AgentId>,
}

impl Turn {
    pub(crate) fn new(now: Timestamp) -> Turn {
        Turn {
            now,
            batch: WriteBatch::default(),
            transaction: None,
            effects: Effects::default(),
            answers: Vec::new(),
            leases: Vec::new(),
        }
    }

    /// Answers after the commit; with an error instead if it fails.
    pub(crate) fn answer<T: Send + 'static>(&mut self, answer: Answer<T>, value: Result<T, OrchestratorError>) {
        self.answers.push(Box::new(move |committed| {
            let value = match committed {
                Ok(()) => value,
                Err(cause) => Err(cause.as_ref().into()),
            };
            // Who asked may have gone away.
            let _ = answer.send(value);
        }));
    }

    pub(crate) fn take_answers(&mut self) -> Vec<Deferred> {
        std::mem::take(&mut self.answers)
    }
}

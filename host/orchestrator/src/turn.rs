//! What one turn of the task collects: rows to write, and what follows once they are written.

use std::sync::Arc;

use oxide_core::{
    id::{AgentId, AttemptId, RunId},
    protocol::{Cancellation, Lease},
    time::Timestamp,
};
use oxide_store::{StoreError, Transaction, WriteBatch};

use crate::{OrchestratorError, Reply, RunSummary, clock::Moment, command::Answer};

/// How a commit went.
pub(crate) type Committed = Result<(), Arc<StoreError>>;

/// An answer that waits for the commit.
pub(crate) type Deferred = Box<dyn FnOnce(&Committed) + Send>;

/// A job that was given to an agent, and the request that it answers.
pub(crate) struct Leased {
    pub answer: Answer<Reply>,
    pub lease: Box<Lease>,
    pub agent: AgentId,
}

pub(crate) struct Turn {
    pub moment: Moment,
    pub batch: WriteBatch,
    /// Open if something had to be written or read ahead of the batch.
    pub transaction: Option<Transaction>,
    /// A statement has failed: nothing of the turn can be stored.
    pub failed: Option<Arc<StoreError>>,
    pub effects: Effects,
    /// Runs that have ended.
    pub finished: Vec<RunSummary>,
    /// Answers that are true only if the commit succeeds.
    answers: Vec<Deferred>,
    pub leases: Vec<Leased>,
}

/// What machines asked for beside rows.
#[derive(Default)]
pub(crate) struct Effects {
    pub queued: Vec<AttemptId>,
    /// Attempts that were queued just now, of which it is not written down why they wait.
    pub unexplained: Vec<AttemptId>,
    pub ended: Vec<EndedAttempt>,
    pub cancellations: Vec<(AgentId, Cancellation)>,
    /// Runs that want to be looked at in so many milliseconds.
    pub deadlines: Vec<(u64, RunId)>,
    pub finished_runs: Vec<RunSummary>,
}

/// An attempt that has ended.
pub(crate) struct EndedAttempt {
    pub id: AttemptId,
    pub agent: Option<AgentId>,
}

impl Turn {
    pub(crate) fn new(moment: Moment) -> Turn {
        Turn {
            moment,
            batch: WriteBatch::default(),
            transaction: None,
            failed: None,
            effects: Effects::default(),
            finished: Vec::new(),
            answers: Vec::new(),
            leases: Vec::new(),
        }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        self.moment.now
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

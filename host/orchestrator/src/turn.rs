//! What one turn of the task collects: rows to write, and what follows once they are written.

use std::sync::Arc;

use oxide_core::{
    id::{AgentId, AttemptId, RunId},
    protocol::{Cancellation, Lease},
    time::Timestamp,
};
use oxide_store::{StoreError, Transaction, WriteBatch};

use crate::{
    Call, OrchestratorError, Reply, RunSummary,
    clock::Moment,
    command::{Answer, Fired},
};

/// How a commit went.
pub(crate) type Committed = Result<(), Arc<StoreError>>;

/// An answer that waits for the commit.
pub(crate) enum Deferred {
    Call(Box<Asked>, Result<Reply, OrchestratorError>),
    Fire(Answer<Fired>, Result<Fired, OrchestratorError>),
}

/// What was asked, and where the answer goes.
pub(crate) struct Asked {
    pub call: Call,
    pub answer: Answer<Reply>,
}

impl Deferred {
    /// Says it; or the error, if the commit failed.
    pub(crate) fn say(self, failed: Option<&OrchestratorError>) {
        // Who asked may have gone away.
        match self {
            Deferred::Call(asked, reply) => drop(asked.answer.send(failed.map_or(reply, |error| Err(error.clone())))),
            Deferred::Fire(answer, fired) => drop(answer.send(failed.map_or(fired, |error| Err(error.clone())))),
        }
    }
}

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
    pub answers: Vec<Deferred>,
    pub leases: Vec<Leased>,
    /// What agents wait for that were removed, and what they are told.
    pub refusals: Vec<(Answer<Reply>, OrchestratorError)>,
    /// It takes one message, for a turn with others could not be stored.
    pub is_apart: bool,
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
            refusals: Vec::new(),
            is_apart: false,
        }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        self.moment.now
    }
}

//! What the task of the orchestrator is sent: calls of others, and what its own helpers found out.

use oxide_core::{
    id::{AgentId, AttemptId},
    time::Timestamp,
};
use oxide_store::ScheduleRow;
use tokio::sync::oneshot;

use crate::{Call, NewRun, OrchestratorError, Reply};

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, OrchestratorError>>;

pub(crate) enum Command {
    Call(Call, Answer<Reply>),
    /// A lease that was given away did not reach its agent.
    Undelivered {
        attempt: AttemptId,
        agent: AgentId,
        why: Undelivered,
    },
    /// A time of a schedule has come. The run is none if it could not be planned; then the schedule goes on all the same.
    Fire(Box<Fire>, Answer<Fired>),
    /// End.
    Shutdown(Answer<()>),
}

/// Why a lease did not reach its agent.
pub(crate) enum Undelivered {
    /// Nobody waited for it any more.
    Gone,
    /// The secrets of the job could not be read.
    Secrets(String),
}

/// A time of a schedule that has come.
pub(crate) struct Fire {
    /// As it is stored, with the time that has come.
    pub schedule: ScheduleRow,
    /// The next time.
    pub next: Timestamp,
    pub run: Option<NewRun>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fired {
    /// The next time is stored, and the run, with this number, if there was one.
    Stored(Option<u64>),
    /// Another one was first, or the schedule has changed.
    Before,
}

impl Command {
    /// For how many others it counts in a turn. A run that is stored takes longer than anything else: those that were asked for
    /// first are not to wait for all of a crowd.
    pub(crate) fn count(&self) -> usize {
        match self {
            Command::Call(Call::Submit(_), _) | Command::Fire(..) => 16,
            _ => 1,
        }
    }

    /// About how many bytes it adds to a transaction.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Command::Call(call, _) => call.weight(),
            _ => 0,
        }
    }
}

//! Everything that the task of the orchestrator can be asked for.

use oxide_core::{
    id::{AgentId, RunId},
    protocol::{Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, Register, Report},
    run::RunEvent,
};
use tokio::sync::oneshot;

use crate::{NewRun, OrchestratorError, RunSummary};

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, OrchestratorError>>;

pub(crate) enum Command {
    Submit(Box<NewRun>, Answer<u64>),
    /// Asks a run to end, in the words of its machine. Answered with whether it is executed here.
    End(RunId, RunEvent, Answer<bool>),
    /// Answered when the run has ended; none at once if it is not executed here.
    Wait(RunId, Answer<Option<RunSummary>>),
    Register(Register, Answer<()>),
    Lease(AgentId, Answer<Option<Box<Lease>>>),
    Report(Report, Answer<Acknowledgement>),
    Heartbeat(Heartbeat, Answer<HeartbeatAnswer>),
    Complete(Complete, Answer<Acknowledgement>),
    Shutdown(Answer<()>),
}

impl Command {
    /// About how many bytes it adds to a transaction.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Command::Report(report, _) => report.logs.iter().map(|chunk| chunk.body.len()).sum(),
            _ => 0,
        }
    }
}

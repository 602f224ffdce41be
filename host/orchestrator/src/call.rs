//! Everything that the orchestrator can be asked for, and its answers, as data: they travel from a server that does not lead
//! to the one that does.

use oxide_core::{
    approval::{ApprovalStatus, Decision},
    id::{AgentId, ApprovalId, RunId, UserId},
    outcome::Status,
    protocol::{Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, Register, Report},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::NewRun;

/// A question, or something to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "call", content = "with", rename_all = "snake_case")]
pub enum Call {
    /// Create a run. Answered with [`Reply::Submitted`].
    Submit(Box<NewRun>),
    /// Repeat a run that has ended. Answered with [`Reply::Submitted`].
    Retry(Retry),
    /// Let a run end. Answered with [`Reply::Done`].
    Cancel {
        /// The run.
        run: RunId,
        /// For people: `cancelled by ann`.
        reason: String,
    },
    /// Let a run end without waiting for it: what runs of it is killed. Answered with [`Reply::Done`].
    Kill {
        /// The run.
        run: RunId,
        /// For people.
        reason: String,
    },
    /// Wait for the end of a run, for half a minute at most. Answered with [`Reply::Run`].
    Wait {
        /// The run.
        run: RunId,
    },
    /// Approve or reject a stage. Whether the person may is for the caller to know. Answered with [`Reply::Voted`].
    Vote(Vote),
    /// An agent says who it is. Answered with [`Reply::Done`].
    Register(Register),
    /// An agent waits for a job. Answered with [`Reply::Lease`].
    Lease {
        /// The agent.
        agent: AgentId,
    },
    /// An agent reports. Answered with [`Reply::Acknowledged`].
    Report(Report),
    /// An agent lives. Answered with [`Reply::Heartbeat`].
    Heartbeat(Heartbeat),
    /// An agent has ended an attempt. Answered with [`Reply::Acknowledged`].
    Complete(Complete),
    /// Give an agent no more jobs, or give it jobs again. Answered with [`Reply::Done`].
    DrainAgent {
        /// The agent.
        agent: AgentId,
        /// No more jobs?
        drain: bool,
    },
    /// Forget an agent: what it runs is lost, and it is refused from now on. Answered with [`Reply::Done`].
    DeregisterAgent {
        /// The agent.
        agent: AgentId,
        /// For people: `removed by ann`.
        reason: String,
    },
}

impl Call {
    /// Its name in errors and in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Call::Submit(_) => "submit",
            Call::Retry(_) => "retry",
            Call::Cancel { .. } => "cancel",
            Call::Kill { .. } => "kill",
            Call::Wait { .. } => "wait",
            Call::Vote(_) => "vote",
            Call::Register(_) => "register",
            Call::Lease { .. } => "lease",
            Call::Report(_) => "report",
            Call::Heartbeat(_) => "heartbeat",
            Call::Complete(_) => "complete",
            Call::DrainAgent { .. } => "drain agent",
            Call::DeregisterAgent { .. } => "deregister agent",
        }
    }

    /// Is it one of the messages of agents? They are said again until they are taken or refused.
    pub(crate) fn is_of_an_agent(&self) -> bool {
        matches!(
            self,
            Call::Register(_) | Call::Lease { .. } | Call::Report(_) | Call::Heartbeat(_) | Call::Complete(_)
        )
    }

    /// About how many bytes it adds to a transaction.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Call::Report(report) => report.logs.iter().map(|chunk| chunk.body.len()).sum(),
            _ => 0,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", content = "with", rename_all = "snake_case")]
pub enum Reply {
    /// It is done.
    Done,
    /// The run is stored.
    Submitted {
        /// Its number within its pipeline.
        number: u64,
    },
    /// How the run ended; none if it has not ended yet.
    Run(Option<RunSummary>),
    /// How the approval stands.
    Voted(Approval),
    /// A job; none if there was none for a while.
    Lease(Option<Box<Lease>>),
    /// What became of a report or a completion.
    Acknowledged(Acknowledgement),
    /// What there is to say to an agent.
    Heartbeat(HeartbeatAnswer),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub id: RunId,
    /// Its number within its pipeline.
    pub number: u64,
    /// How it ended.
    pub status: Status,
    /// Why, if it did not succeed.
    pub reason: Option<String>,
    /// When its first job was taken by an agent.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Repeat a run: the same plan, as a new run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The run that is repeated.
    pub run: RunId,
    /// The id of the new run.
    pub id: RunId,
    /// Keep what succeeded: only what did not is executed again.
    pub failed_only: bool,
    /// Who asks.
    pub by: Option<UserId>,
}

/// The word of one person about an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The run that waits.
    pub run: RunId,
    /// The approval.
    pub approval: ApprovalId,
    /// Who.
    pub user: UserId,
    /// The name of the person.
    pub name: String,
    /// What the person says. One refusal is enough to reject.
    pub decision: Decision,
    /// What there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// How an approval stands after a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Has it been decided?
    pub status: ApprovalStatus,
    /// How many more people must agree.
    pub missing: u32,
}

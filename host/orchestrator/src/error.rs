//! What can go wrong when the orchestrator is asked for something. All of it is data: it may have happened in the server
//! that leads, and be told by another one.

use std::{error::Error, fmt};

use oxide_core::{
    approval::ApprovalStatus,
    id::{AgentId, ApprovalId, RunId},
    protocol::LinkError,
};
use oxide_store::StoreError;
use serde::{Deserialize, Serialize};

/// Something that the orchestrator could not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", content = "about", rename_all = "snake_case")]
pub enum OrchestratorError {
    /// The store could not be read or written. Nothing was changed.
    #[error("the orchestrator could not use its store")]
    Store(#[source] Cause),
    /// The orchestrator has shut down.
    #[error("the orchestrator has shut down")]
    Closed,
    /// No server leads at the moment; the next one takes over within seconds.
    #[error("no server leads at the moment")]
    NoLeader,
    /// The server that leads could not be reached. Whether it did what was asked is not known.
    #[error("the server that leads, {leader}, could not be reached")]
    Unreachable {
        /// Its address.
        leader: String,
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// There is no such run.
    #[error("there is no run {0}")]
    NoSuchRun(RunId),
    /// There is a run with this id, and it is another one.
    #[error("there is another run {0}")]
    RunExists(RunId),
    /// The run is executed by another process.
    #[error("run {0} belongs to another process")]
    NotOurs(RunId),
    /// A run is to be repeated that goes on.
    #[error("run {0} has not ended")]
    NotEnded(RunId),
    /// The failed part of a run is to be repeated, and nothing of it failed.
    #[error("nothing of run {0} failed")]
    NothingFailed(RunId),
    /// Nobody is asked for this approval.
    #[error("there is no approval {0}")]
    NoSuchApproval(ApprovalId),
    /// The approval was decided before, or is not needed any more.
    #[error("the approval {approval} has ended: it is {}", .status.as_str())]
    ApprovalEnded {
        /// Which one.
        approval: ApprovalId,
        /// How it ended.
        status: ApprovalStatus,
    },
    /// Somebody has said something else before.
    #[error("{name} has decided about the approval {approval} before")]
    VotedBefore {
        /// Which one.
        approval: ApprovalId,
        /// Who.
        name: String,
    },
    /// An agent sent what cannot be.
    #[error("the report cannot be stored: {0}")]
    BadReport(String),
    /// An agent speaks that never registered.
    #[error("the agent has not registered")]
    UnknownAgent,
    /// There is no such agent.
    #[error("there is no agent {0}")]
    NoSuchAgent(AgentId),
    /// The agent may not speak any more.
    #[error("the agent is refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The answer does not belong to the question: the two servers are not of one version.
    #[error("the answer to `{call}` is none to it")]
    Misunderstood {
        /// What was asked.
        call: String,
    },
}

impl OrchestratorError {
    /// What to do about it; none if there is nothing sure to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            OrchestratorError::Store(_) => {
                Some("look whether the database runs and its disk has space; what was asked can be asked again".into())
            }
            OrchestratorError::NoLeader => Some("ask again in some seconds".into()),
            OrchestratorError::Unreachable { leader, .. } => {
                Some(format!("`cluster_url` of each server must be where the others reach it; one has {leader}"))
            }
            OrchestratorError::NoSuchRun(_) => Some("`oxide runs` lists the runs".into()),
            OrchestratorError::NotEnded(run) => Some(format!("wait for its end, or `oxide cancel {run}`")),
            OrchestratorError::NothingFailed(run) => Some(format!("repeat all of it: `oxide retry {run}`")),
            OrchestratorError::NoSuchApproval(_) => Some("`oxide approvals list` lists what waits for people".into()),
            OrchestratorError::NoSuchAgent(_) => Some("`oxide agents list` lists the agents".into()),
            OrchestratorError::Misunderstood { .. } => Some("let all servers run the same version".into()),
            OrchestratorError::Closed
            | OrchestratorError::RunExists(_)
            | OrchestratorError::NotOurs(_)
            | OrchestratorError::ApprovalEnded { .. }
            | OrchestratorError::VotedBefore { .. }
            | OrchestratorError::BadReport(_)
            | OrchestratorError::UnknownAgent
            | OrchestratorError::Refused { .. } => None,
        }
    }
}

/// A chain of causes, as text: an error of a library cannot travel, its words can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Box<Cause>>,
}

impl Cause {
    /// The words of an error and of all that caused it.
    pub fn of(error: &dyn Error) -> Cause {
        Cause { message: error.to_string(), cause: error.source().map(|cause| Box::new(Cause::of(cause))) }
    }
}

impl Cause {
    /// All of it on one line: `could not write: no space left on device`.
    pub fn chain(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{}: {}", self.message, cause.chain()),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<StoreError> for OrchestratorError {
    fn from(cause: StoreError) -> Self {
        OrchestratorError::from(&cause)
    }
}

impl From<&StoreError> for OrchestratorError {
    fn from(cause: &StoreError) -> Self {
        match cause.is_leadership_lost() {
            true => OrchestratorError::NoLeader,
            false => OrchestratorError::Store(Cause::of(cause)),
        }
    }
}

impl From<OrchestratorError> for LinkError {
    fn from(error: OrchestratorError) -> Self {
        match error {
            OrchestratorError::Closed => LinkError::Closed,
            OrchestratorError::Refused { reason } => LinkError::Refused { reason },
            OrchestratorError::BadReport(reason) => LinkError::Rejected { reason },
            other => LinkError::Unavailable(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_travels_with_all_its_causes() {
        let error = OrchestratorError::Unreachable {
            leader: "http://b:8080".into(),
            cause: Cause::of(&OrchestratorError::Store(Cause {
                message: "could not write".into(),
                cause: Some(Box::new(Cause { message: "no space left on device".into(), cause: None })),
            })),
        };
        let text = serde_json::to_string(&error).unwrap();
        let read: OrchestratorError = serde_json::from_str(&text).unwrap();
        assert_eq!(read, error);
        let mut chain = Vec::new();
        let mut next: Option<&dyn Error> = Some(&read);
        while let Some(error) = next {
            chain.push(error.to_string());
            next = error.source();
        }
        let expected = [
            "the server that leads, http://b:8080, could not be reached",
            "the orchestrator could not use its store",
            "could not write",
            "no space left on device",
        ];
        assert_eq!(chain, expected);
    }
}

//! The way of a call to the orchestrator, and typed words for it.

use std::sync::Arc;

use async_trait::async_trait;
use oxide_core::{
    id::{AgentId, RunId},
    protocol::{
        Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, LinkError, OrchestratorLink, Register, Report,
    },
};

use crate::{
    NewRun, OrchestratorError, RunSummary,
    call::{Approval, Call, Reply, Retry, Vote},
};

/// Carries calls to the orchestrator: within the process, or to the server that leads.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What was asked could not be done, or nobody was there to be asked.
    async fn call(&self, call: Call) -> Result<Reply, OrchestratorError>;
}

/// What the orchestrator can be asked for, whoever carries it. Cheap to clone. For agents it is the five messages.
#[derive(Clone)]
pub struct Control(Arc<dyn Carrier>);

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    /// Speaks through a carrier.
    pub fn new(carrier: Arc<dyn Carrier>) -> Control {
        Control(carrier)
    }

    /// Asks, and waits for the answer, whatever it is.
    ///
    /// # Errors
    /// What was asked could not be done, or nobody was there to be asked.
    pub async fn call(&self, call: Call) -> Result<Reply, OrchestratorError> {
        self.0.call(call).await
    }

    /// Stores a run and offers its first jobs to agents. Answers with its number within its pipeline. A run that is stored
    /// already (the answer to an earlier call may have been lost) is not stored again.
    ///
    /// # Errors
    /// The store cannot be written, or nobody is there to be asked.
    pub async fn submit(&self, run: NewRun) -> Result<u64, OrchestratorError> {
        self.ask(Call::Submit(Box::new(run)), submitted).await
    }

    /// Repeats a run that has ended, as a new run. Answers with the number of the new one.
    ///
    /// # Errors
    /// There is no such run, it has not ended, or only what failed is to be repeated and nothing did.
    pub async fn retry(&self, retry: Retry) -> Result<u64, OrchestratorError> {
        self.ask(Call::Retry(retry), submitted).await
    }

    /// Asks a run to end. What waits ends at once; what runs ends when its agent has stopped it. A second request also
    /// ends stages that run because of their condition. A run that has ended stays as it is.
    ///
    /// # Errors
    /// There is no such run, another process has it, or the store cannot be written.
    pub async fn cancel(&self, run: RunId, reason: impl Into<String>) -> Result<(), OrchestratorError> {
        self.ask(Call::Cancel { run, reason: reason.into() }, done).await
    }

    /// Cancels a run without waiting for it: the processes of its steps are killed, and nothing more of it runs.
    ///
    /// # Errors
    /// There is no such run, another process has it, or the store cannot be written.
    pub async fn kill(&self, run: RunId, reason: impl Into<String>) -> Result<(), OrchestratorError> {
        self.ask(Call::Kill { run, reason: reason.into() }, done).await
    }

    /// Waits until a run has ended.
    ///
    /// # Errors
    /// There is no such run, another process has it, or the orchestrator shuts down meanwhile.
    pub async fn wait(&self, run: RunId) -> Result<RunSummary, OrchestratorError> {
        loop {
            let ended = self.ask(Call::Wait { run }, |reply| match reply {
                Reply::Run(ended) => Some(ended),
                _ => None,
            });
            if let Some(summary) = ended.await? {
                return Ok(summary);
            }
        }
    }

    /// Gives the word of a person about an approval. Whether the person may decide is for the caller to know.
    ///
    /// # Errors
    /// There is no such approval, it has ended, or the person has said something else before.
    pub async fn vote(&self, vote: Vote) -> Result<Approval, OrchestratorError> {
        let voted = |reply| match reply {
            Reply::Voted(approval) => Some(approval),
            _ => None,
        };
        self.ask(Call::Vote(vote), voted).await
    }

    /// Gives an agent no more jobs (`drain`), or gives it jobs again.
    ///
    /// # Errors
    /// There is no such agent.
    pub async fn drain_agent(&self, agent: AgentId, drain: bool) -> Result<(), OrchestratorError> {
        self.ask(Call::DrainAgent { agent, drain }, done).await
    }

    /// Forgets an agent: what it runs is lost, and it is refused from now on.
    ///
    /// # Errors
    /// There is no such agent.
    pub async fn deregister_agent(&self, agent: AgentId, reason: impl Into<String>) -> Result<(), OrchestratorError> {
        self.ask(Call::DeregisterAgent { agent, reason: reason.into() }, done).await
    }

    /// Asks, and takes the part of the answer that belongs to the call.
    async fn ask<T>(&self, call: Call, take: impl FnOnce(Reply) -> Option<T>) -> Result<T, OrchestratorError> {
        let name = call.name();
        take(self.0.call(call).await?).ok_or_else(|| OrchestratorError::Misunderstood { call: name.to_owned() })
    }
}

fn done(reply: Reply) -> Option<()> {
    matches!(reply, Reply::Done).then_some(())
}

fn submitted(reply: Reply) -> Option<u64> {
    match reply {
        Reply::Submitted { number } => Some(number),
        _ => None,
    }
}

fn acknowledged(reply: Reply) -> Option<Acknowledgement> {
    match reply {
        Reply::Acknowledged(acknowledgement) => Some(acknowledgement),
        _ => None,
    }
}

#[async_trait]
impl OrchestratorLink for Control {
    async fn register(&self, message: Register) -> Result<(), LinkError> {
        Ok(self.ask(Call::Register(message), done).await?)
    }

    async fn lease(&self, agent: AgentId) -> Result<Option<Box<Lease>>, LinkError> {
        let leased = |reply| match reply {
            Reply::Lease(lease) => Some(lease),
            _ => None,
        };
        Ok(self.ask(Call::Lease { agent }, leased).await?)
    }

    async fn report(&self, message: Report) -> Result<Acknowledgement, LinkError> {
        Ok(self.ask(Call::Report(message), acknowledged).await?)
    }

    async fn heartbeat(&self, message: Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        let heard = |reply| match reply {
            Reply::Heartbeat(answer) => Some(answer),
            _ => None,
        };
        Ok(self.ask(Call::Heartbeat(message), heard).await?)
    }

    async fn complete(&self, message: Complete) -> Result<Acknowledgement, LinkError> {
        Ok(self.ask(Call::Complete(message), acknowledged).await?)
    }
}

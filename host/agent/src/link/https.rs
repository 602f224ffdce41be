//! The five messages over HTTPS: each a POST of JSON with the agent's credential, over connections that are kept open. All of
//! them go out from the agent; two at a time wait for something to happen.
//!
//! | message | body | answer |
//! | --- | --- | --- |
//! | `register` | [`Register`] | nothing |
//! | `lease` | `{"agent": "…"}` | [`Lease`], or `null` when none came in time |
//! | `report` | [`Report`] | [`Acknowledgement`] |
//! | `heartbeat` | [`Heartbeat`] | [`HeartbeatAnswer`] |
//! | `complete` | [`Complete`] | [`Acknowledgement`] |
//!
//! 401 and 403 say that the agent is none any more; 400, 413 and 422 that this message can never be taken; after all other errors
//! the message is said again.

use std::time::Duration;

use async_trait::async_trait;
use oxide_core::{
    api::agent::LeaseRequest,
    id::AgentId,
    protocol::{
        Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, LinkError, OrchestratorLink, Register, Report,
    },
};
use serde::{Serialize, de::IgnoredAny};

use super::{server::CallError, servers::Servers};

/// How long an answer may take that the server does not hold back.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server holds a request for a job for 30 s.
const LEASE_PATIENCE: Duration = Duration::from_secs(45);
/// The server holds a heartbeat for 10 s. Another server must be asked before the agent was silent for 30 s, which costs it its jobs.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(14);

/// The link to servers on other machines.
pub struct HttpsLink {
    servers: Servers,
    credential: String,
}

impl HttpsLink {
    /// The link of an agent that has joined.
    pub fn new(servers: impl Into<Servers>, credential: impl Into<String>) -> HttpsLink {
        HttpsLink { servers: servers.into(), credential: credential.into() }
    }

    async fn call<A: serde::de::DeserializeOwned>(
        &self,
        message: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<A, LinkError> {
        let answer = self.servers.call(message, Some(&self.credential), body, patience).await;
        answer.map_err(|error| match error {
            CallError::Refused { .. } => LinkError::Refused { reason: error.in_one_line() },
            error if error.is_about_the_message() => LinkError::Rejected { reason: error.in_one_line() },
            other => LinkError::Unavailable(Box::new(other)),
        })
    }
}

#[async_trait]
impl OrchestratorLink for HttpsLink {
    async fn register(&self, message: Register) -> Result<(), LinkError> {
        self.call::<IgnoredAny>("register", &message, PATIENCE).await.map(drop)
    }

    async fn lease(&self, agent: AgentId) -> Result<Option<Box<Lease>>, LinkError> {
        self.call("lease", &LeaseRequest { agent }, LEASE_PATIENCE).await
    }

    async fn report(&self, message: Report) -> Result<Acknowledgement, LinkError> {
        self.call("report", &message, PATIENCE).await
    }

    async fn heartbeat(&self, message: Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        self.call("heartbeat", &message, HEARTBEAT_PATIENCE).await
    }

    async fn complete(&self, message: Complete) -> Result<Acknowledgement, LinkError> {
        self.call("complete", &message, PATIENCE).await
    }
}

#[cfg(test)]
mod tests;

//! What agents from outside send, by whichever way, on its way to the orchestrator.

use async_trait::async_trait;
use oxide_core::{
    id::AgentId,
    protocol::{
        Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, LinkError, OrchestratorLink, Register, Report,
    },
};

use crate::{resource::agent::check_said, state::ServerState};

/// The orchestrator as agents from outside reach it.
pub struct AgentDoor(pub ServerState);

#[async_trait]
impl OrchestratorLink for AgentDoor {
    /// Nothing is taken that could not be shown. An agent whose registration token named labels has those, whatever it says.
    async fn register(&self, mut message: Register) -> Result<(), LinkError> {
        check_said(message.name.trim(), &message.labels, message.slots, &message.version)
            .map_err(|error| LinkError::Rejected { reason: error.message().to_owned() })?;
        let fixed = self.0.store.fixed_labels(message.agent).await;
        if let Some(labels) = fixed.map_err(|error| LinkError::Unavailable(Box::new(error)))? {
            message.labels = labels;
        }
        self.0.engine.control.register(message).await
    }

    async fn lease(&self, agent: AgentId) -> Result<Option<Box<Lease>>, LinkError> {
        self.0.engine.control.lease(agent).await
    }

    async fn report(&self, report: Report) -> Result<Acknowledgement, LinkError> {
        self.0.engine.control.report(report).await
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        self.0.engine.control.heartbeat(heartbeat).await
    }

    async fn complete(&self, complete: Complete) -> Result<Acknowledgement, LinkError> {
        self.0.engine.control.complete(complete).await
    }
}

//! What can go wrong when the orchestrator is asked for something.

use std::sync::Arc;

use oxide_core::{id::RunId, protocol::LinkError};
use oxide_store::StoreError;

/// Something that the orchestrator could not do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OrchestratorError {
    /// The store could not be read or written. Nothing was changed.
    #[error("the orchestrator could not use its store")]
    Store(#[source] Arc<StoreError>),
    /// The orchestrator has shut down.
    #[error("the orchestrator has shut down")]
    Closed,
    /// There is no such run.
    #[error("there is no run {0}")]
    NoSuchRun(RunId),
    /// The run is executed by another process.
    #[error("run {0} belongs to another process")]
    NotOurs(RunId),
    /// An agent sent what cannot be.
    #[error("the report cannot be stored: {0}")]
    BadReport(String),
    /// An agent speaks that never registered.
    #[error("the agent has not registered")]
    UnknownAgent,
}

impl From<StoreError> for OrchestratorError {
    fn from(cause: StoreError) -> Self {
        OrchestratorError::Store(Arc::new(cause))
    }
}

impl From<OrchestratorError> for LinkError {
    fn from(error: OrchestratorError) -> Self {
        match error {
            OrchestratorError::Closed => LinkError::Closed,
            other => LinkError::Unavailable(Box::new(other)),
        }
    }
}

//! Where the secrets of a job come from.

use std::collections::BTreeSet;

use async_trait::async_trait;
use oxide_core::{
    id::{PipelineId, ProjectId, RunId},
    secret::{LeasedSecrets, Secrets},
};

/// Finds the values of secrets when a job is given to an agent.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// The values of those of these secrets that there are. One that is missing is no error here: the agent says so to whom
    /// it concerns.
    ///
    /// # Errors
    /// They cannot be read now; the attempt is given up, and a new one may fare better.
    async fn secrets(&self, asked: &AskedSecrets) -> Result<LeasedSecrets, SecretSourceError>;
}

/// Why secrets cannot be read.
pub type SecretSourceError = Box<dyn std::error::Error + Send + Sync>;

/// The secrets that a job may spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedSecrets {
    /// The run that the job belongs to.
    pub run: RunId,
    /// The project of the run.
    pub project: Option<ProjectId>,
    /// The pipeline of the run.
    pub pipeline: Option<PipelineId>,
    /// Their names.
    pub names: BTreeSet<String>,
}

/// The same values for every run, as `oxide run` has them from its command line. An empty set gives none.
#[async_trait]
impl SecretSource for Secrets {
    async fn secrets(&self, asked: &AskedSecrets) -> Result<LeasedSecrets, SecretSourceError> {
        Ok(LeasedSecrets::of(self, asked.names.iter().map(String::as_str)))
    }
}

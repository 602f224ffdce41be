//! The secrets of one job: their values as they came with its lease, and what masks them in all that leaves the job.

use std::sync::Arc;

use oxide_core::{
    grant::SecretGrant,
    outcome::{Failure, FailureCause},
    protocol::Lease,
    secret::{Masker, Placeholders, Secrets, how_to_set_for_job},
};

/// What one job knows of secrets.
pub(crate) struct JobSecrets {
    values: Secrets,
    pub(crate) masker: Arc<Masker>,
}

impl JobSecrets {
    /// Takes them out of the lease. Those of the agent itself are for what the lease does not have.
    pub(crate) fn of(lease: &mut Lease, of_agent: &Secrets) -> JobSecrets {
        let mut values = of_agent.clone();
        values.extend(std::mem::take(&mut lease.secrets).into_values());
        JobSecrets { masker: Arc::new(Masker::new(values.values())), values }
    }

    /// Secrets that something may spend, each with a placeholder that is new.
    ///
    /// # Errors
    /// If one has no value.
    pub(crate) fn placeholders<'a>(
        &self,
        granted: impl Iterator<Item = (&'a String, SecretGrant)>,
    ) -> Result<Placeholders, Failure> {
        let granted = granted.map(|(name, grant)| match self.values.get(name) {
            Some(value) => Ok((name.clone(), value.clone(), grant == SecretGrant::Reveal)),
            None => {
                let failure = Failure::new(FailureCause::Environment, format!("the secret `{name}` is not set"));
                Err(failure.with_hint(how_to_set_for_job(name)))
            }
        });
        let granted: Vec<_> = granted.collect::<Result<_, _>>()?;
        Ok(Placeholders::new(granted, || uuid::Uuid::new_v4().as_u128()))
    }
}

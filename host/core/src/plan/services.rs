//! The services of a job: images filled in, the secrets of their variables named.

use std::collections::BTreeSet;

use super::{
    JobContext, PlannedService,
    build::DEFAULT_PIDS,
    expressions::{Known, Roots},
    matrix::Cell,
    secrets,
};
use crate::{diagnostic::Diagnostic, grant::Trust, pipeline::Service};

/// Checks the expressions of the services of a stage.
pub(super) fn check(services: &[Service], known: &Known<'_>, errors: &mut Vec<Diagnostic>) {
    for service in services {
        known.check_node(&service.image, Roots::AtPlanning, errors);
        for (_, value) in &service.env {
            known.check_node(value, Roots::OfServices, errors);
        }
    }
}

/// The services of the job of one cell.
pub(super) fn plan(services: &[Service], context: &JobContext, cell: &Cell) -> Result<Vec<PlannedService>, Diagnostic> {
    let planned = services.iter().map(|service| {
        Ok(PlannedService {
            name: service.name.clone(),
            image: super::jobs::image(&service.image, context, cell)?,
            env: service.env.clone(),
            // A run of a fork spends none.
            secrets: match context.trust {
                Trust::Full => service.env.iter().flat_map(|(_, value)| secrets::named_in(value)).collect(),
                Trust::Fork => BTreeSet::new(),
            },
            healthcheck: service.healthcheck.clone(),
            cpus: service.resources.cpus,
            memory_bytes: service.resources.memory_bytes,
            pids: service.resources.pids.unwrap_or(DEFAULT_PIDS),
        })
    });
    planned.collect()
}

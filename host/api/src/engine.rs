//! What the API puts to work: the orchestrator, the bus, the planner, the places where bytes and secrets are kept.

use std::sync::Arc;

use oxide_blobs::Blobs;
use oxide_bus::Bus;
use oxide_orchestrator::{Control, Election};
use oxide_planner::StoredPipelines;
use oxide_store::Vault;

use crate::cluster::ClusterSecret;

/// What the API puts to work.
#[derive(Clone)]
pub struct Engine {
    /// What can be asked of the orchestrator, whoever leads.
    pub control: Control,
    /// Who leads.
    pub election: Election,
    /// What happens, as it happens.
    pub bus: Bus,
    /// Checks and plans pipelines.
    pub pipelines: StoredPipelines,
    /// Artifacts.
    pub blobs: Arc<Blobs>,
    /// Secrets.
    pub vault: Arc<Vault>,
    /// What servers of one database prove themselves with to each other; none if there is only this one.
    pub cluster_secret: Option<ClusterSecret>,
    /// What servers of one database show when they read plugins of their own registry; none if they do not.
    pub registry_secret: Option<ClusterSecret>,
    /// Says whether the servers that events are published to are there; none if there are none.
    pub bus_check: Option<BusCheck>,
}

/// Says what is wrong with the servers that events are published to, if something is.
pub type BusCheck = Arc<dyn Fn() -> Option<String> + Send + Sync>;

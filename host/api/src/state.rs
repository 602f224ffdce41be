//! What handlers share.

use std::{ops::Deref, sync::Arc};

use oxide_core::time::Timestamp;
use oxide_orchestrator::Clock;
use oxide_store::Store;
use tokio::sync::watch;

use crate::{
    engine::Engine,
    metrics::Metrics,
    rate_limit::RateLimits,
    settings::Settings,
    sign_in::{issuers::Issuers, provider},
    standing::OpenStreams,
};

/// What a server gives to its API.
pub struct Parts {
    /// The truth.
    pub store: Store,
    /// Tells the present.
    pub clock: Clock,
    /// What the operator says.
    pub settings: Settings,
    /// What the API puts to work.
    pub engine: Engine,
}

/// What all handlers share: `State(state): State<ServerState>`.
#[derive(Clone)]
pub struct ServerState(Arc<Shared>);

/// The shared parts.
pub struct Shared {
    /// The truth.
    pub store: Store,
    /// Tells the present.
    pub clock: Clock,
    /// What the operator says.
    pub settings: Settings,
    /// What the API puts to work.
    pub engine: Engine,
    /// How often something may be asked for.
    pub limits: RateLimits,
    /// Asks providers of sign-ins.
    pub http: reqwest::Client,
    /// What providers of sign-ins say of themselves.
    pub issuers: Issuers,
    /// Streams that are open.
    pub streams: Arc<OpenStreams>,
    /// Users, tokens or memberships have changed here.
    pub rights_changed: watch::Sender<()>,
    /// What this process has counted.
    pub metrics: Metrics,
}

impl std::fmt::Debug for ServerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerState").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Deref for ServerState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl ServerState {
    /// Out of what a server gives.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(parts: Parts) -> Result<ServerState, reqwest::Error> {
        let limits = RateLimits::new(&parts.settings.rates);
        let Parts { store, clock, settings, engine } = parts;
        let http = provider::client()?;
        let (streams, rights_changed) = (Arc::default(), watch::Sender::new(()));
        let (metrics, issuers) = (Metrics::default(), Issuers::default());
        let shared = Shared { store, clock, settings, engine, limits, http, issuers, streams, rights_changed, metrics };
        Ok(ServerState(Arc::new(shared)))
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

//! Opens what a server works with: store, secrets, bytes, leadership.

use std::{net::SocketAddr, path::Path, sync::Arc};

use oxide_api::{
    cluster::{ClusterSecret, HttpForward},
    engine::Engine,
    settings::SessionKey,
    sources::{StoredPlans, VaultSecrets},
};
use oxide_bus::{Bus, nats::Nats};
use oxide_orchestrator::{Candidate, Clock, Election, Forward, Orchestrator, Tail};
use oxide_planner::{StoredPipelines, Supply};
use oxide_registry::policy::Policy;
use oxide_store::{KeySource, LeaderInfo, Location, OwnerId, Store, Vault, VaultError};
use ring::rand::{SecureRandom as _, SystemRandom};
use uuid::Uuid;

use super::{cluster_url, config::ServerConfig};
use crate::{
    blobs::{self, BlobsArguments},
    failure::Failure,
};

/// What was opened.
pub struct Opened {
    /// What the API puts to work.
    pub engine: Engine,
    /// The truth.
    pub store: Store,
    /// The part that leads or stands by.
    pub candidate: Candidate,
    /// What sessions are signed with.
    pub session_key: SessionKey,
    /// Tells the present.
    pub clock: Clock,
    /// Where the other servers of the database reach this one; none if there can be no others.
    pub cluster_url: Option<String>,
}

/// Opens all of it.
pub async fn open(
    config: &ServerConfig,
    database: &Location,
    data: &Path,
    address: SocketAddr,
    nats: Option<Nats>,
) -> Result<Opened, Failure> {
    let clock = Clock::from(oxide_agent::system_clock());
    let store = open_store(database).await?;
    let cluster_url = cluster_url::find(config.cluster_url.as_deref(), address, database).await?;
    let shared_at = database.path().is_none().then(|| cluster_url.clone());
    if let Some(url) = &shared_at {
        tracing::info!("other servers of the database reach this one at {url}");
    }
    let vault = Vault::open(&store, KeySource::environment_or(data.join("secret.key")), clock.now()).await;
    let vault = Arc::new(vault.map_err(|error| of_vault(&error))?);
    let secret = async |name: &str| {
        let made = random_bytes()?;
        let secret = vault.server_secret_or(name, clock.now(), || made).await.map_err(|error| of_vault(&error))?;
        <[u8; 32]>::try_from(secret)
            .map_err(|_| Failure::trouble(format!("the key `{name}` in the database is damaged")))
    };
    let session_key = SessionKey(secret("session key").await?);
    // All servers of the database have it.
    let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let shared = |text: String| ClusterSecret::new(text).map_err(|error| Failure::trouble(error.to_string()));
    let cluster_secret = shared(hex(secret("cluster secret").await?))?;
    let registry_password = hex(secret("registry password").await?);
    let blobs = BlobsArguments { blobs: config.blobs.clone(), blobs_endpoint: config.blobs_endpoint.clone() };
    let blobs = blobs::open(&blobs, data)?;
    let policy = Policy::of_project(data)
        .map_err(|error| Failure::unusable("could not use the trust policy of the server").because(&error))?;
    let registries = config.registries(address, &registry_password);
    let on_fetch: fn(&str) = |reference| tracing::info!("fetching {reference}");
    let pipelines = StoredPipelines::new(Supply::in_directory(data, policy, registries, on_fetch));
    let bus = Bus::new();
    let failed = |error: oxide_orchestrator::OrchestratorError| {
        let failure = Failure::trouble("could not start the orchestrator").because(&error);
        match (&error, error.hint()) {
            (oxide_orchestrator::OrchestratorError::Store(_), _) => {
                failure.hint("one server uses a file; a database must run, and its disk needs space")
            }
            (_, Some(hint)) => failure.hint(hint),
            (_, None) => failure,
        }
    };
    let tail = Tail::start(store.clone(), bus.clone()).await.map_err(failed)?;
    let orchestrator = Orchestrator::new(OwnerId::SERVER, clock.clone())
        .keep_events()
        .secrets(Arc::new(VaultSecrets(vault.clone())))
        .plans(Arc::new(StoredPlans { store: store.clone(), pipelines: pipelines.clone() }));
    let forward = HttpForward::new(cluster_secret.clone())
        .map_err(|error| Failure::trouble("could not set up TLS").because(&error))?;
    let forward: Arc<dyn Forward> = Arc::new(forward);
    let info = LeaderInfo { server: Uuid::now_v7().to_string(), url: Some(cluster_url), since: clock.now() };
    let (election, candidate) =
        Election::stand(store.clone(), orchestrator, info, tail, Some(forward)).await.map_err(failed)?;
    let bus_check = nats.map(|nats| Arc::new(move || nats.problem()) as oxide_api::engine::BusCheck);
    let engine = Engine {
        control: election.control(),
        election,
        bus,
        pipelines,
        blobs,
        vault,
        cluster_secret: Some(cluster_secret),
        registry_secret: Some(shared(registry_password)?),
        bus_check,
    };
    Ok(Opened { engine, store, candidate, session_key, clock, cluster_url: shared_at })
}

/// Where the database of a server is.
pub fn location(database: Option<&str>, data: &Path) -> Result<Location, Failure> {
    match database {
        Some(text) => Location::parse(text).map_err(|error| Failure::usage(error.to_string())),
        None => Ok(Location::Sqlite(data.join("server.db"))),
    }
}

/// Opens the database of a server.
pub async fn open_store(location: &Location) -> Result<Store, Failure> {
    Store::open(location)
        .await
        .map_err(|error| Failure::of(&error).hint("`--database DATABASE` names a file or a PostgreSQL server"))
}

/// Why secrets cannot be read or written, and what to do.
pub fn of_vault(error: &VaultError) -> Failure {
    let failure = Failure::of(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn random_bytes() -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Failure::trouble("this machine gives no random numbers"))?;
    Ok(bytes)
}

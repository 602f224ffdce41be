//! The parts of a server put together: store, leadership, bus, API, registry, and an agent of its own.
//!
//! [`config`] is what the operator says, [`settings`] the same in the words of the API, [`trust`] what it lends to its users;
//! [`cluster_url`] is where other servers reach it; [`open`] makes the parts of it; [`nats`] takes events out and lets agents in;
//! [`traces`] tells a collector of runs; [`agent`] is the one within; [`leading`] is what only the leader does; [`housekeeping`]
//! forgets what is old. The order of the end is that of the beginning, backwards.

mod agent;
mod cluster_url;
pub mod config;
mod config_list;
mod housekeeping;
mod leading;
mod nats;
mod open;
mod settings;
mod traces;
mod trust;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use oxide_api::{
    cluster,
    engine::Engine,
    metrics,
    registry::guarded,
    route::{router::router, table},
    sign_in::setup,
    state::{Parts, ServerState},
};
use oxide_blobs::Blobs;
use oxide_core::time::Timestamp;
use oxide_orchestrator::{Candidate, Clock};
use oxide_registry::server::{self as registry, BLOB_BYTES_MAX, Right, connection::Bounds};
use oxide_store::Store;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use crate::{exit_code::Exit, failure::Failure, terminal::print};
use config::ServerConfig;
use leading::Leading;
use open::Opened;
pub use open::{location, of_vault, open_store};

/// Connections of agents (two long polls each), people and programs.
const BOUNDS: Bounds = Bounds { connections_max: 4096, address_connections_max: 2048 };

/// How long something may take at the start before it is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs until it is told to end.
pub async fn run(config: ServerConfig, data: PathBuf) -> Result<Exit, Failure> {
    // Fails if somebody installed one before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut told = Told::listen()?;
    let server = tokio::select! {
        started = Server::start(&config, &data) => started?,
        () = told.heard() => {
            tracing::info!("ending, before everything was there");
            return Ok(Exit::Success);
        }
    };
    server.serve(told).await
}

/// A server that has started.
struct Server {
    listener: TcpListener,
    routes: axum::Router,
    store: Store,
    engine: Engine,
    candidate: Candidate,
    outside: Option<(Leading, nats::Answering)>,
    traces: Option<Leading>,
    agent: Option<agent::EmbeddedAgent>,
    housekeeping: JoinHandle<()>,
    counting: JoinHandle<()>,
}

impl Server {
    async fn start(config: &ServerConfig, data: &Path) -> Result<Server, Failure> {
        let listener = listen(&config.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|error| Failure::trouble(format!("could not listen on {}", config.listen)).because(&error))?;
        let url = config.url.clone().unwrap_or_else(|| reachable(address));
        let nats = config.nats_arguments().settings("oxide server".to_owned())?;
        let connection = patiently("NATS", nats::connect(nats)).await?;
        let database = open::location(config.database.as_deref(), data)?;
        let opened = open::open(config, &database, data, address, connection.clone());
        let Opened { engine, store, candidate, session_key, clock, cluster_url } =
            patiently(&format!("the database {database}"), opened).await?;
        let settings = settings::of(config, &url, session_key)?;
        settings.check().map_err(|error| Failure::usage("the settings cannot be used").because(&error))?;
        let parts = Parts { store: store.clone(), clock: clock.clone(), settings, engine: engine.clone() };
        let state =
            ServerState::new(parts).map_err(|error| Failure::trouble("could not set up TLS").because(&error))?;
        let counting = tokio::spawn(metrics::work::follow(state.clone()));
        let mut others = cluster::route::router(&state);
        if config.registry.enabled {
            others = others.merge(guarded(&state, registry_of(config, &engine.blobs, data)?));
        }
        let routes = router(&state, table::all(), others);
        let outside =
            connection.map(|nats| (nats::publish(&nats, &store, &engine.election), nats::answer(nats, &state)));
        let traces = traces::tell(&config.traces, &state)?;
        let agent = match config.agent.enabled {
            true => {
                let name = agent::name(config.agent.name.as_deref(), cluster_url.as_deref());
                Some(agent::start(config, name, address, data, &engine).await?)
            }
            false => None,
        };
        let housekeeping = tokio::spawn(housekeeping::run(store.clone(), config.retention.clone()));
        greet(&store, &clock, &url).await?;
        if config.agent.enabled {
            tell_of_host_jobs(config.host_jobs(address));
        }
        Ok(Server { listener, routes, store, engine, candidate, outside, traces, agent, housekeeping, counting })
    }

    /// Serves until it is told to end.
    async fn serve(self, told: Told) -> Result<Exit, Failure> {
        // Streams of events end with the bus, and do not hold up the end.
        let (bus, told) = (self.engine.bus.clone(), told.wait());
        let stop = async move {
            told.await;
            bus.close();
        };
        let served = oxide_api::server::serve(self.listener, self.routes, BOUNDS, stop).await;
        self.housekeeping.abort();
        self.counting.abort();
        if let Some(agent) = self.agent {
            agent.end().await;
        }
        if let Some(traces) = self.traces {
            traces.end().await;
        }
        if let Some((publishing, answering)) = self.outside {
            answering.end().await;
            publishing.end().await;
        }
        if let Some(tail) = self.candidate.stop().await {
            tail.end().await;
        }
        self.store.close().await;
        served.map_err(|error| Failure::trouble("the server stopped").because(&error))?;
        Ok(Exit::Success)
    }
}

/// Says what is waited for, if it takes long.
async fn patiently<T>(what: &str, awaited: impl Future<Output = T>) -> T {
    let mut awaited = std::pin::pin!(awaited);
    match tokio::time::timeout(PATIENCE, &mut awaited).await {
        Ok(done) => done,
        Err(_) => {
            tracing::warn!("waiting for {what}");
            awaited.await
        }
    }
}

/// Says what pipelines may do to this machine.
fn tell_of_host_jobs(are_run: bool) {
    match are_run {
        true => tracing::warn!(
            "pipelines may run commands on this machine (`environment: host`), which can read this server's secrets: \
             `agent.host_jobs = false` or `--no-agent` keeps them from it"
        ),
        false => tracing::info!(
            "jobs with `environment: host` wait for agents on other machines; `agent.host_jobs = true` runs them here"
        ),
    }
}

/// Says where the server is, and how the first administrator signs in.
async fn greet(store: &Store, clock: &Clock, url: &str) -> Result<(), Failure> {
    let code = setup::new_code(store, clock.now())
        .await
        .map_err(|error| Failure::trouble(format!("could not make a code to sign in: {}", error.message())))?;
    let sign_in = match code {
        Some(code) => format!(
            "nobody can sign in yet; within a day:\n  oxide login {url} --code {code}\nor\n  curl -s \
             {url}/api/v1/sign-in/setup -H 'content-type: application/json' -d '{{\"code\":\"{code}\"}}'\n"
        ),
        None => String::new(),
    };
    print(&format!("serving {url} (the API is described at {url}/docs)\n{sign_in}"))
}

async fn listen(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::trouble(format!("could not listen on {address}")).because(&error);
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.hint("another program listens there: choose another with `--listen HOST:PORT`")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                failure.hint("this machine has no such address: `--listen 0.0.0.0:PORT` listens on all that it has")
            }
            std::io::ErrorKind::PermissionDenied => {
                failure.hint("take a port from 1024 on, or start it with the right to that one")
            }
            _ => failure.hint("write HOST:PORT, such as `127.0.0.1:7780`"),
        }
    })
}

/// The registry below `/v2/`: who may do what is decided before it.
fn registry_of(config: &ServerConfig, blobs: &Blobs, data: &Path) -> Result<axum::Router, Failure> {
    let settings = registry::Settings {
        staging: data.join("uploads"),
        blob_bytes_max: BLOB_BYTES_MAX,
        read_only: false,
        immutable_tags: config.registry.immutable_tags,
        users: None,
        everybody: Some(Right::Write),
        report: |line| tracing::warn!("registry: {line}"),
    };
    let registry = registry::Registry::open(blobs, settings)
        .map_err(|error| Failure::trouble("could not open the registry").because(&error))?;
    Ok(registry.router())
}

/// Signals that end the server, heard from the beginning.
struct Told {
    terminate: Signal,
    interrupt: Signal,
}

impl Told {
    fn listen() -> Result<Told, Failure> {
        let failed = |error: std::io::Error| Failure::trouble("this process cannot be told to end").because(&error);
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(Told { terminate, interrupt: signal(SignalKind::interrupt()).map_err(failed)? })
    }

    /// Waits for one of them.
    async fn heard(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn wait(mut self) {
        self.heard().await;
        tracing::info!("ending");
        // A second one does not wait.
        tokio::spawn(async move {
            self.heard().await;
            std::process::exit(130);
        });
    }
}

/// The present.
fn now() -> Timestamp {
    crate::local_engine::now()
}

/// The address that a browser on this machine can use.
fn reachable(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    format!("http://{host}:{}", address.port())
}

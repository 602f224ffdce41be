//! `oxide agent`: takes jobs of a server on another machine and runs them here.

mod settings;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use oxide_agent::{
    Agent, AgentError, Session, SessionError, Wish, capabilities,
    link::{HttpsLink, Identity, JoinError, Servers, join::join},
};
use oxide_blobs::{Blobs, Location};
use oxide_bus::nats::{Nats, carrier::CarrierClient};
use oxide_core::{api::agent::JoinAgent, cause::in_one_line, protocol::OrchestratorLink};
use oxide_registry::oci::{Client, ClientSettings, OwnAccount, hosts_of_url};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::Level;

use settings::Settings;

use crate::{
    agent_parts::{self, AgentProfile, in_the_way},
    blobs::{self, BlobsArguments},
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    project, registries,
    service_log::{self, ServiceLogFormat},
    terminal::print,
};

/// How long the next try to join waits.
const JOIN_PAUSE: Duration = Duration::from_secs(2);

/// Arguments of `oxide agent`. What is not given is read from the environment, then from the file.
#[derive(Clone, Default, clap::Args)]
pub struct Arguments {
    /// The address of the server, such as https://ci.example.com (also OXIDE_AGENT_SERVER; default: the one that this agent
    /// has joined). Of several servers with one database: all, separated by commas; when one does not answer, the next is
    /// asked.
    #[arg(long, value_name = "URL[,URL...]")]
    server: Option<String>,
    /// The token with which this agent joins, once: `oxide agents token` makes it. Better in OXIDE_AGENT_TOKEN, for others on
    /// this machine can see command lines.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A name for people (also OXIDE_AGENT_NAME; default: the name of the machine).
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A label that jobs ask for with `runs_on`, beside those of the machine; may be given several times (also
    /// OXIDE_AGENT_LABELS, separated by commas).
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// How many jobs run at the same time (also OXIDE_AGENT_SLOTS; default: one for each processor, two at least).
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// A PEM file with authorities that are trusted beside those of the machine (also OXIDE_AGENT_CA_FILE).
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// NATS servers that messages go by, in the place of HTTPS (also OXIDE_AGENT_NATS). Joining still asks the server.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Run no commands on the machine itself (`environment: host` and nix), but in containers and virtual machines only (also
    /// OXIDE_AGENT_HOST_JOBS=false).
    #[arg(long)]
    no_host_jobs: bool,
    /// How many bytes of reports are kept on disk while the server is away (also OXIDE_AGENT_SPOOL_LIMIT; default: 1GiB).
    #[arg(long, value_name = "SIZE")]
    spool_limit: Option<String>,
    /// A registry that is reached over http without encryption, as HOST or HOST:PORT; may be given several times (also
    /// OXIDE_INSECURE_REGISTRIES, separated by commas).
    #[arg(long = "insecure-registry", value_name = "HOST")]
    insecure_registries: Vec<String>,
    /// How the agent tells of itself (also OXIDE_AGENT_LOG_FORMAT; default: text).
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<ServiceLogFormat>,
    /// A TOML file with settings (also OXIDE_AGENT_CONFIG); `--print-config` prints one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a file with all settings and what they mean, and end.
    #[arg(long)]
    print_config: bool,
}

/// Runs until it is told to end, or the server does not want this agent any more.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    if arguments.print_config {
        print(&settings::example())?;
        return Ok(Exit::Success);
    }
    let settings = Settings::of(arguments, data_dir, blobs, |name| std::env::var(name).ok())?;
    // A mistake is told before the token is used up.
    settings.nats.settings(settings.name.clone())?;
    let data = project::data_directory(settings.data_dir.as_deref())?;
    service_log::start(settings.log_format, Level::INFO);
    let blobs = blobs::open(&settings.blobs, &data)?;
    if let Location::Directory(directory) = blobs.location() {
        let directory = directory.display();
        tracing::warn!(
            "caches and artifacts stay on this machine, in {directory}: jobs of other agents do not see them; \
             `--blobs s3://BUCKET` shares them"
        );
    }
    in_runtime(execute(settings, data, blobs))
}

async fn execute(settings: Settings, data: PathBuf, blobs: Arc<Blobs>) -> Result<Exit, Failure> {
    let (wish, wishes) = watch::channel(Wish::Work);
    hear_signals(wish)?;
    let known = Identity::read(&data).map_err(|error| Failure::of(&error))?;
    let servers = servers(&settings, known.as_ref())?;
    for server in servers.all().iter().filter(|server| server.is_readable_by_others()) {
        tracing::warn!("{} is not encrypted: others on the way can read credential and logs", server.address());
    }
    let was_known = known.is_some();
    let identity = match known {
        Some(identity) => identity,
        None => match join_when_it_is_there(&settings, &servers, &data, wishes.clone()).await? {
            Some(identity) => identity,
            None => return Ok(Exit::Success),
        },
    };
    let place = Place { settings, data, blobs, servers, wishes };
    let ended = place.serve(&identity).await?;
    match ended {
        Ok(left_behind) => agent_parts::tell_left_behind(&left_behind),
        // A token that was given again is for who was removed.
        Err(AgentError::Refused { .. }) if was_known && place.settings.token.is_some() => {
            tracing::warn!("the server does not know this agent any more; joining anew");
            let joined =
                join_when_it_is_there(&place.settings, &place.servers, &place.data, place.wishes.clone()).await?;
            let Some(identity) = joined else { return Ok(Exit::Success) };
            match place.serve(&identity).await? {
                Ok(left_behind) => agent_parts::tell_left_behind(&left_behind),
                Err(error) => return Err(refused(&error)),
            }
        }
        Err(error) => return Err(refused(&error)),
    }
    tracing::info!("the agent has ended");
    Ok(Exit::Success)
}

fn refused(error: &AgentError) -> Failure {
    let failure = Failure::of(error);
    match error {
        AgentError::Refused { .. } => failure.hint(
            "`oxide agents token` makes a token with which it can join again: `oxide agent --server URL --token TOKEN`",
        ),
        AgentError::Closed { .. } => failure,
    }
}

/// The servers that are meant. The credential of one is not shown to others, unless they are named beside it.
fn servers(settings: &Settings, known: Option<&Identity>) -> Result<Servers, Failure> {
    let addresses = settings.server.as_deref().or(known.map(|known| known.server.as_str())).ok_or_else(|| {
        Failure::usage("no server is named").hint("write `oxide agent --server https://ci.example.com --token TOKEN`")
    })?;
    let servers = Servers::new(addresses, settings.ca_file.as_deref())
        .map_err(|error| Failure::usage("could not use the server").because(&error))?;
    let names = |known: &Identity| servers.all().iter().any(|server| server.address() == known.server);
    match known {
        Some(known) if !names(known) => Err(Failure::usage(format!(
            "this agent has joined {}, and {} is another server",
            known.server,
            servers.present().address()
        ))
        .hint("give each agent a data directory of its own with `--data-dir DIR`, or move away `agent.json` there to join anew")),
        _ => Ok(servers),
    }
}

/// Joins, and keeps the credential. None if this process is told to end before the server is there.
async fn join_when_it_is_there(
    settings: &Settings,
    servers: &Servers,
    data: &Path,
    mut wishes: watch::Receiver<Wish>,
) -> Result<Option<Identity>, Failure> {
    let token = settings.token.clone().ok_or_else(|| {
        Failure::usage(format!("this agent has not joined {} yet", servers.present().address()))
            .hint("`oxide agents token` makes a token: `oxide agent --server URL --token TOKEN`")
    })?;
    let asks = JoinAgent {
        token,
        name: settings.name.clone(),
        labels: settings.labels.clone(),
        capabilities: match agent_parts::capabilities(settings.host_jobs, settings.docker_host.as_deref()).await {
            Some(found) => found,
            None => capabilities::detect(settings.docker_host.as_deref()).await,
        },
        slots: settings.slots,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut is_told = false;
    loop {
        match join(servers, &asks).await {
            Ok(identity) => {
                identity.keep(data).map_err(|error| Failure::of(&error).hint(in_the_way(data)))?;
                tracing::info!(agent = %identity.id, "joined {}", identity.server);
                return Ok(Some(identity));
            }
            Err(error @ JoinError::Away(_)) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!("{}; trying again until it answers", in_one_line(&error));
                }
            }
            Err(error @ JoinError::Refused(_)) => {
                return Err(
                    Failure::of(&error).hint("a token works once, and for a while: `oxide agents token` makes another")
                );
            }
            Err(error @ JoinError::Other(_)) => return Err(Failure::of(&error)),
        }
        tokio::select! {
            () = tokio::time::sleep(JOIN_PAUSE) => {}
            _ = wishes.wait_for(|wish| *wish >= Wish::Drain) => return Ok(None),
        }
    }
}

/// Where the agent works.
struct Place {
    settings: Settings,
    data: PathBuf,
    blobs: Arc<Blobs>,
    servers: Servers,
    wishes: watch::Receiver<Wish>,
}

impl Place {
    /// Takes jobs until the end.
    async fn serve(&self, identity: &Identity) -> Result<Result<Vec<String>, AgentError>, Failure> {
        let mut wishes = self.wishes.clone();
        let session = tokio::select! {
            session = oxide_agent::resume(&self.data, identity.id) => {
                Arc::new(session.map_err(|error| of_session(&error, &self.data))?)
            }
            _ = wishes.wait_for(|wish| *wish >= Wish::Drain) => return Ok(Ok(Vec::new())),
        };
        let agent = self.agent(identity, &session).await?;
        Ok(agent.run(self.wishes.clone()).await)
    }

    async fn agent(&self, identity: &Identity, session: &Arc<Session>) -> Result<Agent, Failure> {
        let settings = &self.settings;
        let link = self.link(identity).await?;
        let mut registries = ClientSettings::default();
        registries.insecure_hosts.extend(settings.insecure_registries.iter().cloned());
        // The registry of the server is for its agents, too.
        for server in self.servers.all() {
            for host in hosts_of_url(server.address()) {
                if server.address().starts_with("http://") {
                    registries.insecure_hosts.push(host.clone());
                }
                let (username, password) = ("agent".to_owned(), identity.credential.clone());
                registries.own_accounts.push(OwnAccount { host, username, password });
            }
        }
        let registries = Client::new(registries).map_err(|error| registries::of_registry(&error))?;
        let catalog = agent_parts::catalog_of_stored_pipelines(&self.data, registries);
        let profile = AgentProfile {
            id: identity.id,
            name: settings.name.clone(),
            labels: settings.labels.clone(),
            slots: settings.slots,
            capabilities: agent_parts::capabilities(settings.host_jobs, settings.docker_host.as_deref()).await,
            docker_host: settings.docker_host.clone(),
            spool_bytes_max: Some(settings.spool_bytes_max),
        };
        agent_parts::agent(profile, &self.data, session, link, Arc::clone(&self.blobs), catalog)
    }

    /// The carrier of the messages.
    async fn link(&self, identity: &Identity) -> Result<Arc<dyn OrchestratorLink>, Failure> {
        let Settings { nats, name, .. } = &self.settings;
        let Some(nats) = nats.settings(format!("oxide agent {name}"))? else {
            return Ok(Arc::new(HttpsLink::new(self.servers.clone(), identity.credential.clone())));
        };
        let nats =
            Nats::connect(nats).await.map_err(|error| Failure::usage("could not use `--nats`").because(&error))?;
        Ok(Arc::new(CarrierClient::new(nats, identity.credential.clone())))
    }
}

fn of_session(error: &SessionError, data: &Path) -> Failure {
    let failure = Failure::of(error);
    match error {
        SessionError::Create { .. } => failure.hint(in_the_way(data)),
        SessionError::Taken { .. } => failure.hint("give each agent a data directory of its own with `--data-dir DIR`"),
    }
}

/// SIGTERM and the first Ctrl-C let the present jobs end; the second word stops them; the third ends this process.
fn hear_signals(wish: watch::Sender<Wish>) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::trouble("this process cannot be told to end").because(&error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            let before = *wish.borrow();
            match before {
                Wish::Work => {
                    tracing::info!(
                        "taking no more jobs; ending when the present ones have ended; once more stops them"
                    );
                    wish.send_replace(Wish::Drain);
                }
                Wish::Drain => {
                    tracing::warn!("stopping the present jobs; once more leaves at once");
                    wish.send_replace(Wish::Stop);
                }
                Wish::Stop => {
                    tracing::warn!("left without cleaning up: the next start of this agent does it");
                    std::process::exit(130);
                }
            }
        }
    });
    Ok(())
}

//! The agent within the server.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

use oxide_agent::{Session, Wish};
use oxide_api::engine::Engine;
use oxide_core::id::AgentId;
use reqwest::Url;
use uuid::Uuid;

use super::config::ServerConfig;
use crate::{
    agent_parts::{self, AgentProfile, RunningAgent, in_the_way},
    failure::Failure,
    registries,
};

/// Where the id of the agent is kept: it is the same agent after each start.
const FILE: &str = "server-agent.id";
/// How many bytes of reports are kept on disk while no server leads.
const SPOOL_BYTES_MAX: u64 = 1 << 30;

/// The agent within the server, and what is held until it has ended.
pub struct EmbeddedAgent {
    running: RunningAgent,
    _session: Arc<Session>,
}

/// The name of the agent: what is said, or that of a server. One of several servers has its address behind it, by which people
/// tell them apart.
pub fn name(said: Option<&str>, cluster_url: Option<&str>) -> String {
    let place = || {
        let url = Url::parse(cluster_url?).ok()?;
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        Some(format!("server@{}{port}", url.host_str()?))
    };
    said.map(str::to_owned).or_else(place).unwrap_or_else(|| "server".to_owned())
}

/// Starts the agent with this name.
pub async fn start(
    config: &ServerConfig,
    name: String,
    listens: SocketAddr,
    data: &Path,
    engine: &Engine,
) -> Result<EmbeddedAgent, Failure> {
    let id = id(data).map_err(|error| {
        Failure::trouble("could not keep who the agent of the server is").because(&error).hint(in_the_way(data))
    })?;
    let session = oxide_agent::resume(data, id).await.map_err(|error| {
        Failure::trouble("could not start the agent of the server").because(&error).hint(in_the_way(data))
    })?;
    let session = Arc::new(session);
    let client = engine.pipelines.registries().client().map_err(|error| registries::of_registry(&error))?;
    let catalog = agent_parts::catalog_of_stored_pipelines(data, client);
    let slots = match config.agent.slots {
        0 => agent_parts::slots(),
        slots => slots,
    };
    let mut labels = agent_parts::labels_of_this_machine();
    labels.extend(config.agent.labels.iter().filter(|label| !labels.contains(label)).cloned().collect::<Vec<_>>());
    let profile = AgentProfile {
        id,
        name,
        labels,
        slots,
        capabilities: agent_parts::capabilities(config.host_jobs(listens), None).await,
        docker_host: None,
        spool_bytes_max: Some(SPOOL_BYTES_MAX),
    };
    let agent = agent_parts::agent(
        profile,
        data,
        &session,
        Arc::new(engine.election.control()),
        engine.blobs.clone(),
        catalog,
    )?;
    Ok(EmbeddedAgent { running: RunningAgent::start(agent), _session: session })
}

impl EmbeddedAgent {
    /// Stops its jobs, which get a new attempt where the pipeline says so, and ends.
    pub async fn end(self) {
        self.running.end(Wish::Stop).await;
    }
}

/// The id of the agent, made at the first start.
fn id(data: &Path) -> io::Result<AgentId> {
    let path = data.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            // An earlier version made it for everybody.
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            let wrong = |_| io::Error::other(format!("{} holds no id", path.display()));
            text.trim().parse().map_err(wrong)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = AgentId(Uuid::now_v7());
            let beside = data.join(format!(".{FILE}.{}", std::process::id()));
            // What a killed process of the same number left may be readable by others.
            let _ = fs::remove_file(&beside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            writeln!(file, "{id}")?;
            fs::rename(&beside, &path)?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_several_servers_have_names_of_their_own() {
        assert_eq!(name(None, None), "server");
        assert_eq!(name(None, Some("http://10.0.0.5:7780")), "server@10.0.0.5:7780");
        assert_eq!(name(None, Some("https://ci-1.lan")), "server@ci-1.lan");
        assert_eq!(name(None, Some("http://ada:word@ci-1.lan:80/a")), "server@ci-1.lan");
        assert_eq!(name(Some("mine"), Some("http://10.0.0.5:7780")), "mine");
    }

    #[test]
    fn it_is_the_same_agent_after_each_start() {
        let data = tempfile::tempdir().unwrap();
        let first = id(data.path()).unwrap();
        assert_eq!(id(data.path()).unwrap(), first);
        let path = data.path().join(FILE);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!((id(data.path()).unwrap(), mode()), (first, 0o600));
        fs::write(data.path().join(FILE), "nobody").unwrap();
        assert!(id(data.path()).unwrap_err().to_string().contains("holds no id"));
    }
}

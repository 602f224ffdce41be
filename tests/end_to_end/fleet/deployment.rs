//! Servers and agents as an operator starts them, each a process of its own that can be killed.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use oxide_client::{Client, ClientError};
use oxide_core::{
    api::{
        agent::{Agent, NewAgentToken},
        event::EventQuery,
        log::LogQuery,
        page::PageQuery,
        pipeline::NewPipeline,
        run::{NewRun, RunDetails},
        sign_in::Setup,
    },
    event::{AgentStatus, NumberedEvent},
    id::{PipelineId, RunId},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    counter::{Kept, tell},
    gate::Gate,
    process::Process,
};
use crate::oxide::free_port;

/// What a deployment is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One server on a SQLite file, and one agent.
    Sqlite,
    /// Two servers on PostgreSQL with NATS, and three agents.
    Postgres,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Shape::Sqlite { "on SQLite" } else { "on PostgreSQL and NATS" })
    }
}

impl Shape {
    /// Can it be had here? Without the servers that it needs its stories are skipped, but never in CI.
    pub fn is_available(self) -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        let available = self == Shape::Sqlite || (is_set("OXIDE_TEST_POSTGRES") && is_set("OXIDE_TEST_NATS_SERVER"));
        let all_or_nothing = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(available || !all_or_nothing, "CI=true allows no skipped test, but there is no PostgreSQL or NATS");
        if !available {
            eprintln!("SKIPPED: no PostgreSQL or NATS");
        }
        available
    }

    fn servers(self) -> usize {
        if self == Shape::Sqlite { 1 } else { 2 }
    }

    fn agents(self) -> usize {
        if self == Shape::Sqlite { 1 } else { 3 }
    }
}

/// Servers and agents that run.
pub struct Fleet {
    shape: Shape,
    folder: TempDir,
    pub servers: Vec<Process>,
    pub agents: Vec<Process>,
    /// Between the servers and their database.
    pub database_gate: Option<Gate>,
    pub nats: Option<Nats>,
    ports: Vec<u16>,
    /// The server that answered last. One that is gone is not asked again and again: its client insists for seconds.
    answers: AtomicUsize,
    token: String,
    pub runtime: Runtime,
}

/// A NATS server of one deployment, so that it can be away.
pub struct Nats {
    child: Option<Child>,
    port: u16,
    data: PathBuf,
}

impl Nats {
    fn start(folder: &Path) -> Nats {
        let mut nats = Nats { child: None, port: free_port(), data: folder.join("nats") };
        nats.begin();
        nats
    }

    pub fn begin(&mut self) {
        let program = std::env::var_os("OXIDE_TEST_NATS_SERVER").unwrap();
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(&self.data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
    }

    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.end();
    }
}

impl Fleet {
    /// Starts everything and signs in.
    pub fn start(shape: Shape) -> Fleet {
        let mut fleet = Fleet::of_servers(shape, &[]);
        fleet.join_all();
        fleet
    }

    /// The same as [`Shape::Postgres`], on this empty database, with no gate before it.
    pub fn on_database(url: String) -> Fleet {
        let mut fleet = Fleet::of(Shape::Postgres, &[], Some(url));
        fleet.join_all();
        fleet
    }

    /// Adds as many agents as the deployment has, and waits for them.
    pub fn join_all(&mut self) {
        for index in 0..self.shape.agents() {
            self.join(&format!("agent-{index}"), None);
        }
        self.wait_for_agents(self.shape.agents());
    }

    /// Starts everything but agents, with these settings of the servers as environment variables, and signs in. A server has an
    /// agent of its own only if the settings say so.
    pub fn of_servers(shape: Shape, settings: &[(&str, &str)]) -> Fleet {
        Fleet::of(shape, settings, None)
    }

    fn of(shape: Shape, settings: &[(&str, &str)], database_url: Option<String>) -> Fleet {
        // Fails if another story has installed it, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let runtime = Runtime::new().unwrap();
        let ports: Vec<u16> = (0..shape.servers()).map(|_| free_port()).collect();
        let mut database_gate = None;
        let mut nats = None;
        let mut shared = Vec::new();
        if shape == Shape::Postgres {
            let url = database_url.unwrap_or_else(|| {
                let (gate, url) = database(folder.path());
                database_gate = Some(gate);
                url
            });
            let server = Nats::start(folder.path());
            shared = vec!["--database".to_owned(), url, "--nats".to_owned(), server.url()];
            nats = Some(server);
        }
        // Servers of one database have one master key, and trust each other.
        let mut environment = vec![("OXIDE_SECRET_KEY".to_owned(), format!("1:{}", "0123456789abcdef".repeat(4)))];
        environment.push(("OXIDE_SERVER_AGENT_ENABLED".to_owned(), "false".to_owned()));
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let servers = ports.iter().enumerate().map(|(index, port)| {
            let data = folder.path().join(format!("server-{index}")).display().to_string();
            let address = format!("127.0.0.1:{port}");
            let mut arguments =
                vec!["server".to_owned(), "--listen".to_owned(), address, "--data-dir".to_owned(), data];
            arguments.extend(shared.iter().cloned());
            Process::new(folder.path(), &format!("server-{index}"), arguments, environment.clone())
        });
        let servers = servers.collect();
        let mut fleet = Fleet {
            shape,
            servers,
            agents: Vec::new(),
            database_gate,
            nats,
            ports,
            answers: AtomicUsize::new(0),
            token: String::new(),
            runtime,
            folder,
        };
        // One after the other: a server that starts while nobody can sign in makes a new code in the place of the last.
        for index in 0..shape.servers() {
            fleet.servers[index].start();
            fleet.wait_until_ready(index);
            if index == 0 {
                fleet.sign_in();
            }
        }
        fleet
    }

    /// Adds an agent, which joins with a token of its own; through a gate if one is given. Its label is its carrier: `nats` or
    /// `https`.
    pub fn join(&mut self, name: &str, gate: Option<&Gate>) -> usize {
        self.join_with(name, gate, &[])
    }

    /// The same with more arguments.
    pub fn join_with(&mut self, name: &str, gate: Option<&Gate>, more: &[&str]) -> usize {
        let token = self.block_on(async |client| client.create_agent_token(&NewAgentToken::default()).await).token;
        // All servers, each agent another one first.
        let mut servers: Vec<String> =
            (0..self.ports.len()).map(|index| format!("http://{}", self.server_address(index))).collect();
        let first = self.agents.len() % servers.len();
        servers.rotate_left(first);
        let servers = gate.map_or_else(|| servers.join(","), |gate| format!("http://{}", gate.address()));
        let data = self.data_of(name).display().to_string();
        let arguments = ["agent", "--server", &servers, "--name", name, "--slots", "2"];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
        arguments.extend(["--data-dir".to_owned(), data]);
        // One of three speaks by NATS.
        if let (Some(nats), None, 2) = (&self.nats, gate, self.agents.len() % 3) {
            arguments.extend(["--nats".to_owned(), nats.url(), "--label".to_owned(), "nats".to_owned()]);
        } else {
            arguments.extend(["--label".to_owned(), "https".to_owned()]);
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let environment = vec![("OXIDE_AGENT_TOKEN".to_owned(), token)];
        let mut agent = Process::new(self.folder.path(), name, arguments, environment);
        agent.start();
        self.agents.push(agent);
        self.agents.len() - 1
    }

    /// Where an agent with this name keeps its data.
    pub fn data_of(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new folder for the account of a counter, for stories with more than one.
    pub fn folder_for(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    /// The folder of all that belongs to the deployment.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a server listens.
    pub fn server_address(&self, index: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[index]))
    }

    /// Of the administrator.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A client of a server.
    pub fn client(&self, index: usize) -> Client {
        let token = Some(self.token.clone()).filter(|token| !token.is_empty());
        Client::new(&format!("http://{}", self.server_address(index)), token, None).unwrap()
    }

    /// Asks the server that answered last, or the first that answers; waits while none does.
    pub fn block_on<T>(&self, ask: impl AsyncFn(Client) -> Result<T, ClientError>) -> T {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            let mut last = None;
            let first = self.answers.load(Ordering::SeqCst);
            for index in (first..first + self.ports.len()).map(|index| index % self.ports.len()) {
                match self.runtime.block_on(ask(self.client(index))) {
                    Ok(value) => {
                        self.answers.store(index, Ordering::SeqCst);
                        return value;
                    }
                    Err(error) if error.is_passing() => last = Some(error),
                    Err(error) => panic!("{error:?}\n{}", self.logs()),
                }
            }
            assert!(Instant::now() < deadline, "no server answers: {last:?}\n{}", self.logs());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a server says that it is ready.
    pub fn wait_until_ready(&self, index: usize) {
        let url = format!("http://{}/api/v1/ready", self.server_address(index));
        self.wait_for("a server to be ready", || {
            self.runtime.block_on(async {
                let asked = reqwest::Client::new().get(&url).timeout(Duration::from_secs(10)).send().await;
                asked.is_ok_and(|answer| answer.status().is_success())
            })
        });
    }

    pub fn wait_for_agents(&self, count: usize) {
        self.wait_for("the agents to be online", || {
            self.agents_told().iter().filter(|agent| agent.status != AgentStatus::Offline).count() >= count
        });
    }

    /// The first 200 agents, as the servers tell of them.
    pub fn agents_told(&self) -> Vec<Agent> {
        self.block_on(async |client| client.agents(&PageQuery { limit: Some(200), cursor: None }).await).items
    }

    /// What a server says that it lacks; nothing if it does not answer.
    pub fn lacks(&self, index: usize) -> Vec<String> {
        let url = format!("http://{}/api/v1/ready", self.server_address(index));
        let body = self.runtime.block_on(async {
            let asked = reqwest::Client::new().get(&url).timeout(Duration::from_secs(10)).send().await;
            asked.ok()?.text().await.ok()
        });
        let readiness: serde_json::Value = serde_json::from_str(&body.unwrap_or_default()).unwrap_or_default();
        let checks = readiness["checks"].as_array().cloned().unwrap_or_default();
        let failing = checks.iter().filter(|check| check["ok"] == false);
        failing.map(|check| check["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The events of a channel from the first one on, as the first server streams them, up to one that is the last.
    pub fn events(&self, channel: String, mut is_last: impl FnMut(&NumberedEvent) -> bool) -> Vec<NumberedEvent> {
        let query = EventQuery { channels: Some(channel), since: Some(0) };
        let client = self.client(0);
        self.runtime.block_on(async {
            let mut stream = client.follow_events(&query);
            let mut events = Vec::new();
            loop {
                let next = tokio::time::timeout(Duration::from_secs(120), stream.next()).await;
                let next =
                    next.expect("waited 120 s for the next event").unwrap().expect("streams of events do not end");
                let is_over = is_last(&next.event);
                events.push(next.event);
                if is_over {
                    return events;
                }
            }
        })
    }

    fn sign_in(&mut self) {
        self.wait_for("the code to sign in with", || self.servers[0].setup_code().is_some());
        let code = self.servers[0].setup_code().expect("it is there");
        let setup = Setup { code, name: Some("ada".to_owned()), email: None };
        let done = self.block_on(async |client| client.set_up(&setup).await);
        self.token = done.token.token;
    }

    /// Stores a pipeline.
    pub fn pipeline(&self, source: &str) -> PipelineId {
        let new = NewPipeline { source: source.to_owned(), ..NewPipeline::default() };
        self.block_on(async |client| client.create_pipeline(&new).await).about.id
    }

    /// Starts a run.
    pub fn run(&self, pipeline: PipelineId) -> RunId {
        self.block_on(async |client| client.start_run(pipeline, &NewRun::default()).await).id
    }

    /// Has an agent taken this attempt of the first job?
    pub fn has_begun(&self, run: RunId, attempt: u32) -> bool {
        let attempts = &self.details(run).stages[0].jobs[0].attempts;
        attempts.iter().any(|one| one.attempt == attempt && one.started_at.is_some())
    }

    /// How a run stands.
    pub fn details(&self, run: RunId) -> RunDetails {
        self.block_on(async |client| client.run(run).await)
    }

    /// Waits until a run has ended.
    pub fn ended(&self, run: RunId) -> RunDetails {
        self.wait_for("the run to end", || self.details(run).about.status.is_final());
        self.details(run)
    }

    /// All lines of the log of a run's attempt, in order.
    pub fn lines(&self, run: RunId, attempt: u32) -> Vec<String> {
        let mut lines = Vec::new();
        let mut query = LogQuery { limit: Some(10_000), attempt: Some(attempt), job: Some(0), ..LogQuery::default() };
        loop {
            let page = self.block_on(async |client| client.logs(run, &query).await);
            lines.extend(page.items.into_iter().map(|line| line.text));
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => return lines,
            }
        }
    }

    /// Waits five minutes at most: a busy machine counts slowly.
    pub fn wait_for(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while !condition() {
            assert!(Instant::now() < deadline, "waited 300 s for {what}\n{}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends a story about a counter: says what was lost.
    pub fn says(&self, story: &str, kept: &Kept) {
        self.tells(story, kept.missing, &kept.to_string());
    }

    /// Ends a story: says what was lost, out of what.
    pub fn tells(&self, story: &str, lost: usize, found: &str) {
        tell(&format!("{story}, {}", self.shape), lost, found);
    }

    /// What all processes said.
    pub fn logs(&self) -> String {
        self.servers.iter().chain(&self.agents).map(Process::tail).collect()
    }
}

/// An empty database behind a gate.
fn database(folder: &Path) -> (Gate, String) {
    let server = std::env::var("OXIDE_TEST_POSTGRES").unwrap();
    let name =
        format!("fleet_{}", folder.file_name().unwrap().to_string_lossy().trim_start_matches('.').to_lowercase());
    let made = Command::new("psql").args([&server, "-q", "-c", &format!("CREATE DATABASE {name}")]).status();
    assert!(made.unwrap().success(), "could not make a database for the test");
    let (user, rest) = server.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let (address, _) = rest.split_once('/').unwrap();
    let gate = Gate::to(address.parse().unwrap());
    let url = format!("postgres://{user}@{}/{name}", gate.address());
    (gate, url)
}

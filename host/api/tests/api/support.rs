//! A server for a test, and a client that reads what it says.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use oxide_api::{
    cluster::{self, ClusterSecret},
    engine::Engine,
    metrics,
    registry::guarded,
    route::{router, table},
    server,
    settings::{SessionKey, Settings},
    state::{Parts, ServerState},
};
use oxide_blobs::Blobs;
use oxide_bus::Bus;
use oxide_core::{
    access::{Role, Scope},
    event::AgentStatus,
    id::{AgentId, ProjectId, TokenId, UserId},
    protocol::AgentCapability,
    time::Timestamp,
};
use oxide_orchestrator::{Candidate, Clock, Election, Orchestrator, Tail};
use oxide_planner::{Registries, StoredPipelines, Supply};
use oxide_registry::{
    policy::Policy,
    server::{self as plugins, Registry, Right, connection::Bounds},
};
use oxide_store::{
    AgentRow, Credential, CredentialKind, KeySource, LeaderInfo, Location, OwnerId, ProjectRow, Store, TokenRow,
    UserRow, Vault,
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use uuid::Uuid;

/// The present of every test.
pub const NOW: i64 = 1_800_000_000_000;

/// What servers of the same database would show to the one of a test.
pub const CLUSTER_SECRET: &str = "a secret for tests, of forty characters!";

/// A server, until it is dropped.
pub struct TestServer {
    pub url: String,
    pub address: std::net::SocketAddr,
    pub store: Store,
    pub state: ServerState,
    pub http: reqwest::Client,
    /// Where artifacts are.
    pub blobs: std::path::PathBuf,
    now: Arc<AtomicI64>,
    task: JoinHandle<std::io::Result<()>>,
    _candidate: Candidate,
    _home: TempDir,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// All of what the headers set as cookies, ready to be sent back.
    pub fn cookies(&self) -> String {
        let set = self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        set.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    }
}

impl TestServer {
    /// A server with SQLite.
    pub async fn start() -> TestServer {
        TestServer::start_with(|_| {}).await
    }

    /// A server with SQLite on this listener.
    pub async fn start_at(listener: TcpListener, change: impl FnOnce(&mut Settings)) -> TestServer {
        let home = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(home.path().join("oxide.db"));
        TestServer::start_on(listener, &location, home, change).await
    }

    /// The same with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> TestServer {
        TestServer::start_at(any_listener().await, change).await
    }

    /// A server with PostgreSQL; none if the test command started none.
    pub async fn start_on_postgres() -> Option<TestServer> {
        TestServer::start_on_postgres_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn start_on_postgres_with(change: impl FnOnce(&mut Settings)) -> Option<TestServer> {
        let location = Location::parse(&empty_database()?).unwrap();
        Some(TestServer::start_on(any_listener().await, &location, tempfile::tempdir().unwrap(), change).await)
    }

    async fn start_on(
        listener: TcpListener,
        location: &Location,
        home: TempDir,
        change: impl FnOnce(&mut Settings),
    ) -> TestServer {
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let store = Store::open(location).await.unwrap();
        let now = Arc::new(AtomicI64::new(NOW));
        let hand = now.clone();
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || Timestamp(hand.load(Ordering::SeqCst)));
        let mut settings = Settings::new(&url, SessionKey::derive(b"a key for tests"));
        change(&mut settings);
        let clock = Clock::from(clock);
        let (engine, candidate) = engine(&store, &clock, home.path(), &url).await;
        let registry = plugin_registry(&engine.blobs, home.path());
        let parts = Parts { store: store.clone(), clock, settings, engine };
        let state = ServerState::new(parts).expect("TLS is there");
        tokio::spawn(metrics::work::follow(state.clone()));
        // All the doors that a server of the program has.
        let others = cluster::route::router(&state).merge(guarded(&state, registry));
        let router = router::router(&state, table::all(), others);
        let task = tokio::spawn(server::serve(listener, router, Bounds::default(), std::future::pending()));
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(120))
            .build()
            .unwrap();
        let blobs = home.path().join("blobs");
        TestServer { url, address, store, state, http, blobs, now, task, _candidate: candidate, _home: home }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    /// Sets the present.
    pub fn set_now(&self, millis: i64) {
        self.now.store(millis, Ordering::SeqCst);
    }

    /// Moves time on.
    pub fn pass(&self, duration: Duration) {
        self.now.fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Sends a request that is built by hand.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Asks with this token, or none if it is empty, and with a body if there is one.
    pub async fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Json>) -> Answer {
        let mut request = self.request(method.parse().unwrap(), path);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.send(request).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, token, None).await
    }

    pub async fn post(&self, path: &str, token: &str, body: &Json) -> Answer {
        self.ask("POST", path, token, Some(body)).await
    }

    /// A user in the store.
    pub async fn user(&self, name: &str, is_admin: bool) -> UserId {
        let id = UserId(Uuid::now_v7());
        let user = UserRow { id, name: name.into(), email: None, is_admin, created_at: self.now(), disabled_at: None };
        let mut transaction = self.store.begin().await.unwrap();
        transaction.insert_user(&user).await.unwrap();
        transaction.commit().await.unwrap();
        id
    }

    /// A project in the store.
    pub async fn project(&self, name: &str) -> ProjectId {
        let id = ProjectId(Uuid::now_v7());
        let project = ProjectRow { id, name: name.into(), description: None, repository: None, created_at: self.now() };
        let mut transaction = self.store.begin().await.unwrap();
        transaction.insert_project(&project).await.unwrap();
        transaction.commit().await.unwrap();
        id
    }

    pub async fn member(&self, project: ProjectId, user: UserId, role: Role) {
        let mut transaction = self.store.begin().await.unwrap();
        transaction.put_member(project, user, role).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// A token in the store.
    pub async fn token(&self, user: UserId, scopes: &[Scope], project: Option<ProjectId>) -> (String, TokenId) {
        let credential = Credential::generate(CredentialKind::Api).unwrap();
        let row = TokenRow {
            id: TokenId(Uuid::now_v7()),
            user,
            name: "test".into(),
            prefix: credential.prefix().to_owned(),
            scopes: scopes.to_vec(),
            project,
            made_by: None,
            created_at: self.now(),
            expires_at: Some(self.now().plus_millis(24 * 60 * 60 * 1000)),
            last_used_at: None,
            revoked_at: None,
        };
        let mut transaction = self.store.begin().await.unwrap();
        transaction.insert_token(&row, &credential.hash()).await.unwrap();
        transaction.commit().await.unwrap();
        (credential.expose().to_owned(), row.id)
    }

    /// An administrator's token.
    pub async fn admin(&self) -> String {
        let admin = self.user("root", true).await;
        self.token(admin, &Scope::ALL, None).await.0
    }

    /// The credential of an agent in the store.
    pub async fn agent(&self, name: &str) -> (String, AgentId) {
        let id = AgentId(Uuid::now_v7());
        let credential = Credential::generate(CredentialKind::Agent).unwrap();
        let row = AgentRow {
            id,
            name: name.into(),
            labels: Vec::new(),
            capabilities: vec![AgentCapability::Host],
            slots: 1,
            version: String::new(),
            registered_at: self.now(),
            status: AgentStatus::Idle,
            last_heartbeat_at: None,
            metrics: None,
            draining: false,
            deregistered_at: None,
        };
        let mut transaction = self.store.begin().await.unwrap();
        let mut batch = oxide_store::WriteBatch::default();
        batch.agent(row);
        transaction.write(&batch).await.unwrap();
        transaction.set_agent_credential(id, &credential.hash()).await.unwrap();
        transaction.commit().await.unwrap();
        (credential.expose().to_owned(), id)
    }
}

/// What the API puts to work: all of it real, with an orchestrator that leads.
async fn engine(store: &Store, clock: &Clock, home: &Path, url: &str) -> (Engine, Candidate) {
    let bus = Bus::new();
    let tail = Tail::start(store.clone(), bus.clone()).await.unwrap();
    let leader = LeaderInfo { server: Uuid::now_v7().to_string(), url: Some(url.to_owned()), since: clock.now() };
    let orchestrator = Orchestrator::new(OwnerId::SERVER, clock.clone());
    let (election, candidate) = Election::stand(store.clone(), orchestrator, leader, tail, None).await.unwrap();
    let vault = Vault::open(store, KeySource::File(home.join("secret.key")), clock.now()).await.unwrap();
    let blobs = oxide_blobs::Location::Directory(home.join("blobs"));
    let supply = Supply::in_directory(home, Policy::default(), Registries::default(), |_| {});
    let engine = Engine {
        control: election.control(),
        election,
        bus,
        pipelines: StoredPipelines::new(supply),
        blobs: Arc::new(Blobs::open(&blobs, oxide_blobs::Limits::default()).unwrap()),
        vault: Arc::new(vault),
        cluster_secret: Some(ClusterSecret::new(CLUSTER_SECRET).unwrap()),
        registry_secret: None,
        bus_check: None,
    };
    (engine, candidate)
}

/// The plugin registry, which leaves it to its guard who may.
fn plugin_registry(blobs: &Blobs, home: &Path) -> axum::Router {
    let settings = plugins::Settings {
        staging: home.join("uploads"),
        blob_bytes_max: plugins::BLOB_BYTES_MAX,
        read_only: false,
        immutable_tags: false,
        users: None,
        everybody: Some(Right::Write),
        report: |line| println!("registry: {line}"),
    };
    Registry::open(blobs, settings).unwrap().router()
}

async fn any_listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// The address of an empty database of its own; none, with a word about it, if there is no server.
fn empty_database() -> Option<String> {
    let Ok(server) = std::env::var("OXIDE_TEST_POSTGRES") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "OXIDE_TEST_POSTGRES is not set, and nothing is skipped in CI"
        );
        println!("skipped: OXIDE_TEST_POSTGRES is not set");
        return None;
    };
    let name = format!("oxide_api_{}", Uuid::now_v7().simple());
    let made =
        Command::new("psql").args([server.as_str(), "-qc", &format!("CREATE DATABASE {name}")]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut url = reqwest::Url::parse(&server).unwrap();
    url.set_path(&name);
    Some(url.to_string())
}

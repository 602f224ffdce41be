//! Against a real NATS server: agents on one side, an orchestrator in memory on the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{
    id::{AgentId, AttemptId, JobIndex, RunId, StepIndex},
    protocol::{
        Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, LinkError, LogChunk, OrchestratorLink, Register,
        Report,
    },
};
use serde_json::json;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{CarrierClient, CarrierServer, CredentialCheck};
use crate::nats::{
    Credentials, Nats, NatsSettings,
    testing::{Server, until},
};

/// An orchestrator that keeps what it is told.
#[derive(Default)]
struct Memory {
    name: &'static str,
    registered: Mutex<Vec<Register>>,
    /// Reports by number, with how often each came.
    reports: Mutex<BTreeMap<u64, (Report, u32)>>,
    completes: Mutex<Vec<Complete>>,
    heartbeats: Mutex<u32>,
    leases: Mutex<Vec<Lease>>,
    given: Notify,
    /// Polls that wait now.
    polls: Mutex<i32>,
    failure: Mutex<Option<LinkError>>,
}

impl Memory {
    fn polls(&self) -> i32 {
        *self.polls.lock().unwrap()
    }

    fn give(&self, lease: Lease) {
        self.leases.lock().unwrap().push(lease);
        self.given.notify_one();
    }
}

struct Poll<'a>(&'a Memory);

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        *self.0.polls.lock().unwrap() -= 1;
    }
}

#[async_trait]
impl OrchestratorLink for Memory {
    async fn register(&self, message: Register) -> Result<(), LinkError> {
        self.registered.lock().unwrap().push(message);
        Ok(())
    }

    async fn lease(&self, _: AgentId) -> Result<Option<Box<Lease>>, LinkError> {
        *self.polls.lock().unwrap() += 1;
        let _poll = Poll(self);
        loop {
            if let Some(lease) = self.leases.lock().unwrap().pop() {
                return Ok(Some(Box::new(lease)));
            }
            self.given.notified().await;
        }
    }

    async fn report(&self, message: Report) -> Result<Acknowledgement, LinkError> {
        if let Some(failure) = self.failure.lock().unwrap().take() {
            return Err(failure);
        }
        let mut reports = self.reports.lock().unwrap();
        let known = reports.entry(message.number).or_insert((message, 0));
        known.1 += 1;
        Ok(if known.1 == 1 { Acknowledgement::Stored } else { Acknowledgement::Duplicate })
    }

    async fn heartbeat(&self, _: Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        *self.heartbeats.lock().unwrap() += 1;
        Ok(HeartbeatAnswer { drain: self.name == "draining", ..HeartbeatAnswer::default() })
    }

    async fn complete(&self, message: Complete) -> Result<Acknowledgement, LinkError> {
        self.completes.lock().unwrap().push(message);
        Ok(Acknowledgement::Stored)
    }
}

const SECRET: &str = "oxide_agt_of_the_test";

fn agent() -> AgentId {
    AgentId(Uuid::from_u128(7))
}

fn attempt() -> AttemptId {
    AttemptId { run: RunId(Uuid::from_u128(1)), job: JobIndex(0), number: 1 }
}

fn check() -> CredentialCheck {
    Arc::new(|credential| {
        Box::pin(async move {
            match credential == SECRET {
                true => Ok(agent()),
                false => Err(LinkError::Refused { reason: "the credential was revoked".to_owned() }),
            }
        })
    })
}

/// A server of the installation.
struct Serving {
    memory: Arc<Memory>,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Serving {
    async fn begin(nats: &Nats, name: &'static str) -> Serving {
        Serving::begin_with(nats, name, 8192).await
    }

    async fn begin_with(nats: &Nats, name: &'static str, under_way_max: usize) -> Serving {
        let memory = Arc::new(Memory { name, ..Memory::default() });
        let link: Arc<Memory> = Arc::clone(&memory);
        let (shutdown, seen) = watch::channel(false);
        let server = CarrierServer::new(nats.clone(), link, check()).with_under_way_max(under_way_max);
        let task = tokio::spawn(async move { server.serve(seen).await.unwrap() });
        let serving = Serving { memory, shutdown, task };
        // Until it has subscribed: others may hear it, too.
        let probe = CarrierClient::new(nats.clone(), SECRET);
        let began = Instant::now();
        while serving.memory.registered.lock().unwrap().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(120), "it hears nothing");
            if probe.register(register()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        serving.memory.registered.lock().unwrap().clear();
        serving
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn without_a_connection_there_is_no_farewell() {
    let settings = NatsSettings { servers: "nats://127.0.0.1:1".to_owned(), ..NatsSettings::default() };
    let nats = Nats::connect(settings).await.unwrap();
    let (shutdown, seen) = watch::channel(false);
    let serving = tokio::spawn(CarrierServer::new(nats, Arc::new(Memory::default()), check()).serve(seen));
    // Once it waits for requests.
    tokio::task::yield_now().await;
    shutdown.send_replace(true);
    tokio::time::timeout(Duration::from_secs(60), serving).await.expect("it ends").unwrap().unwrap();
}

fn register() -> Register {
    serde_json::from_value(json!({ "agent": agent(), "name": "builder", "labels": ["linux"], "slots": 2 })).unwrap()
}

fn heartbeat() -> Heartbeat {
    serde_json::from_value(json!({ "agent": agent(), "attempts": [attempt()] })).unwrap()
}

fn complete() -> Complete {
    let outcome = json!({ "status": "success", "reason": null, "failure": null, "outputs": {} });
    serde_json::from_value(json!({ "agent": agent(), "attempt": attempt(), "at": 5, "outcome": outcome })).unwrap()
}

/// A report with a log of this many bytes that look like nothing.
fn report(number: u64, bytes: usize) -> Report {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let random = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    let body: Bytes = random.take(bytes).collect::<Vec<u8>>().into();
    let chunk = LogChunk {
        step: StepIndex(0),
        first_line: 1,
        line_count: 1,
        raw_bytes: u32::try_from(bytes).unwrap(),
        marks: Vec::new(),
        body,
    };
    Report { agent: agent(), attempt: attempt(), number, changes: Vec::new(), logs: vec![chunk] }
}

fn lease(stage: &str) -> Lease {
    let job = json!({
        "stage": 0, "name": stage, "matrix": {}, "runs_on": [], "environment": { "kind": "host" }, "env": [],
        "timeout_ms": 1000, "steps": [],
    });
    let context = json!({ "git": {}, "trigger": {}, "inputs": {} });
    serde_json::from_value(json!({
        "attempt": attempt(), "run_number": 3, "pipeline": "p", "stage": stage, "job": job, "context": context,
        "stages": {},
    }))
    .unwrap()
}

fn words(error: &LinkError) -> String {
    oxide_core::cause::in_one_line(error)
}

#[tokio::test]
async fn five_messages_and_their_answers() {
    let Some(nats) = Server::start() else { return };
    let serving = Serving::begin(&nats.connect().await, "draining").await;
    let link = CarrierClient::new(nats.connect().await, SECRET);
    link.register(register()).await.unwrap();
    assert_eq!(*serving.memory.registered.lock().unwrap(), [register()]);
    serving.memory.give(lease("test"));
    assert_eq!(link.lease(agent()).await.unwrap(), Some(Box::new(lease("test"))));
    assert_eq!(link.report(report(1, 100)).await.unwrap(), Acknowledgement::Stored);
    assert_eq!(link.report(report(1, 100)).await.unwrap(), Acknowledgement::Duplicate);
    assert_eq!(serving.memory.reports.lock().unwrap()[&1].0, report(1, 100));
    assert!(link.heartbeat(heartbeat()).await.unwrap().drain);
    assert_eq!(link.complete(complete()).await.unwrap(), Acknowledgement::Stored);
    assert_eq!(*serving.memory.completes.lock().unwrap(), [complete()]);
}

#[tokio::test]
async fn an_agent_without_a_good_credential_gets_nothing_and_one_speaks_for_itself_only() {
    let Some(nats) = Server::start() else { return };
    let connection = nats.connect().await;
    let serving = Serving::begin(&connection, "server").await;
    let stranger = CarrierClient::new(connection.clone(), "oxide_agt_revoked");
    serving.memory.give(lease("secret"));
    let error = stranger.lease(agent()).await.unwrap_err();
    assert!(matches!(&error, LinkError::Refused { reason } if reason == "the credential was revoked"), "{error:?}");
    let link = CarrierClient::new(connection.clone(), SECRET);
    let error = link.lease(AgentId(Uuid::from_u128(8))).await.unwrap_err();
    assert!(matches!(&error, LinkError::Refused { reason } if reason.contains("another agent")), "{error:?}");
    let naked = connection.client().request("oxide.agent.lease", "\"x\"".into()).await.unwrap();
    assert_eq!(naked.headers.unwrap().get("Oxide-Status").unwrap().as_str(), "refused");
    assert_eq!(serving.memory.leases.lock().unwrap().len(), 1, "nobody got the job");
    assert!(!format!("{link:?}").contains(SECRET));
}

#[tokio::test]
async fn an_orchestrator_that_fails_is_asked_again_and_a_message_of_another_version_says_so() {
    let Some(nats) = Server::start() else { return };
    let connection = nats.connect().await;
    let serving = Serving::begin(&connection, "server").await;
    let link = CarrierClient::new(connection.clone(), SECRET);
    *serving.memory.failure.lock().unwrap() = Some(LinkError::Unavailable("the disk is full".into()));
    let error = link.report(report(1, 10)).await.unwrap_err();
    assert!(matches!(error, LinkError::Unavailable(_)) && words(&error).contains("the disk is full"), "{error:?}");
    *serving.memory.failure.lock().unwrap() = Some(LinkError::Closed);
    let error = link.report(report(1, 10)).await.unwrap_err();
    assert!(matches!(error, LinkError::Unavailable(_)), "other servers may go on: {error:?}");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Oxide-Credential", SECRET);
    let answer = connection.client().request_with_headers("oxide.agent.report", headers, "{}".into()).await.unwrap();
    assert_eq!(answer.headers.unwrap().get("Oxide-Status").unwrap().as_str(), "rejected");
    let text = String::from_utf8(answer.payload.to_vec()).unwrap();
    assert!(text.contains("`report` could not be read; are agent and server of the same version?"), "{text}");
}

#[tokio::test]
async fn two_servers_share_the_requests_and_each_is_answered_once() {
    let Some(nats) = Server::start() else { return };
    let one = Serving::begin(&nats.connect().await, "one").await;
    let two = Serving::begin(&nats.connect().await, "two").await;
    // Subscribed for sure only when it has been asked something.
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let heartbeats = |serving: &Serving| *serving.memory.heartbeats.lock().unwrap();
    while heartbeats(&two) == 0 {
        link.heartbeat(heartbeat()).await.unwrap();
    }
    let before = heartbeats(&one) + heartbeats(&two);
    let asked: Vec<_> = (0..400)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move { link.heartbeat(heartbeat()).await.unwrap() })
        })
        .collect();
    for answer in asked {
        answer.await.unwrap();
    }
    assert_eq!(heartbeats(&one) + heartbeats(&two) - before, 400);
    assert!(heartbeats(&one) > 50 && heartbeats(&two) > 50, "{} and {}", heartbeats(&one), heartbeats(&two));
}

#[tokio::test]
async fn long_polls_wait_side_by_side_and_hold_nothing_else_up() {
    let Some(nats) = Server::start() else { return };
    let serving = Serving::begin(&nats.connect().await, "server").await;
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let polls: Vec<_> = (0..300)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move { link.lease(agent()).await.unwrap().unwrap() })
        })
        .collect();
    until("all wait", || serving.memory.polls() == 300).await;
    let began = Instant::now();
    link.report(report(1, 10)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
    for number in 0..300 {
        serving.memory.give(lease(&format!("stage-{number}")));
        tokio::task::yield_now().await;
    }
    serving.memory.given.notify_waiters();
    let mut stages = Vec::new();
    for poll in polls {
        stages.push(poll.await.unwrap().stage);
    }
    stages.sort();
    stages.dedup();
    assert_eq!(stages.len(), 300, "each job went to one poll");
}

#[tokio::test]
async fn a_server_with_too_much_to_do_says_so_at_once() {
    let Some(nats) = Server::start() else { return };
    let serving = Serving::begin_with(&nats.connect().await, "server", 2).await;
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move { link.lease(agent()).await })
        })
        .collect();
    until("both wait", || serving.memory.polls() == 2).await;
    let error = link.report(report(1, 10)).await.unwrap_err();
    assert!(words(&error).contains("too much to do"), "{error:?}");
    waiting.iter().for_each(JoinHandle::abort);
    until("they are let go", || serving.memory.polls() == 0).await;
    link.report(report(1, 10)).await.unwrap();
}

#[tokio::test]
async fn what_is_larger_than_a_message_of_nats_travels_in_parts() {
    let Some(nats) = Server::start() else { return };
    let serving = Serving::begin(&nats.connect().await, "server").await;
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let large = report(1, 5 << 20);
    assert_eq!(link.report(large.clone()).await.unwrap(), Acknowledgement::Stored);
    assert_eq!(serving.memory.reports.lock().unwrap()[&1].0, large);
    let job = lease(&"long ".repeat(600_000));
    serving.memory.give(job.clone());
    assert_eq!(link.lease(agent()).await.unwrap(), Some(Box::new(job)));
    let error = link.report(report(2, 50 << 20)).await.unwrap_err();
    assert!(matches!(error, LinkError::Rejected { .. }), "it never gets through: {error:?}");
    assert!(words(&error).contains("are the most that are carried over NATS"), "{error:?}");
}

#[tokio::test]
async fn a_server_fetches_parts_from_inboxes_only() {
    let Some(nats) = Server::start() else { return };
    let connection = nats.connect().await;
    let _serving = Serving::begin(&connection, "server").await;
    let ask = async |offer: &str, length: &str| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Oxide-Credential", SECRET);
        headers.insert("Oxide-Offer", offer);
        headers.insert("Oxide-Length", length);
        let answer = connection.client().request_with_headers("oxide.agent.report", headers, "".into()).await.unwrap();
        String::from_utf8(answer.payload.to_vec()).unwrap()
    };
    assert!(ask("run.1.started", "10").await.contains("where none are taken from"));
    assert!(ask("_INBOX.x", "1000000000").await.contains("are the most that are carried"));
    assert!(ask("_INBOX.x", "many").await.contains("does not understand"));
}

#[tokio::test]
async fn without_server_or_connection_the_agent_hears_so_at_once() {
    let Some(mut nats) = Server::start() else { return };
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let began = Instant::now();
    let error = link.lease(agent()).await.unwrap_err();
    assert!(words(&error).contains("no server listens on `oxide.agent.lease`"), "{error:?}");
    nats.kill();
    let error = loop {
        let error = link.lease(agent()).await.unwrap_err();
        if words(&error).contains("there is no connection to NATS") {
            break error;
        }
    };
    assert!(matches!(error, LinkError::Unavailable(_)));
    // A request for a job has 40 s to be answered.
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn who_stops_waiting_gets_no_job() {
    let Some(nats) = Server::start() else { return };
    let serving = Serving::begin(&nats.connect().await, "server").await;
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let asking = link.clone();
    let asks = tokio::spawn(async move { asking.lease(agent()).await });
    until("it waits", || serving.memory.polls() == 1).await;
    asks.abort();
    until("the poll is let go", || serving.memory.polls() == 0).await;
    serving.memory.give(lease("test"));
    assert!(link.lease(agent()).await.unwrap().is_some(), "it is still there for the next one");
}

#[tokio::test]
async fn nats_that_dies_ends_all_polls_and_they_go_on_when_it_is_back() {
    let Some(mut nats) = Server::start() else { return };
    let serving = Serving::begin(&nats.connect().await, "server").await;
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let polling = link.clone();
    let poll = tokio::spawn(async move { polling.lease(agent()).await });
    until("it waits", || serving.memory.polls() == 1).await;
    nats.kill();
    let began = Instant::now();
    assert!(matches!(poll.await.unwrap(), Err(LinkError::Unavailable(_))));
    until("the server lets go", || serving.memory.polls() == 0).await;
    // A request for a job has 40 s to be answered.
    assert!(began.elapsed() < Duration::from_secs(30));
    nats.revive();
    serving.memory.give(lease("test"));
    let lease = loop {
        match link.lease(agent()).await {
            Ok(lease) => break lease,
            Err(LinkError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(lease.is_some(), "nobody else got it");
}

#[tokio::test]
async fn reports_keep_their_order_and_none_is_lost_while_nats_dies_again_and_again() {
    let Some(mut nats) = Server::start() else { return };
    let serving = Serving::begin(&nats.connect().await, "server").await;
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let reporting = tokio::spawn(async move {
        for number in 1..=400 {
            // As the agent does: the same one until it gets through.
            while link.report(report(number, 1000)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    for round in 0..3_u64 {
        tokio::time::sleep(Duration::from_millis(20 + 10 * round)).await;
        nats.kill();
        tokio::time::sleep(Duration::from_millis(50)).await;
        nats.revive();
    }
    reporting.await.unwrap();
    let reports = serving.memory.reports.lock().unwrap();
    assert_eq!(reports.keys().copied().collect::<Vec<_>>(), (1..=400).collect::<Vec<_>>());
    assert!(reports.iter().all(|(number, (stored, _))| *stored == report(*number, 1000)));
}

#[tokio::test]
async fn a_server_that_shuts_down_ends_its_polls_and_another_takes_over() {
    let Some(nats) = Server::start() else { return };
    let one = Serving::begin(&nats.connect().await, "one").await;
    let link = CarrierClient::new(nats.connect().await, SECRET);
    let polling = link.clone();
    let poll = tokio::spawn(async move { polling.lease(agent()).await });
    until("it waits", || one.memory.polls() == 1).await;
    let two = Serving::begin(&nats.connect().await, "two").await;
    one.shutdown.send_replace(true);
    let error = poll.await.unwrap().unwrap_err();
    assert!(words(&error).contains("shutting down"), "{error:?}");
    until("it has ended", || one.task.is_finished()).await;
    for number in 1..=50 {
        link.report(report(number, 10)).await.unwrap();
    }
    assert_eq!(two.memory.reports.lock().unwrap().len(), 50);
}

#[tokio::test]
async fn installations_with_prefixes_do_not_hear_each_other() {
    let Some(nats) = Server::start() else { return };
    let ours = Serving::begin(&nats.connect_with("acme").await, "ours").await;
    let theirs = Serving::begin(&nats.connect().await, "theirs").await;
    CarrierClient::new(nats.connect_with("acme").await, SECRET).report(report(1, 10)).await.unwrap();
    assert_eq!(ours.memory.reports.lock().unwrap().len(), 1);
    assert_eq!(theirs.memory.reports.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_user_with_a_password() {
    let options =
        |_: &std::path::Path| vec!["--user".to_owned(), "ci".to_owned(), "--pass".to_owned(), "p@ss".to_owned()];
    let Some(nats) = Server::with(options) else { return };
    let address = |user: &str| NatsSettings { servers: format!("nats://{user}{}", nats.address()), ..nats.settings() };
    let connection = Nats::connect(address("ci:p%40ss@")).await.unwrap();
    until("the address says who", || connection.is_connected()).await;
    let credentials = Credentials::User { user: "ci".to_owned(), password: "p@ss".to_owned() };
    let connection = Nats::connect(NatsSettings { credentials, ..address("") }).await.unwrap();
    until("the settings say who", || connection.is_connected()).await;
    let connection = Nats::connect(address("ci:wrong@")).await.unwrap();
    until("the mistake is told", || {
        connection.problem().is_some_and(|said| said.to_lowercase().contains("authorization"))
    })
    .await;
    let link = CarrierClient::new(connection, SECRET);
    let error = words(&link.register(register()).await.unwrap_err());
    assert!(error.to_lowercase().contains("authorization") && !error.contains("wrong"), "{error}");
}

/// The rights that the README of this crate says.
const RIGHTS: &str = r#"
authorization {
  users: [
    { user: server, password: s, permissions: {
        publish: ["run.>", "pipeline.>", "agent.>", "artifact.>", "plugin.>", "webhook.>", "oxide.agent.part.*", "_INBOX.>", "$JS.API.>"]
        subscribe: ["oxide.agent.>", "_INBOX.>"] } }
    { user: agent, password: a, permissions: {
        publish: ["oxide.agent.>", "_INBOX.>"], subscribe: ["_INBOX.>"] } }
  ]
}
"#;

#[tokio::test]
async fn the_rights_that_are_documented_suffice() {
    let configured = |folder: &std::path::Path| {
        let path = folder.join("nats.conf");
        std::fs::write(&path, RIGHTS).unwrap();
        vec!["--config".to_owned(), path.to_string_lossy().into_owned()]
    };
    let Some(nats) = Server::with(configured) else { return };
    let connect = async |user: &str| {
        let settings = NatsSettings { servers: format!("nats://{user}@{}", nats.address()), ..nats.settings() };
        let connection = Nats::connect(settings).await.unwrap();
        until("the connection stands", || connection.is_connected()).await;
        connection
    };
    let server = connect("server:s").await;
    let memory = Arc::new(Memory::default());
    let link: Arc<Memory> = Arc::clone(&memory);
    let (_shutdown, seen) = watch::channel(false);
    let carrier = CarrierServer::new(server.clone(), link, check());
    let task = tokio::spawn(async move { carrier.serve(seen).await.unwrap() });
    let link = CarrierClient::new(connect("agent:a").await, SECRET);
    while link.register(register()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    link.report(report(1, 3 << 20)).await.unwrap();
    memory.give(lease(&"long ".repeat(600_000)));
    assert!(link.lease(agent()).await.unwrap().is_some());
    // The connection goes on: it carries the word that nobody waits any more.
    let asking = link.clone();
    let asks = tokio::spawn(async move { asking.lease(agent()).await });
    until("it waits", || memory.polls() == 1).await;
    asks.abort();
    until("the poll is let go", || memory.polls() == 0).await;
    let jetstream = async_nats::jetstream::new(server.client().clone());
    crate::nats::stream::end_of_stream(&server, &jetstream).await.unwrap();
    let event = server.subjects().event("run.1.started");
    jetstream.publish(event, "{}".into()).await.unwrap().await.unwrap();
    task.abort();
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own_and_certificates_of_clients() {
    let made = |folder: &std::path::Path| {
        let script = r#"
            cd "$1";
            new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $1.key -out $1.csr -subj /CN=$1; }
            sign() { openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $1.pem -extfile $1.ext; }
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
            new server; echo subjectAltName=IP:127.0.0.1 > server.ext; sign server
            new agent; echo extendedKeyUsage=clientAuth > agent.ext; sign agent
        "#;
        let output = std::process::Command::new("sh").args(["-e", "-c", script, "sh"]).arg(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let options =
            [("--tlscert", file("server.pem")), ("--tlskey", file("server.key")), ("--tlscacert", file("ca.pem"))];
        let mut words: Vec<String> =
            options.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect();
        words.push("--tlsverify".to_owned());
        words
    };
    let Some(nats) = Server::with(made) else { return };
    let servers = format!("tls://{}", nats.address());
    let file = |name: &str| nats.file(name);
    let settings = NatsSettings {
        servers,
        ca_file: Some(file("ca.pem")),
        certificate: Some((file("agent.pem"), file("agent.key"))),
        ..nats.settings()
    };
    let connection = Nats::connect(settings.clone()).await.unwrap();
    until("both are known to each other", || connection.is_connected()).await;
    let serving = Serving::begin(&connection, "server").await;
    CarrierClient::new(connection, SECRET).report(report(1, 3 << 20)).await.unwrap();
    assert_eq!(serving.memory.reports.lock().unwrap().len(), 1);
    let stranger = Nats::connect(NatsSettings { ca_file: None, ..settings }).await.unwrap();
    until("a server that nobody vouches for is not spoken to", || {
        stranger.problem().is_some_and(|said| said.to_lowercase().contains("certificate"))
    })
    .await;
}

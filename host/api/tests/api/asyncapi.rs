//! What the AsyncAPI document says is what comes over a real socket and a real stream.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use oxide_core::{
    event::{AgentStatus, Event, EventKind},
    id::{AgentId, AttemptId, JobIndex, ProjectId, RunId, StepIndex},
    protocol::{LogChunk, LogMark, LogStream, SystemMetrics},
};
use oxide_store::WriteBatch;
use serde_json::{Value as Json, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};
use uuid::Uuid;

use crate::{support::TestServer, told::Told};

#[path = "../../../core/src/asyncapi/check.rs"]
mod check;

const PIPELINE: &str =
    "version: \"1\"\nname: told\nstages:\n  a:\n    environment: host\n    steps:\n      - run: echo a\n";
const PATIENCE: Duration = Duration::from_secs(60);
/// The last event of the story.
const LAST: &str = "plugin.unloaded";

/// A line of a log, the event of it, and some events of other kinds.
async fn tell(server: &TestServer, project: ProjectId, run: RunId) {
    let (job, attempt, step, text) = (JobIndex(0), 1, StepIndex(0), "built\n");
    let chunk = LogChunk {
        step,
        first_line: 1,
        line_count: 1,
        raw_bytes: u32::try_from(text.len()).unwrap(),
        marks: vec![LogMark { line: 0, at: server.now(), stream: LogStream::Stdout }],
        body: Bytes::from(zstd::bulk::compress(text.as_bytes(), 1).unwrap()),
    };
    let id = AttemptId { run, job, number: attempt };
    let mut batch = WriteBatch::default();
    batch.log(id, chunk);
    let output = EventKind::StepOutput { job, attempt, step, first_line: 1, line_count: 1 };
    batch.event(Event::of_run(run, Some(project), server.now(), output));
    let heartbeat = EventKind::AgentHeartbeat {
        agent: AgentId(Uuid::now_v7()),
        status: AgentStatus::Busy,
        attempts: vec![id],
        metrics: Some(SystemMetrics::default()),
    };
    batch.event(Event::of_server(server.now(), heartbeat));
    let last = EventKind::PluginUnloaded {
        digest: "sha256:00".into(),
        reference: "oxide/run@1".into(),
        agent: None,
        reason: String::new(),
    };
    batch.event(Event::of_server(server.now(), last));
    let mut transaction = server.store.begin().await.unwrap();
    transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();
}

/// The message of the channel that this is: one, and no other.
#[track_caller]
fn message(document: &Json, channel: &str, sent: &Json) -> String {
    let names = check::fitting(document, channel, sent);
    let [name] = names.as_slice() else { panic!("{sent} is {names:?} of {channel}") };
    let problems = check::problems(document, &format!("#/components/schemas/{name}"), sent);
    assert!(problems.is_empty(), "{problems:?}");
    name.clone()
}

/// What comes over a socket until the event of this kind, after something was said.
async fn over_socket(server: &TestServer, path: &str, token: &str, said: &[Json], last: &str) -> Vec<Json> {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    for said in said {
        socket.send(Message::text(said.to_string())).await.unwrap();
    }
    let (mut came, mut answers) = (Vec::new(), 0);
    let mut is_told = false;
    while !is_told || answers < said.len() {
        let next = tokio::time::timeout(PATIENCE, socket.next()).await.expect("it comes").unwrap().unwrap();
        if let Message::Text(text) = next {
            let message: Json = serde_json::from_str(&text).unwrap();
            answers += usize::from(message["action"].is_string());
            is_told |= message["payload"]["type"] == last;
            came.push(message);
        }
    }
    came
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_over_sockets_and_streams_is_in_the_document() {
    let server = TestServer::start().await;
    let document = server.get("/api/v1/asyncapi.json", "").await.expect(200).json();
    assert_eq!(document["servers"]["websocket"]["host"], server.address.to_string());
    assert!(document["servers"].get("nats").is_none(), "this server has none");
    let admin = server.admin().await;
    let project = server.project("web").await;
    let made = json!({ "project": "web", "source": PIPELINE });
    let made = server.post("/api/v1/pipelines", &admin, &made).await.expect(201).json();
    let runs = format!("/api/v1/pipelines/{}/runs", made["id"].as_str().unwrap());
    let run = server.post(&runs, &admin, &json!({})).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    tell(&server, project, run.parse().unwrap()).await;

    let mut stream = Told::open(&server, "/api/v1/events?since=0", &admin).await;
    let mut kinds = BTreeSet::new();
    while !kinds.contains(LAST) {
        let sent = stream.next().await;
        let name = message(&document, "events", &sent.data);
        assert_eq!(document["components"]["messages"][&name]["name"], sent.event);
        assert_eq!(sent.data["seq"].to_string(), sent.id);
        if sent.event == "step.output" {
            assert_eq!(sent.data["lines"][0]["text"], "built");
        }
        kinds.insert(sent.event);
    }
    for kind in ["pipeline.created", "run.queued", "step.output", "agent.heartbeat"] {
        assert!(kinds.contains(kind), "{kind} did not come: {kinds:?}");
    }

    let said = [
        json!({ "action": "subscribe", "channels": [">"], "since": 0 }),
        json!({ "action": "ping" }),
        json!({ "action": "unsubscribe", "channels": ["run.*.started"] }),
        json!({ "action": "shout" }),
    ];
    for known in &said[..3] {
        message(&document, "socket", known);
    }
    let came = over_socket(&server, "/api/v1/ws", &admin, &said, LAST).await;
    let names: BTreeSet<String> = came.iter().map(|sent| message(&document, "socket", sent)).collect();
    for name in
        ["SubscribedMessage", "PongMessage", "ErrorMessage", "StepOutputChannelMessage", "RunQueuedChannelMessage"]
    {
        assert!(names.contains(name), "{name} did not come: {names:?}");
    }

    let came = over_socket(&server, &format!("/api/v1/ws/runs/{run}"), &admin, &[], "step.output").await;
    let names: Vec<String> = came.iter().map(|sent| message(&document, "runSocket", sent)).collect();
    assert_eq!(names.first().map(String::as_str), Some("RunQueuedChannelMessage"));
    assert!(came.iter().all(|sent| sent["channel"].as_str().unwrap().starts_with(&format!("run.{run}."))));
}

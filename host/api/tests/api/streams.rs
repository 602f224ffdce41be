//! Streams and what lets their callers in: both end together.

use std::time::Duration;

use futures_util::StreamExt as _;
use oxide_api::{settings::Settings, sign_in::session};
use oxide_core::{
    access::{Role, Scope},
    event::{Event, EventKind},
    id::ProjectId,
};
use oxide_store::WriteBatch;
use reqwest::{Method, Response};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::support::TestServer;

const PIPELINE: &str =
    "version: \"1\"\nname: wait\nstages:\n  a:\n    environment: host\n    steps:\n      - run: echo a\n";
const PATIENCE: Duration = Duration::from_secs(60);

fn look_often(settings: &mut Settings) {
    settings.rights_every = Duration::from_millis(100);
}

/// An event that the viewers of a project may see, or every user.
async fn tell(server: &TestServer, project: Option<ProjectId>, reference: &str) {
    let kind = EventKind::PluginUnloaded {
        digest: "sha256:00".into(),
        reference: reference.into(),
        agent: None,
        reason: String::new(),
    };
    let mut batch = WriteBatch::default();
    batch.event(match project {
        Some(project) => Event::of_project(project, server.now(), kind),
        None => Event::of_server(server.now(), kind),
    });
    let mut transaction = server.store.begin().await.unwrap();
    transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn open(server: &TestServer, path: &str, token: &str) -> Response {
    let request = server.request(Method::GET, path).bearer_auth(token).timeout(Duration::from_secs(300));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response
}

/// What comes next; none at the end.
async fn next(stream: &mut Response) -> Option<String> {
    let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.expect("it comes or ends").unwrap();
    chunk.map(|chunk| String::from_utf8(chunk.to_vec()).unwrap())
}

/// The project `web` with a viewer who has a token, and a run that waits.
async fn a_run_and_its_viewer(server: &TestServer) -> (ProjectId, String, String, String) {
    let admin = server.admin().await;
    let (web, eve) = (server.project("web").await, server.user("eve", false).await);
    server.member(web, eve, Role::Viewer).await;
    let token = server.token(eve, &Scope::ALL, None).await.0;
    let text = server.request(Method::POST, "/api/v1/pipelines?project=web").bearer_auth(&admin);
    let made = server.send(text.header("content-type", "application/yaml").body(PIPELINE)).await.expect(201).json();
    let path = format!("/api/v1/pipelines/{}/runs", made["id"].as_str().unwrap());
    let run = server.post(&path, &admin, &json!({})).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    (web, admin, token, run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_token_is_revoked() {
    let server = TestServer::start_with(|settings| settings.rights_every = Duration::from_secs(3600)).await;
    let (web, eve) = (server.project("web").await, server.user("eve", false).await);
    server.member(web, eve, Role::Viewer).await;
    let (token, id) = server.token(eve, &Scope::ALL, None).await;
    let mut stream = open(&server, "/api/v1/events", &token).await;
    tell(&server, Some(web), "one").await;
    assert!(next(&mut stream).await.unwrap().contains("one"));
    server.ask("DELETE", &format!("/api/v1/tokens/{id}"), &server.admin().await, None).await.expect(204);
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_session_does() {
    let server = TestServer::start_with(look_often).await;
    let id = server.user("eve", false).await;
    let mut transaction = server.store.begin().await.unwrap();
    let eve = transaction.user(id).await.unwrap().unwrap();
    let session = session::begin(&server.state, &mut transaction, &eve).await.unwrap();
    transaction.commit().await.unwrap();
    let mut stream = open(&server, "/api/v1/events", &session.access_token).await;
    tell(&server, None, "one").await;
    assert!(next(&mut stream).await.unwrap().contains("one"));
    server.pass(Duration::from_secs(16 * 60));
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_member_any_more_sees_no_more_even_if_another_server_was_told() {
    let server = TestServer::start_with(look_often).await;
    let (web, _, token, run) = a_run_and_its_viewer(&server).await;
    let mut events = open(&server, "/api/v1/events", &token).await;
    let mut log = open(&server, &format!("/api/v1/runs/{run}/logs/stream"), &token).await;
    let mut request = format!("ws://{}/api/v1/ws/runs/{run}", server.address).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let eve = server.store.user_by_name("eve").await.unwrap().unwrap().id;
    tell(&server, Some(web), "one").await;
    assert!(next(&mut events).await.unwrap().contains("one"));
    let mut transaction = server.store.begin().await.unwrap();
    assert!(transaction.remove_member(web, eve).await.unwrap());
    transaction.commit().await.unwrap();
    // What is about that project alone ends.
    while next(&mut log).await.is_some() {}
    let close = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
                return frame.unwrap();
            }
        }
    });
    assert_eq!(u16::from(close.await.unwrap().code), 1008);
    // What is about all goes on with less, from the next look on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    tell(&server, Some(web), "two").await;
    tell(&server, None, "three").await;
    let seen = next(&mut events).await.unwrap();
    assert!(seen.contains("three") && !seen.contains("two"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_has_a_bounded_number_of_streams() {
    let server = TestServer::start_with(|settings| settings.streams_max = 2).await;
    let admin = server.admin().await;
    let first = open(&server, "/api/v1/events", &admin).await;
    let _second = open(&server, "/api/v1/events", &admin).await;
    assert_eq!(server.get("/api/v1/events", &admin).await.expect(429).json()["error"], "too_many_requests");
    drop(first);
    for _ in 0..1_200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if server.state.streams.count() == 1 {
            break;
        }
    }
    open(&server, "/api/v1/events", &admin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_is_yet_to_come_is_told() {
    let server = TestServer::start().await;
    let (_, _, token, run) = a_run_and_its_viewer(&server).await;
    let newest = server.store.last_event().await.unwrap();
    for since in [newest + 1, u64::MAX] {
        server.get(&format!("/api/v1/events?since={since}"), &token).await.expect(410);
        let request = server.request(Method::GET, "/api/v1/events").bearer_auth(&token);
        server.send(request.header("last-event-id", since.to_string())).await.expect(410);
        // A log begins anew: its lines are what counts.
        let path = format!("/api/v1/runs/{run}/logs/stream?cursor={since}.0");
        open(&server, &path, &token).await;
    }
    open(&server, &format!("/api/v1/events?since={newest}"), &token).await;
}

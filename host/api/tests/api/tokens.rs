//! What a token may do beyond reading and changing things: tokens, approvals, agents.

use oxide_api::agent_door::AgentDoor;
use oxide_core::{
    access::{Role, Scope},
    protocol::{LinkError, OrchestratorLink as _, Register},
};
use serde_json::json;

use crate::support::TestServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_registry_is_for_nothing_else() {
    let server = TestServer::start().await;
    let ann = server.user("ann", false).await;
    let puller = server.token(ann, &[Scope::RegistryRead], None).await.0;
    let (_, full) = server.token(ann, &Scope::ALL, None).await;
    for path in ["/api/v1/user", "/api/v1/tokens", "/api/v1/events", "/api/v1/projects"] {
        server.get(path, &puller).await.expect(403);
    }
    server.post("/api/v1/tokens", &puller, &json!({ "name": "x" })).await.expect(403);
    server.ask("DELETE", &format!("/api/v1/tokens/{full}"), &puller, None).await.expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_revokes_itself_and_what_may_do_no_more() {
    let server = TestServer::start().await;
    let ann = server.user("ann", false).await;
    let (reader, own) = server.token(ann, &[Scope::Read], None).await;
    let (_, full) = server.token(ann, &Scope::ALL, None).await;
    let (_, other) = server.token(ann, &[Scope::Read], None).await;
    let revoke = async |id| server.ask("DELETE", &format!("/api/v1/tokens/{id}"), &reader, None).await;
    revoke(full).await.expect(403);
    revoke(other).await.expect(204);
    revoke(own).await.expect(204);
    revoke(own).await.expect(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_made_with_a_token_goes_with_it_and_those_for_others_stay() {
    let server = TestServer::start().await;
    let (root, bob) = (server.user("root", true).await, server.user("bob", false).await);
    let (first, id) = server.token(root, &Scope::ALL, None).await;
    let made = async |path: &str, with: &str| {
        let made = server.post(path, with, &json!({ "name": "x" })).await.expect(201).json();
        made["token"].as_str().unwrap().to_owned()
    };
    let child = made("/api/v1/tokens", &first).await;
    let grandchild = made(&format!("/api/v1/users/{root}/tokens"), &child).await;
    let machine = made(&format!("/api/v1/users/{bob}/tokens"), &first).await;
    server.ask("DELETE", &format!("/api/v1/tokens/{id}"), &first, None).await.expect(204);
    for (token, status) in [(&first, 401), (&child, 401), (&grandchild, 401), (&machine, 200)] {
        server.get("/api/v1/user", token).await.expect(status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_only_reads_decides_nothing() {
    let server = TestServer::start().await;
    let (admin, web, ann) = (server.admin().await, server.project("web").await, server.user("ann", false).await);
    server.member(web, ann, Role::Viewer).await;
    let text = "version: \"1\"\nname: ask\nstages:\n  a:\n    environment: host\n    approval: { approvers: [\"user:ann\"] }\n    steps:\n      - run: echo a\n";
    let request = server.request(reqwest::Method::POST, "/api/v1/pipelines?project=web").bearer_auth(&admin);
    let made = server.send(request.header("content-type", "application/yaml").body(text)).await.expect(201).json();
    let path = format!("/api/v1/pipelines/{}/runs", made["id"].as_str().unwrap());
    server.post(&path, &admin, &json!({})).await.expect(201);
    let waiting = server.get("/api/v1/approvals?status=waiting", &admin).await.expect(200).json();
    let path = format!("/api/v1/approvals/{}/approve", waiting["items"][0]["id"].as_str().unwrap());
    for scopes in [&[Scope::Read][..], &[Scope::Read, Scope::RegistryRead], &[Scope::Read, Scope::RegistryWrite]] {
        let token = server.token(ann, scopes, None).await.0;
        server.post(&path, &token, &json!({})).await.expect(403);
    }
    // She is named, so it does not matter that she is only a viewer.
    let token = server.token(ann, &[Scope::Run], None).await.0;
    assert_eq!(server.post(&path, &token, &json!({})).await.expect(200).json()["status"], "approved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_has_the_labels_of_its_registration_token() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let joined = async |token: serde_json::Value| {
        let token = server.post("/api/v1/agent-tokens", &admin, &token).await.expect(201).json();
        let join = json!({ "token": token["token"], "name": "box", "labels": ["production"], "slots": 1 });
        server.post("/api/v1/agent/join", "", &join).await.expect(201).json()
    };
    let labels = async |agent: &serde_json::Value| {
        let (id, credential) = (agent["id"].as_str().unwrap(), agent["credential"].as_str().unwrap());
        let register = json!({ "agent": id, "name": "box", "labels": ["more"], "slots": 1 });
        server.post("/api/v1/agent/register", credential, &register).await.expect(204);
        server.get(&format!("/api/v1/agents/{id}"), &admin).await.expect(200).json()["labels"].clone()
    };
    let fixed = joined(json!({ "labels": ["lab"] })).await;
    assert_eq!(labels(&fixed).await, json!(["lab"]));
    let free = joined(json!({})).await;
    assert_eq!(labels(&free).await, json!(["more"]));
    server.post("/api/v1/agent-tokens", &admin, &json!({ "labels": ["\u{1b}[2J"] })).await.expect(422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_says_of_itself_is_looked_at_whichever_way_it_comes() {
    let server = TestServer::start().await;
    let (credential, agent) = server.agent("box").await;
    let good = Register {
        agent,
        name: "box".to_owned(),
        labels: vec!["lab".to_owned()],
        slots: 2,
        capabilities: Vec::new(),
        version: "1".to_owned(),
    };
    let door = AgentDoor(server.state.clone());
    for bad in [
        Register { slots: u32::MAX, ..good.clone() },
        Register { name: "\u{1b}]0;box\u{7}".to_owned(), ..good.clone() },
        Register { labels: vec!["lab".to_owned(); 1000], ..good.clone() },
    ] {
        server.post("/api/v1/agent/register", &credential, &json!(bad)).await.expect(422);
        let answer = door.register(bad).await;
        assert!(matches!(answer, Err(LinkError::Rejected { .. })), "{answer:?}");
    }
    server.post("/api/v1/agent/register", &credential, &json!(good)).await.expect(204);
    door.register(good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_steer_a_terminal_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for text in ["a\u{0}b", "\u{1b}[2J", "x\u{202e}y"] {
        server.post("/api/v1/tokens", &admin, &json!({ "name": text })).await.expect(422);
        server.post("/api/v1/agent-tokens", &admin, &json!({ "name": text })).await.expect(422);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_wait_do_not_hold_up_the_end() {
    let server = TestServer::start().await;
    let (credential, agent) = server.agent("box").await;
    let register = json!({ "agent": agent, "name": "box", "labels": [], "slots": 1 });
    server.post("/api/v1/agent/register", &credential, &register).await.expect(204);
    let (lease, heartbeat) = (json!({ "agent": agent }), json!({ "agent": agent, "attempts": [] }));
    let end = async {
        // Until both are there, which nobody is told of; earlier, they are answered all the same.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        server.state.engine.bus.close();
    };
    let (job, word, ()) = tokio::join!(
        server.post("/api/v1/agent/lease", &credential, &lease),
        server.post("/api/v1/agent/heartbeat", &credential, &heartbeat),
        end,
    );
    for answer in [job, word] {
        assert_eq!(answer.expect(503).json()["message"], "the server is ending");
    }
}

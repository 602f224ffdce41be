//! Pipelines and runs: what the server does with what it is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use oxide_core::access::{Role, Scope};
use reqwest::Method;
use serde_json::json;

use crate::{support::TestServer, told::Told};

const PIPELINE: &str =
    "version: \"1\"\nname: p\nstages:\n  a:\n    environment: host\n    steps:\n      - run: echo a\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_are_asked_for_runners_only() {
    let server = TestServer::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = listener.local_addr().unwrap();
    let text = PIPELINE.replace("run: echo a", &format!("uses: \"{registry}/a/b:1\""));
    let (web, ann) = (server.project("web").await, server.user("ann", false).await);
    let validate = async |scopes: &[Scope], text: &str| {
        let token = server.token(ann, scopes, None).await.0;
        let request = server.request(Method::POST, "/api/v1/pipelines/validate").bearer_auth(token);
        server.send(request.header("content-type", "application/yaml").body(text.to_owned())).await
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let tally = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            tally.fetch_add(1, Ordering::SeqCst);
        }
    });
    validate(&Scope::ALL, PIPELINE).await.expect(200);
    validate(&Scope::ALL, &text).await.expect(403);
    server.member(web, ann, Role::Runner).await;
    validate(&[Scope::Read], &text).await.expect(403);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(validate(&[Scope::Run], &text).await.expect(200).json()["valid"], false);
    for _ in 0..1_200 {
        if asked.load(Ordering::SeqCst) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(asked.load(Ordering::SeqCst) > 0);
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_pipelines_and_runs_is_looked_at() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.project("web").await;
    let made = json!({ "project": "web", "source": PIPELINE, "repository": "https://user:pw@example.com/a.git" });
    let refused = server.post("/api/v1/pipelines", &admin, &made).await.expect(422);
    assert!(refused.text.contains("secret") && !refused.text.contains("user:pw"), "{refused:?}");
    let made = json!({ "project": "web", "source": PIPELINE });
    let made = server.post("/api/v1/pipelines", &admin, &made).await.expect(201).json();
    let runs = format!("/api/v1/pipelines/{}/runs", made["id"].as_str().unwrap());
    for priority in [i64::MIN, i64::MAX, 1001] {
        server.post(&runs, &admin, &json!({ "priority": priority })).await.expect(422);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_an_agent_says_so_at_every_level() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.project("web").await;
    let made = json!({ "project": "web", "source": PIPELINE });
    let made = server.post("/api/v1/pipelines", &admin, &made).await.expect(201).json();
    let runs = format!("/api/v1/pipelines/{}/runs", made["id"].as_str().unwrap());
    let run = server.post(&runs, &admin, &json!({})).await.expect(201).json();
    let path = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    let mut told = json!(null);
    for _ in 0..1_200 {
        told = server.get(&path, &admin).await.expect(200).json();
        if told["reason"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let job = &told["stages"][0]["jobs"][0];
    let reason = job["attempts"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("no agent"), "{told}");
    for level in [&told, &told["stages"][0], job] {
        assert_eq!(level["reason"], reason, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_a_pipeline_is_told() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.project("web").await;
    let mut told = Told::open(&server, "/api/v1/events?channels=pipeline.*&since=0", &admin).await;
    let made = json!({ "project": "web", "source": PIPELINE });
    let made = server.post("/api/v1/pipelines", &admin, &made).await.expect(201).json();
    let path = format!("/api/v1/pipelines/{}", made["id"].as_str().unwrap());
    let change = json!({ "yaml_config": PIPELINE.replace("echo a", "echo b") });
    server.ask("PUT", &path, &admin, Some(&change)).await.expect(200);
    server.ask("DELETE", &path, &admin, None).await.expect(204);
    for (kind, version) in [("created", json!(1)), ("updated", json!(2)), ("deleted", json!(null))] {
        let sent = told.next().await;
        assert_eq!(sent.event, format!("pipeline.{kind}"));
        assert_eq!((&sent.data["pipeline"], &sent.data["version"]), (&made["id"], &version), "{kind}");
        assert_eq!((&sent.data["name"], &sent.data["project"]), (&json!("p"), &made["project"]), "{kind}");
    }
}

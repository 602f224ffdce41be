//! A project with one of everything in it, made through the API as people make it.

use std::{collections::BTreeMap, fs, time::Duration};

use oxide_core::{
    access::{Role, Scope},
    id::ProjectId,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::comer::{Comer, Guest};
use crate::support::TestServer;

/// The values that nobody may ever read.
pub const SECRETS: [&str; 2] = ["the value of KEY", "what the forge signs with"];

/// A job that waits for an agent, and a stage that waits for people.
pub const PIPELINE: &str = "version: \"1\"\nname: web\nstages:\n  build:\n    environment: host\n    steps: [{ run: echo built }]\n  \
                            release:\n    approval: { approvers: [role:maintainer] }\n    environment: host\n    steps: \
                            [{ run: echo released }]\n";

/// What a route can be asked about.
pub struct World {
    pub project: ProjectId,
    /// What stands in the place of the parameters of paths.
    pub things: BTreeMap<&'static str, String>,
    /// A run that has ended.
    pub ended: String,
    /// A token with which an agent may join.
    pub agent_token: String,
}

impl World {
    pub async fn new(server: &TestServer, guests: &[Guest]) -> World {
        let admin = &guests.iter().find(|guest| guest.comer == Comer::Administrator).unwrap().credential;
        let id = || Uuid::now_v7().simple().to_string();
        let project = server.project(&format!("p{}", id())).await;
        for guest in guests {
            if let (Some(role), Some(user)) = (guest.comer.role(), guest.user) {
                server.member(project, user, role).await;
            }
        }
        let somebody = server.user(&format!("u{}", id()), false).await;
        server.member(project, somebody, Role::Viewer).await;
        let (_, token) = server.token(somebody, &[Scope::Read], None).await;
        let (credential, agent) = server.agent(&format!("a{}", id())).await;
        let post = async |path: &str, body: Json| -> Json {
            let answer = server.post(path, admin, &body).await;
            assert!(answer.status.is_success(), "POST {path}: {answer:?}");
            if answer.text.is_empty() { Json::Null } else { answer.json() }
        };
        let text = |json: &Json| json.as_str().unwrap().to_owned();
        let register = json!({ "agent": agent, "name": "here", "labels": ["elsewhere"], "slots": 1 });
        server.post("/api/v1/agent/register", &credential, &register).await.expect(204);

        let pipeline = text(&post("/api/v1/pipelines", json!({ "project": project, "source": PIPELINE })).await["id"]);
        let runs = format!("/api/v1/pipelines/{pipeline}/runs");
        let (ended, run) = (text(&post(&runs, json!({})).await["id"]), text(&post(&runs, json!({})).await["id"]));
        post(&format!("/api/v1/runs/{ended}/cancel"), json!({ "kill": true })).await;
        let approval = until(async || {
            let stands = server.get(&format!("/api/v1/runs/{ended}"), admin).await.json()["status"].clone();
            let asked = server.get(&format!("/api/v1/approvals?run={run}"), admin).await.json();
            (stands == "cancelled").then(|| asked["items"][0]["id"].as_str().map(str::to_owned)).flatten()
        })
        .await;
        let plugins = server.get("/api/v1/plugins", admin).await.expect(200).json();
        keep_artifact(server, &run);

        post("/api/v1/secrets", json!({ "project": project, "name": "KEY", "value": SECRETS[0] })).await;
        let webhook = format!("/api/v1/projects/{project}/webhooks/github");
        server.ask("PUT", &webhook, admin, Some(&json!({ "secret": SECRETS[1] }))).await.expect(204);
        let delivery = deliver(server, project).await;
        let agent_token = text(&post("/api/v1/agent-tokens", json!({ "name": "next" })).await["id"]);
        let things = BTreeMap::from([
            ("project", project.to_string()),
            ("user", somebody.to_string()),
            ("token", token.to_string()),
            ("pipeline", pipeline),
            ("version", "1".to_owned()),
            ("run", run),
            ("artifact", "files".to_owned()),
            ("approval", approval),
            ("name", "KEY".to_owned()),
            ("agent", agent.to_string()),
            ("digest", text(&plugins["items"][0]["digest"])),
            ("forge", "github".to_owned()),
            ("delivery", delivery),
        ]);
        World { project, things, ended, agent_token }
    }
}

/// Waits for what the orchestrator does in its own time.
pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_800 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come within 90 s");
}

/// Sends what a forge would send. Answers with the id of the delivery.
async fn deliver(server: &TestServer, project: ProjectId) -> String {
    let body = json!({ "repository": { "full_name": "team/web" } }).to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRETS[1].as_bytes());
    let signature = ring::hmac::sign(&key, body.as_bytes());
    let signature: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = server
        .request(reqwest::Method::POST, &format!("/api/v1/webhooks/github?project={project}"))
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", Uuid::now_v7().to_string())
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(body);
    server.send(request).await.expect(202).json()["delivery"].as_str().unwrap().to_owned()
}

/// Keeps an artifact without files under the name `files`, as an agent does.
fn keep_artifact(server: &TestServer, run: &str) {
    let folder = server.blobs.join("artifacts").join(run);
    fs::create_dir_all(&folder).unwrap();
    let entry = json!({
        "name": "files", "run": run, "job": "build",
        "saved_at": server.now(), "expires_at": server.now().plus_millis(1_000_000),
        "files": 0, "size": 0, "stored": 0, "digest": format!("sha256:{}", "0".repeat(64)), "archive_bytes": 0, "chunks": [],
    });
    fs::write(folder.join("files.json"), entry.to_string()).unwrap();
}

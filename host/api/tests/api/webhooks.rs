//! Webhooks: what is signed is recorded once, what is not leaves next to nothing.

use std::time::Duration;

use reqwest::Method;
use ring::hmac;
use serde_json::{Value as Json, json};

use crate::{
    support::{Answer, TestServer},
    told::Told,
};

const SECRET: &str = "a secret of sixteen bytes and more";

fn signature(body: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body.as_bytes());
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

async fn send(server: &TestServer, id: &str, body: &str, signature: &str) -> Answer {
    let request = server
        .request(Method::POST, "/api/v1/webhooks/github?project=web")
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", signature)
        .body(body.to_owned());
    server.send(request).await
}

async fn deliveries(server: &TestServer, admin: &str) -> Vec<Json> {
    let page = server.get("/api/v1/projects/web/deliveries?limit=200", admin).await.expect(200).json();
    page["items"].as_array().unwrap().clone()
}

async fn prepared(server: &TestServer) -> String {
    let admin = server.admin().await;
    server.project("web").await;
    let secret = json!({ "secret": SECRET });
    server.ask("PUT", "/api/v1/projects/web/webhooks/github", &admin, Some(&secret)).await.expect(204);
    admin
}

async fn a_body_that_comes_again(server: &TestServer) {
    let admin = prepared(server).await;
    let body = r#"{"repository":{"full_name":"team/web"},"after":"1"}"#;
    let first = send(server, "one", body, &signature(body)).await.expect(202).json();
    assert_eq!(first["result"], "recorded");
    // Headers are not signed: whoever has seen one can send it with another id.
    for id in ["one", "two"] {
        let again = send(server, id, body, &signature(body)).await.expect(202).json();
        assert_eq!((&again["delivery"], &again["result"]), (&first["delivery"], &json!("it was recorded before")));
    }
    assert_eq!(deliveries(server, &admin).await.len(), 1);
    let other = body.replace('1', "2");
    send(server, "three", &other, &signature(&other)).await.expect(202);
    // A day later it may be a new one.
    server.pass(Duration::from_secs(25 * 60 * 60));
    let admin = server.token(server.user("root2", true).await, &oxide_core::access::Scope::ALL, None).await.0;
    let later = send(server, "four", body, &signature(body)).await.expect(202).json();
    assert_eq!(later["result"], "recorded");
    assert_eq!(deliveries(server, &admin).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_again_is_known_on_sqlite() {
    a_body_that_comes_again(&TestServer::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_again_is_known_on_postgres() {
    let Some(server) = TestServer::start_on_postgres().await else { return };
    a_body_that_comes_again(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_signed_may_come_again() {
    let server = TestServer::start().await;
    let admin = prepared(&server).await;
    let secret = json!({ "secret": SECRET });
    server.ask("PUT", "/api/v1/projects/web/webhooks/gitlab", &admin, Some(&secret)).await.expect(204);
    // A tag is made, removed, and made again.
    for (id, result) in [("one", "recorded"), ("two", "recorded"), ("two", "it was recorded before")] {
        let request = server
            .request(Method::POST, "/api/v1/webhooks/gitlab?project=web")
            .header("content-type", "application/json")
            .header("x-gitlab-event", "Tag Push Hook")
            .header("x-gitlab-event-uuid", id)
            .header("x-gitlab-token", SECRET)
            .body(r#"{"ref":"refs/tags/v1","after":"1"}"#);
        assert_eq!(server.send(request).await.expect(202).json()["result"], result, "{id}");
    }
    assert_eq!(deliveries(&server, &admin).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_strangers_send_the_last_few_are_kept() {
    let server = TestServer::start().await;
    let admin = prepared(&server).await;
    let body = r#"{"after":"1"}"#;
    send(&server, "real", body, &signature(body)).await.expect(202);
    for number in 0..30 {
        send(&server, &number.to_string(), body, "sha256=00").await.expect(401);
    }
    let kept = deliveries(&server, &admin).await;
    assert_eq!(kept.len(), 21);
    assert_eq!((&kept[0]["forge_id"], &kept[20]["forge_id"]), (&json!("29"), &json!("real")));
}

/// A webhook of this forge with the headers that it sends; what it is signed with is wrong if `is_right` is false.
fn of_forge(server: &TestServer, forge: &str, body: &str, is_right: bool) -> reqwest::RequestBuilder {
    let signed = signature(if is_right { body } else { "something else" });
    let token = if is_right { SECRET } else { "a secret of somebody else" };
    let headers: [(&str, &str); 3] = match forge {
        "github" => [("x-github-event", "push"), ("x-github-delivery", "1"), ("x-hub-signature-256", signed.as_str())],
        "gitlab" => [("x-gitlab-event", "Push Hook"), ("x-gitlab-event-uuid", "2"), ("x-gitlab-token", token)],
        _ => [
            ("x-gitea-event", "push"),
            ("x-gitea-delivery", "3"),
            ("x-gitea-signature", signed.strip_prefix("sha256=").unwrap()),
        ],
    };
    let path = format!("/api/v1/webhooks/{forge}?project=web");
    let request = server.request(Method::POST, &path).header("content-type", "application/json");
    headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).body(body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_forge_proves_itself_in_its_way_and_what_it_sends_is_told() {
    let server = TestServer::start().await;
    let admin = prepared(&server).await;
    let secret = json!({ "secret": SECRET });
    let mut told = Told::open(&server, "/api/v1/events?since=0", &admin).await;
    for (forge, event, body) in [
        ("github", "push", r#"{"repository":{"full_name":"team/web"},"after":"1"}"#),
        ("gitlab", "Push Hook", r#"{"project":{"path_with_namespace":"team/web"},"after":"2"}"#),
        ("gitea", "push", r#"{"repository":{"full_name":"team/web"},"after":"3"}"#),
    ] {
        let path = format!("/api/v1/projects/web/webhooks/{forge}");
        server.ask("PUT", &path, &admin, Some(&secret)).await.expect(204);
        server.send(of_forge(&server, forge, body, false)).await.expect(401);
        let recorded = server.send(of_forge(&server, forge, body, true)).await.expect(202).json();
        assert_eq!(recorded["result"], "recorded", "{forge}");
        // The refused one was not told: this is the first of its kind.
        let sent = told.next_of("webhook.").await;
        assert_eq!(sent.event, format!("webhook.{forge}"));
        assert_eq!(sent.data["delivery"], recorded["delivery"]);
        assert_eq!((&sent.data["event"], &sent.data["repository"]), (&json!(event), &json!("team/web")));
    }
    let kept = deliveries(&server, &admin).await;
    assert_eq!(kept.iter().filter(|delivery| delivery["signature_ok"] == true).count(), 3);
    assert_eq!(kept.len(), 6);
}

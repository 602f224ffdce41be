//! Webhooks: what is signed is recorded once, what is not leaves next to nothing.

use std::time::Duration;

use reqwest::Method;
use ring::hmac;
use serde_json::{Value as Json, json};

use crate::support::{Answer, TestServer};

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

//! How often, from where, and for which pages.

use std::{num::NonZeroU32, time::Duration};

use oxide_api::settings::Quota;
use reqwest::Method;
use serde_json::json;

use crate::support::TestServer;

fn quota(burst: u32) -> Quota {
    Quota { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(burst).unwrap() }
}

#[tokio::test]
async fn a_token_has_its_share_and_others_have_theirs() {
    let server = TestServer::start_with(|settings| settings.rates.token = quota(5)).await;
    let (one, two) = (
        server.admin().await,
        server.token(server.user("bob", true).await, &[oxide_core::access::Scope::Read], None).await.0,
    );
    let (mut refused, mut taken) = (None, 0);
    // One more may come each second: a slow machine needs more tries.
    for _ in 0..200 {
        let answer = server.get("/api/v1/user", &one).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.expect(200);
        taken += 1;
    }
    let refused = refused.expect("it is more than five");
    assert!(taken >= 5, "{taken}");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.json()["error"], "too_many_requests");
    server.get("/api/v1/user", &two).await.expect(200);
}

#[tokio::test]
async fn an_address_cannot_guess_tokens_and_known_ones_are_not_in_the_way() {
    let server = TestServer::start_with(|settings| settings.rates.address = quota(6)).await;
    let admin = server.admin().await;
    server.get("/api/v1/user", &admin).await.expect(200);
    let mut statuses = Vec::new();
    // One more may come each second: a slow machine needs more tries.
    for number in 0..200 {
        statuses.push(server.get("/api/v1/user", &format!("oxide_pat_{number:064}")).await.status.as_u16());
        if statuses.last() == Some(&429) {
            break;
        }
    }
    assert!(statuses.contains(&401) && statuses.last() == Some(&429), "{statuses:?}");
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(server.get("/api/v1/user", "").await.status.as_u16());
    }
    assert!(statuses.contains(&429), "without any the address is the same: {statuses:?}");
    server.get("/api/v1/user", &admin).await.expect(200);
    for _ in 0..20 {
        server.get("/api/v1/health", "").await.expect(200);
    }
}

#[tokio::test]
async fn signing_in_is_bounded_harder() {
    let server = TestServer::start_with(|settings| {
        settings.rates.sign_in_burst = NonZeroU32::new(3).unwrap();
        settings.rates.sign_in_every = Duration::from_secs(3600);
    })
    .await;
    let attempt = json!({ "code": "oxide_set_x" });
    for _ in 0..3 {
        server.post("/api/v1/sign-in/setup", "", &attempt).await.expect(401);
    }
    let refused = server.post("/api/v1/sign-in/setup", "", &attempt).await.expect(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 60);
    server.post("/api/v1/sign-in/refresh", "", &json!({})).await.expect(429);
    server.get("/api/v1/server", "").await.expect(200);
}

#[tokio::test]
async fn trusted_proxies_tell_who_asks_and_others_do_not() {
    for (trusted, expected) in [(vec!["127.0.0.0/8"], "203.0.113.7"), (vec![], "127.0.0.1")] {
        let server = TestServer::start_with(|settings| {
            settings.trusted_proxies = trusted.iter().map(|text| text.parse().unwrap()).collect();
        })
        .await;
        let admin = server.admin().await;
        let request = server.request(Method::POST, "/api/v1/projects").bearer_auth(&admin);
        let request =
            request.header("x-forwarded-for", "1.2.3.4, 203.0.113.7").header("content-type", "application/json");
        server.send(request.body(r#"{"name": "web"}"#)).await.expect(201);
        let log = server.get("/api/v1/audit", &admin).await.expect(200).json();
        assert_eq!(log["items"][0]["address"], expected);
    }
}

#[tokio::test]
async fn pages_of_named_origins_may_ask() {
    let named = "https://dashboard.example.com";
    let server = TestServer::start_with(|settings| settings.cors_origins = vec![named.into()]).await;
    let ask = |origin: &str| {
        server
            .request(Method::OPTIONS, "/api/v1/projects")
            .header("origin", origin.to_owned())
            .header("access-control-request-method", "POST")
    };
    let allowed = server.send(ask(named)).await.expect(204);
    assert_eq!(allowed.header("access-control-allow-origin"), named);
    assert!(allowed.header("access-control-allow-headers").contains("Authorization"));
    assert!(allowed.header("access-control-allow-credentials").is_empty());
    assert!(server.send(ask("https://evil.example")).await.header("access-control-allow-origin").is_empty());
    let refused = server.request(Method::GET, "/api/v1/projects").header("origin", named);
    let refused = server.send(refused).await.expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), named, "a page can read errors, too");
    assert_eq!(refused.header("vary"), "Origin");
}

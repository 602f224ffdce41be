//! The first administrator, tokens, sessions, and what the audit log says of them.

use std::time::Duration;

use axum::http::HeaderValue;
use oxide_api::sign_in::{session, setup};
use oxide_core::{
    access::{Role, Scope},
    api::sign_in::Session,
};
use serde_json::{Value as Json, json};

use crate::support::{Answer, TestServer};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn audit(server: &TestServer, admin: &str, query: &str) -> Vec<Json> {
    let page = server.get(&format!("/api/v1/audit?{query}"), admin).await.expect(200).json();
    page["items"].as_array().unwrap().clone()
}

async fn from_setup_to_sign_out(server: &TestServer) {
    assert_eq!(server.get("/api/v1/server", "").await.expect(200).json()["needs_setup"], true);
    let set_up = async |body: Json| server.post("/api/v1/sign-in/setup", "", &body).await;
    set_up(json!({ "code": "oxide_set_guessed" })).await.expect(401);
    let old = setup::new_code(&server.store, server.now()).await.unwrap().expect("there is no administrator");
    let code = setup::new_code(&server.store, server.now()).await.unwrap().expect("there is none yet");
    set_up(json!({ "code": old })).await.expect(401);
    server.get("/api/v1/projects", &code).await.expect(401);
    set_up(json!({ "code": code, "name": "a/b" })).await.expect(422);
    let done = set_up(json!({ "code": code, "name": "ann" })).await.expect(201);
    assert_eq!(done.header("cache-control"), "no-store");
    let done = done.json();
    let admin = done["token"]["token"].as_str().unwrap().to_owned();
    assert!(admin.starts_with("oxide_pat_") && done["user"]["is_admin"] == true);
    set_up(json!({ "code": code })).await.expect(409);
    assert_eq!(server.get("/api/v1/server", "").await.expect(200).json()["needs_setup"], false);
    assert!(setup::new_code(&server.store, server.now()).await.unwrap().is_none());

    let me = server.get("/api/v1/user", &admin).await.expect(200).json();
    assert_eq!((&me["user"]["name"], &me["scopes"][0]), (&json!("ann"), &json!("read")));
    let log = audit(server, &admin, "limit=20").await;
    let (done, refused): (Vec<_>, Vec<_>) = log.iter().partition(|entry| entry["action"] == "set_up");
    assert_eq!((&done[0]["actor"], &done[0]["address"]), (&json!("setup"), &json!("127.0.0.1")));
    assert!(done.len() == 1 && refused.len() >= 4, "{log:?}");
    assert!(refused.iter().all(|entry| entry["action"] == "refused" && entry["actor"] == "nobody"), "{log:?}");
    // Neither codes nor tokens are in the log.
    let text = json!(log).to_string();
    assert!(!text.contains(&code) && !text.contains(&admin) && !text.contains("guessed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_administrator_on_sqlite() {
    from_setup_to_sign_out(&TestServer::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_administrator_on_postgres() {
    let Some(server) = TestServer::start_on_postgres().await else { return };
    from_setup_to_sign_out(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setup_code_works_for_a_day_and_for_one_of_two_who_race() {
    let server = TestServer::start().await;
    let code = setup::new_code(&server.store, server.now()).await.unwrap().unwrap();
    server.pass(DAY);
    server.post("/api/v1/sign-in/setup", "", &json!({ "code": code })).await.expect(401);
    let code = setup::new_code(&server.store, server.now()).await.unwrap().unwrap();
    let body = |name: &str| json!({ "code": code, "name": name });
    let (one, two) = (body("one"), body("two"));
    let (one, two) =
        tokio::join!(server.post("/api/v1/sign-in/setup", "", &one), server.post("/api/v1/sign-in/setup", "", &two));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert!(statuses[0] == 201 && [401, 409].contains(&statuses[1]), "{statuses:?}");
    assert_eq!(server.store.count_admins().await.unwrap(), 1);
}

async fn tokens_are_shown_once_and_end(server: &TestServer) {
    let admin = server.admin().await;
    server.post("/api/v1/projects", &admin, &json!({ "name": "web" })).await.expect(201);
    let made =
        server.post("/api/v1/tokens", &admin, &json!({ "name": "ci", "scopes": ["run"], "project": "web" })).await;
    let made = made.expect(201).json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert!(token.starts_with(made["prefix"].as_str().unwrap()) && made["scopes"] == json!(["run"]));
    let listed = server.get("/api/v1/tokens", &admin).await.expect(200);
    assert!(listed.text.contains(id) && !listed.text.contains(token));
    // It does what its scopes say, where it is bound to, and no more.
    server.get("/api/v1/projects/web", token).await.expect(200);
    server.ask("PATCH", "/api/v1/projects/web", token, Some(&json!({}))).await.expect(403);
    server.get("/api/v1/users", token).await.expect(403);
    // It cannot make itself more powerful.
    for beyond in [json!({ "name": "x", "scopes": ["admin"] }), json!({ "name": "x", "scopes": ["maintain"] })] {
        server.post("/api/v1/tokens", token, &beyond).await.expect(403);
    }
    let child = server.post("/api/v1/tokens", token, &json!({ "name": "x" })).await.expect(201).json();
    assert_eq!((&child["scopes"], &child["project"]), (&json!(["run"]), &made["project"]));
    assert!(child["expires_at"].as_str() <= made["expires_at"].as_str());
    let other = server.token(server.user("bob", false).await, &Scope::ALL, None).await.0;
    server.ask("DELETE", &format!("/api/v1/tokens/{id}"), &other, None).await.expect(404);
    server.ask("DELETE", &format!("/api/v1/tokens/{id}"), &admin, None).await.expect(204);
    let refused = server.get("/api/v1/projects/web", token).await.expect(401);
    assert!(refused.text.contains("revoked") && !refused.header("www-authenticate").is_empty());
    let gone_with_it = server.get("/api/v1/user", child["token"].as_str().unwrap()).await.expect(401);
    assert!(gone_with_it.text.contains("revoked"));
    server.pass(DAY * 91);
    let expired = server.get("/api/v1/user", &other).await.expect(401);
    assert!(expired.text.contains("expired"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_on_sqlite() {
    tokens_are_shown_once_and_end(&TestServer::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_on_postgres() {
    let Some(server) = TestServer::start_on_postgres().await else { return };
    tokens_are_shown_once_and_end(&server).await;
}

#[tokio::test]
async fn a_token_may_come_as_the_password_of_any_name() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let basic = server.request(reqwest::Method::GET, "/api/v1/user").basic_auth("anybody", Some(&admin));
    server.send(basic).await.expect(200);
}

/// A session of a user, as a sign-in would begin it.
async fn sign_in(server: &TestServer, name: &str, is_admin: bool) -> Session {
    let id = server.user(name, is_admin).await;
    let user = server.store.user(id).await.unwrap().unwrap();
    let mut transaction = server.store.begin().await.unwrap();
    let session = session::begin(&server.state, &mut transaction, &user).await.unwrap();
    transaction.commit().await.unwrap();
    session
}

async fn refresh(server: &TestServer, token: &str) -> Answer {
    server.post("/api/v1/sign-in/refresh", "", &json!({ "refresh_token": token })).await
}

async fn sessions_end_and_are_renewed(server: &TestServer) {
    let session = sign_in(server, "ann", true).await;
    server.get("/api/v1/users", &session.access_token).await.expect(200);
    server.get("/api/v1/users", &session.refresh_token).await.expect(401);
    server.pass(Duration::from_secs(15 * 60));
    let refused = server.get("/api/v1/users", &session.access_token).await.expect(401);
    assert!(refused.text.contains("expired"));
    let second: Session =
        serde_json::from_str(&refresh(server, &session.refresh_token).await.expect(200).text).unwrap();
    server.get("/api/v1/users", &second.access_token).await.expect(200);
    // Whoever uses the old one later has a copy: everything that followed ends.
    server.pass(Duration::from_secs(60));
    let stolen = refresh(server, &session.refresh_token).await.expect(401);
    assert!(stolen.text.contains("copy"), "{stolen:?}");
    server.get("/api/v1/users", &second.access_token).await.expect(401);
    refresh(server, &second.refresh_token).await.expect(401);
    refresh(server, "oxide_ref_nonsense").await.expect(401);

    let third = sign_in(server, "bob", true).await;
    server.ask("POST", "/api/v1/sign-out", &third.access_token, None).await.expect(204);
    server.get("/api/v1/users", &third.access_token).await.expect(401);
    refresh(server, &third.refresh_token).await.expect(401);
    let log = audit(server, &server.admin().await, "action=refused&limit=50").await;
    assert!(log.len() >= 4 && log.iter().all(|entry| entry["actor"] == "nobody"), "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_on_sqlite() {
    sessions_end_and_are_renewed(&TestServer::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_on_postgres() {
    let Some(server) = TestServer::start_on_postgres().await else { return };
    sessions_end_and_are_renewed(&server).await;
}

#[tokio::test]
async fn a_cookie_does_for_pages_of_ours_only() {
    let server = TestServer::start().await;
    let session = sign_in(&server, "ann", true).await;
    let cookie = format!("oxide_session={}; oxide_refresh={}", session.access_token, session.refresh_token);
    let post = |path: &str, origin: Option<&str>| {
        let request = server.request(reqwest::Method::POST, path).header("cookie", &cookie);
        let request = request.header("content-type", "application/json");
        match origin {
            Some(origin) => request.header("origin", HeaderValue::from_str(origin).unwrap()),
            None => request,
        }
    };
    server.send(server.request(reqwest::Method::GET, "/api/v1/users").header("cookie", &cookie)).await.expect(200);
    let new = json!({ "name": "web" }).to_string();
    for other in [None, Some("https://evil.example"), Some("null")] {
        server.send(post("/api/v1/projects", other).body(new.clone())).await.expect(403);
        server.send(post("/api/v1/sign-in/refresh", other).body("{}")).await.expect(403);
    }
    server.send(post("/api/v1/projects", Some(&server.url)).body(new)).await.expect(201);
    let renewed = server.send(post("/api/v1/sign-in/refresh", Some(&server.url)).body("{}")).await.expect(200);
    let set: Vec<_> = renewed.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(set.len(), 2);
    assert!(
        set.iter().all(|cookie| cookie.contains("; HttpOnly; SameSite=Lax") && !cookie.contains("Secure")),
        "{set:?}"
    );
}

#[tokio::test]
async fn cookies_are_secure_where_browsers_come_by_https() {
    let server = TestServer::start_with(|settings| settings.public_url = "https://ci.example.com".into()).await;
    let session = sign_in(&server, "ann", true).await;
    let request = server.request(reqwest::Method::POST, "/api/v1/sign-in/refresh");
    let request = request.header("cookie", format!("oxide_refresh={}", session.refresh_token));
    let request = request.header("origin", "https://ci.example.com").header("content-type", "application/json");
    let renewed = server.send(request.body("{}")).await.expect(200);
    assert!(renewed.headers.get_all("set-cookie").iter().all(|value| value.to_str().unwrap().ends_with("; Secure")));
    assert!(!renewed.header("strict-transport-security").is_empty());
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_the_last_administrator_stays() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let session = sign_in(&server, "bob", false).await;
    server.get("/api/v1/user", &session.access_token).await.expect(200);
    let change = json!({ "is_disabled": true });
    server.ask("PATCH", "/api/v1/users/bob", &admin, Some(&change)).await.expect(200);
    server.get("/api/v1/user", &session.access_token).await.expect(401);
    refresh(&server, &session.refresh_token).await.expect(401);
    server.ask("PATCH", "/api/v1/users/root", &admin, Some(&change)).await.expect(409);
    server.ask("PATCH", "/api/v1/users/root", &admin, Some(&json!({ "is_admin": false }))).await.expect(409);
    server.get("/api/v1/user", &admin).await.expect(200);
}

#[tokio::test]
async fn who_may_see_a_project_and_change_its_members() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.post("/api/v1/projects", &admin, &json!({ "name": "web" })).await.expect(201);
    server.post("/api/v1/users", &admin, &json!({ "name": "bob" })).await.expect(201);
    let made = server.post("/api/v1/users/bob/tokens", &admin, &json!({ "name": "laptop" })).await.expect(201).json();
    let bob = made["token"].as_str().unwrap();
    // What bob may not see looks as what is not there.
    let hidden = server.get("/api/v1/projects/web", bob).await.expect(404).json();
    let absent = server.get("/api/v1/projects/wob", bob).await.expect(404).json();
    assert_eq!(hidden["message"].as_str().unwrap().replace("web", "wob"), absent["message"]);
    assert_eq!(server.get("/api/v1/projects", bob).await.expect(200).json()["items"], json!([]));
    let member = json!({ "role": "viewer" });
    server.ask("PUT", "/api/v1/projects/web/members/bob", &admin, Some(&member)).await.expect(200);
    assert_eq!(server.get("/api/v1/projects", bob).await.expect(200).json()["items"][0]["role"], "viewer");
    server.ask("PUT", "/api/v1/projects/web/members/bob", bob, Some(&json!({ "role": "admin" }))).await.expect(403);
    server.ask("DELETE", "/api/v1/projects/web/members/bob", &admin, None).await.expect(204);
    server.get("/api/v1/projects/web", bob).await.expect(404);
    let log = audit(&server, &admin, "project=web&action=put_member").await;
    assert_eq!(log.len(), 1);
    assert_eq!((&log[0]["actor"], &log[0]["details"]["role"]), (&json!("user:root"), &json!(Role::Viewer)));
}

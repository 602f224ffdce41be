//! Who may use which route: asked of every route of the table, about real things, by everybody who may come.

mod asking;
mod comer;
mod doors;
mod open;
mod world;

use oxide_api::route::{Access, table};
use oxide_core::access::Role;
use reqwest::header;
use serde_json::Value as Json;

use self::{
    asking::{Asking, asking},
    comer::{Comer, Guest, guests},
    world::{SECRETS, World},
};
use crate::support::{Answer, TestServer};

/// What the table promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Who it is is not known: 401.
    Unknown,
    /// It may not: 403.
    Forbidden,
    /// It may not even know of it: 404.
    Hidden,
    /// It may: what the row of the route says.
    Allowed,
}

fn promise(access: Access, comer: Comer) -> Promise {
    use Comer::{
        Administrator, Agent, Bound, Deregistered, Disabled, Expired, Member, Nobody, Nonsense, Puller, Reader,
        Revoked, Stranger,
    };
    match (access, comer) {
        (_, Nobody | Nonsense | Expired | Revoked | Disabled | Deregistered) => Promise::Unknown,
        (Access::Agent, Agent) => Promise::Allowed,
        (Access::Agent, _) | (_, Agent) => Promise::Forbidden,
        // A token for the registry is for nothing else.
        (Access::SignedIn, Puller) => Promise::Forbidden,
        (Access::SignedIn, _) => Promise::Allowed,
        (Access::Project(_), Stranger | Bound) => Promise::Hidden,
        (Access::Project(_) | Access::Organization(_), Puller) => Promise::Forbidden,
        (Access::Project(_) | Access::Organization(_), Administrator) => Promise::Allowed,
        (Access::Project(needed), Member(role)) if role >= needed => Promise::Allowed,
        (Access::Project(Role::Viewer), Reader) => Promise::Allowed,
        (Access::Project(_), _) => Promise::Forbidden,
        (Access::Organization(_), Bound) => Promise::Forbidden,
        (Access::Organization(Role::Viewer), _) => Promise::Allowed,
        (Access::Organization(_), _) => Promise::Forbidden,
        (Access::Public | Access::Signed, _) => unreachable!("these are not asked"),
    }
}

async fn every_route_keeps_the_promises_of_the_table(server: &TestServer) {
    let guests = guests(server).await;
    let administrator = guests.iter().find(|guest| guest.comer == Comer::Administrator).unwrap();
    let mut world = World::new(server, &guests).await;
    // How the world is, until somebody changes it.
    let mut before: Option<Json> = None;
    let (mut asked, mut broken) = (0, Vec::new());
    for about in table::all().into_iter().map(|route| route.about) {
        if matches!(about.access, Access::Public | Access::Signed) {
            continue;
        }
        for guest in &guests {
            let asking = asking(&about, &world, guest);
            let promise = match (promise(asking.access, guest.comer), about.name) {
                // Whose token it is, is not told.
                (Promise::Forbidden, "revoke_token") if !matches!(guest.comer, Comer::Agent | Comer::Puller) => {
                    Promise::Hidden
                }
                (promise, _) => promise,
            };
            let changes = about.method != "GET";
            if changes && before.is_none() {
                before = Some(state(server, &world, administrator).await);
            }
            let answer = ask(server, about.method.as_str(), &asking, guest).await;
            let status = answer.status.as_u16();
            let story = format!("{:?} asks {} {}", guest.comer, about.method, asking.path);
            let is_kept = match promise {
                Promise::Unknown => status == 401,
                Promise::Forbidden => status == 403,
                Promise::Hidden => status == 404,
                Promise::Allowed => asking.answers.contains(&status),
            };
            if !is_kept {
                broken.push(format!("{story}: {promise:?} was promised, and it answered {status}: {}", answer.text));
            }
            if SECRETS.iter().any(|secret| answer.text.contains(secret)) {
                broken.push(format!("{story} and reads a secret: {}", answer.text));
            }
            if changes && (promise == Promise::Allowed || !is_kept) {
                (world, before) = (World::new(server, &guests).await, None);
            } else if changes {
                let after = state(server, &world, administrator).await;
                if let Some(before) = before.replace(after.clone())
                    && before != after
                {
                    let both = before.as_array().unwrap().iter().zip(after.as_array().unwrap());
                    let changed: Vec<_> = both.filter(|(one, other)| one != other).collect();
                    broken.push(format!("{story}, is refused, and something has changed: {changed:?}"));
                }
            }
            asked += 1;
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(asked > 1_000, "only {asked} were asked");
}

/// Asks as this guest does. Of what has no end only the beginning is read.
async fn ask(server: &TestServer, method: &str, asking: &Asking, guest: &Guest) -> Answer {
    let mut request = server.request(method.parse().unwrap(), &asking.path);
    if !guest.credential.is_empty() {
        request = request.bearer_auth(&guest.credential);
    }
    if let Some(body) = &asking.body {
        request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
    }
    if asking.answers == [101] {
        request = request
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let is_endless = status == 101 || asking.path == "/api/v1/events" && status == 200;
    let text = if is_endless { String::new() } else { response.text().await.unwrap() };
    Answer { status, headers, text }
}

/// Everything of a world that somebody could change, as an administrator reads it.
async fn state(server: &TestServer, world: &World, administrator: &Guest) -> Json {
    let (project, user, run) = (world.project, &world.things["user"], &world.things["run"]);
    let paths = [
        "/api/v1/projects?limit=200".to_owned(),
        format!("/api/v1/projects/{project}"),
        format!("/api/v1/projects/{project}/members"),
        format!("/api/v1/projects/{project}/deliveries"),
        format!("/api/v1/pipelines?project={project}"),
        format!("/api/v1/runs?project={project}"),
        format!("/api/v1/runs/{run}"),
        format!("/api/v1/approvals?project={project}"),
        format!("/api/v1/secrets?project={project}"),
        format!("/api/v1/users/{user}"),
        format!("/api/v1/users/{user}/tokens"),
        format!("/api/v1/agents/{}", world.things["agent"]),
        "/api/v1/agent-tokens".to_owned(),
    ];
    let mut state = Vec::new();
    for path in paths {
        let mut read = server.get(&path, &administrator.credential).await.expect(200).json();
        if path.ends_with("/deliveries") {
            // That strangers tried is told.
            let deliveries = read["items"].as_array_mut().unwrap();
            deliveries.retain(|delivery| delivery["signature_ok"] == true);
        }
        forget_the_time(&mut read);
        state.push(read);
    }
    Json::Array(state)
}

/// What changes by itself: when somebody was last heard of, and what is thought of that.
fn forget_the_time(read: &mut Json) {
    match read {
        Json::Array(items) => items.iter_mut().for_each(forget_the_time),
        Json::Object(fields) => {
            let is_agent = fields.contains_key("last_heartbeat_at");
            fields.retain(|name, _| {
                let of_time = matches!(name.as_str(), "reason" | "last_heartbeat_at" | "last_used_at");
                !of_time && (!is_agent || name != "status")
            });
            fields.values_mut().for_each(forget_the_time);
        }
        _ => {}
    }
}

/// As many requests as the test has.
fn generous(settings: &mut oxide_api::settings::Settings) {
    let many = std::num::NonZeroU32::new(1_000_000).unwrap();
    let quota = oxide_api::settings::Quota { per_second: many, burst: many };
    (settings.rates.address, settings.rates.token, settings.rates.agent) = (quota, quota, quota);
    settings.rates.sign_in_burst = many;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_on_sqlite() {
    every_route_keeps_the_promises_of_the_table(&TestServer::start_with(generous).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_on_postgres() {
    let Some(server) = TestServer::start_on_postgres_with(generous).await else { return };
    every_route_keeps_the_promises_of_the_table(&server).await;
}

/// The two promises that people ask for first, in words.
#[tokio::test]
async fn a_viewer_cannot_run_and_a_runner_cannot_read_secrets() {
    let server = TestServer::start_with(generous).await;
    let guests = guests(&server).await;
    let world = World::new(&server, &guests).await;
    let credential = |role| &guests.iter().find(|guest| guest.comer == Comer::Member(role)).unwrap().credential;
    let (project, pipeline) = (world.project, &world.things["pipeline"]);
    let runs = format!("/api/v1/pipelines/{pipeline}/runs");
    let (list, secrets) = (format!("/api/v1/runs?project={project}"), format!("/api/v1/secrets?project={project}"));

    let (viewer, runner) = (credential(Role::Viewer), credential(Role::Runner));
    server.ask("POST", &runs, viewer, None).await.expect(403);
    assert_eq!(server.get(&list, viewer).await.expect(200).json()["items"].as_array().unwrap().len(), 2);
    server.ask("POST", &runs, runner, None).await.expect(201);
    assert_eq!(server.get(&list, viewer).await.expect(200).json()["items"].as_array().unwrap().len(), 3);

    server.get(&secrets, runner).await.expect(403);
    let shown = server.get(&secrets, credential(Role::Maintainer)).await.expect(200);
    assert!(shown.text.contains("KEY") && !shown.text.contains(SECRETS[0]), "{}", shown.text);
}

//! Who may use which route: asked of every route of the table, for everybody who may come.

use std::{collections::BTreeMap, time::Duration};

use oxide_api::route::{About, Access, Rate, table};
use oxide_core::{
    access::{Role, Scope},
    id::{AgentId, ProjectId, UserId},
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::support::{Answer, TestServer};

/// Somebody who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comer {
    Nobody,
    Nonsense,
    Expired,
    Revoked,
    Disabled,
    Member(Role),
    /// A member of another project.
    Stranger,
    /// An admin of the project with a token that only reads.
    Reader,
    /// An admin of the project with a token for another project.
    Bound,
    /// An administrator with a token that is for the registry only.
    Puller,
    Administrator,
    Agent,
    Deregistered,
}

const COMERS: [Comer; 16] = [
    Comer::Nobody,
    Comer::Nonsense,
    Comer::Expired,
    Comer::Revoked,
    Comer::Disabled,
    Comer::Member(Role::Viewer),
    Comer::Member(Role::Runner),
    Comer::Member(Role::Maintainer),
    Comer::Member(Role::Admin),
    Comer::Stranger,
    Comer::Reader,
    Comer::Bound,
    Comer::Puller,
    Comer::Administrator,
    Comer::Agent,
    Comer::Deregistered,
];

/// What the table promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Who it is is not known: 401.
    Unknown,
    /// It may not: 403.
    Forbidden,
    /// It may not even know of the project: 404.
    Hidden,
    /// It may: anything but the three above, if all that the path names is there.
    Allowed,
    /// It may come in; what it may do there is the handler's.
    Known,
}

fn promise(access: Access, comer: Comer) -> Promise {
    use Comer::{
        Administrator, Agent, Bound, Deregistered, Disabled, Expired, Member, Nobody, Nonsense, Puller, Reader,
        Revoked, Stranger,
    };
    match (access, comer) {
        (_, Nobody | Nonsense | Expired | Revoked | Disabled | Deregistered) => Promise::Unknown,
        (Access::Agent, Agent) => Promise::Known,
        (Access::Agent, _) | (_, Agent) => Promise::Forbidden,
        (Access::SignedIn, _) => Promise::Known,
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

/// What a comer shows.
async fn credential(server: &TestServer, comer: Comer, project: ProjectId, other: ProjectId) -> String {
    let name = || format!("u{}", Uuid::now_v7().simple());
    let member = async |role: Role| -> UserId {
        let user = server.user(&name(), false).await;
        server.member(project, user, role).await;
        user
    };
    match comer {
        Comer::Nobody => String::new(),
        Comer::Nonsense => "oxide_pat_0000000000000000000000000000000000000000000000000000000000000000".into(),
        Comer::Expired | Comer::Revoked | Comer::Disabled => {
            let user = server.user(&name(), true).await;
            let (token, id) = server.token(user, &Scope::ALL, None).await;
            let mut transaction = server.store.begin().await.unwrap();
            if comer == Comer::Revoked {
                transaction.revoke_token(id, server.now()).await.unwrap();
            } else if comer == Comer::Disabled {
                let mut row = transaction.user(user).await.unwrap().unwrap();
                row.disabled_at = Some(server.now());
                transaction.update_user(&row).await.unwrap();
            }
            transaction.commit().await.unwrap();
            token
        }
        Comer::Member(role) => server.token(member(role).await, &Scope::ALL, None).await.0,
        Comer::Stranger => {
            let user = server.user(&name(), false).await;
            server.member(other, user, Role::Admin).await;
            server.token(user, &Scope::ALL, None).await.0
        }
        Comer::Reader => server.token(member(Role::Admin).await, &[Scope::Read], None).await.0,
        Comer::Bound => server.token(member(Role::Admin).await, &Scope::ALL, Some(other)).await.0,
        Comer::Puller => server.token(server.user(&name(), true).await, &[Scope::RegistryRead], None).await.0,
        Comer::Administrator => server.token(server.user(&name(), true).await, &Scope::ALL, None).await.0,
        Comer::Agent => server.agent(&name()).await.0,
        Comer::Deregistered => {
            let (credential, id) = server.agent(&name()).await;
            deregister(server, id).await;
            credential
        }
    }
}

async fn deregister(server: &TestServer, id: AgentId) {
    let mut transaction = server.store.begin().await.unwrap();
    assert!(transaction.deregister_agent(id, server.now()).await.unwrap());
    transaction.commit().await.unwrap();
}

/// What stands in the place of the parameters of a path, and whether all of it is there.
fn path(about: &About, project: ProjectId, things: &BTreeMap<&'static str, String>) -> (String, bool) {
    let (mut path, mut is_there) = (about.path.to_owned(), true);
    for name in about.path_parameters() {
        let value = match name {
            "project" => project.to_string(),
            name => things.get(name).cloned().unwrap_or_else(|| {
                is_there = false;
                Uuid::now_v7().to_string()
            }),
        };
        path = path.replace(&format!("{{{name}}}"), &value).replace(&format!("{{*{name}}}"), &value);
    }
    // A route of a project without `{project}` finds it by what the path names.
    (path, is_there)
}

/// A body that the schema of the route takes.
fn example(document: &Json, schema: &Json) -> Json {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return example(document, &document["components"]["schemas"][name]);
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[several].as_array().and_then(|all| all.first()) {
            return example(document, first);
        }
    }
    if let Some(word) = schema["enum"].as_array().and_then(|words| words.first()) {
        return word.clone();
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    let word = schema["type"].as_str().or_else(|| schema["type"].as_array().and_then(|types| types.first()?.as_str()));
    match word {
        Some("object") => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let field = |name: &Json| {
                let name = name.as_str().unwrap();
                (name.to_owned(), example(document, &schema["properties"][name]))
            };
            Json::Object(required.iter().map(field).collect())
        }
        Some("array") => json!([]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(false),
        _ if schema["format"] == "uuid" => json!(Uuid::now_v7()),
        _ if schema["format"] == "date-time" => json!("2030-01-01T00:00:00.000Z"),
        _ => json!(format!("x{}", Uuid::now_v7().simple())),
    }
}

#[track_caller]
fn check(promise: Promise, answer: &Answer, is_there: bool, story: &str) {
    let status = answer.status.as_u16();
    let is_kept = match promise {
        Promise::Unknown => status == 401,
        Promise::Forbidden if is_there => status == 403,
        Promise::Hidden if is_there => status == 404,
        // What the path names is not there, or it names nothing: nobody is told whether they might, and lists are empty.
        Promise::Forbidden | Promise::Hidden => {
            matches!(status, 400 | 403 | 404 | 409 | 415 | 422) || status == 200 && answer.json()["items"] == json!([])
        }
        Promise::Allowed if is_there => !matches!(status, 401 | 403 | 404 | 405 | 500..),
        Promise::Allowed => !matches!(status, 401 | 403 | 405 | 500..),
        Promise::Known => !matches!(status, 401 | 405 | 500..),
    };
    assert!(is_kept, "{story}: {promise:?} was promised, and it answered {status}: {}", answer.text);
}

async fn every_route_keeps_the_promises_of_the_table(server: &TestServer) {
    let document: Json = server.get("/api/v1/openapi.json", "").await.expect(200).json();
    let other = server.project("other").await;
    let old = credential(server, Comer::Expired, other, other).await;
    server.pass(Duration::from_secs(25 * 60 * 60));
    let mut asked = 0;
    for route in table::all() {
        let about = route.about;
        if matches!(about.access, Access::Public | Access::Signed) {
            continue;
        }
        let streams = about.patience.is_none();
        for comer in COMERS {
            let promise = promise(about.access, comer);
            // What streams or waits would not end; who is let in there is asked by tests of its own.
            if streams && matches!(promise, Promise::Allowed | Promise::Known) {
                continue;
            }
            let project = server.project(&format!("p{}", Uuid::now_v7().simple())).await;
            let shown =
                if comer == Comer::Expired { old.clone() } else { credential(server, comer, project, other).await };
            let somebody = server.user(&format!("u{}", Uuid::now_v7().simple()), false).await;
            server.member(project, somebody, Role::Viewer).await;
            let things = BTreeMap::from([("user", somebody.to_string())]);
            let (path, is_there) = path(&about, project, &things);
            let operation = &document["paths"][about.path.replace("{*", "{")][about.method.as_str().to_lowercase()];
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let body = (!schema.is_null()).then(|| example(&document, schema));
            let answer = server.ask(about.method.as_str(), &path, &shown, body.as_ref()).await;
            let names_project = about.path.contains("{project}");
            let is_there = is_there && (names_project || !matches!(about.access, Access::Project(_)));
            check(promise, &answer, is_there, &format!("{comer:?} asks {} {path}", about.method));
            asked += 1;
        }
    }
    assert!(asked > 200, "only {asked} were asked");
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

/// As many requests as the test has.
fn generous(settings: &mut oxide_api::settings::Settings) {
    let many = std::num::NonZeroU32::new(1_000_000).unwrap();
    settings.rates.address = oxide_api::settings::Quota { per_second: many, burst: many };
}

/// The list of what does without a token is short, and a test holds it.
#[test]
fn only_these_do_without_a_token() {
    let open: Vec<_> = table::all()
        .into_iter()
        .filter(|route| route.about.access == Access::Public)
        .map(|route| (route.about.path, route.about.rate))
        .collect();
    for (path, rate) in &open {
        let is_known = [
            "/api/v1/health",
            "/api/v1/ready",
            "/api/v1/server",
            "/api/v1/openapi.json",
            "/api/v1/asyncapi.json",
            "/docs",
        ];
        let is_known = is_known.contains(path) || path.starts_with("/api/v1/sign-in") || *path == "/api/v1/agent/join";
        assert!(is_known, "{path} does without a token");
        assert!(
            *rate != Rate::Unbounded || ["/api/v1/health", "/api/v1/ready"].contains(path),
            "{path} is not bounded"
        );
    }
    assert!(open.len() >= 4);
}

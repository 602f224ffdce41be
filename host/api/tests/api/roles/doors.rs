//! The two doors beside the table of routes: the registry below `/v2/`, and what servers of one database say to each other.
//! What is expected here stands in the README under "Who may do what".

use std::fs;

use oxide_core::access::Role;
use oxide_orchestrator::Call;
use reqwest::{Method, header};
use serde_json::{Value as Json, json};

use super::{
    comer::{Comer, Guest, guests},
    generous,
    world::{World, until},
};
use crate::support::{Answer, CLUSTER_SECRET, TestServer};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BLOB: &[u8] = b"the code of a plugin";
/// One of the project `web`, which the comers have their roles in, and one of no project.
const REPOSITORIES: [&str; 2] = ["web/lint", "nobodys/lint"];

/// What somebody asks of the registry.
struct Ask {
    method: Method,
    path: String,
    body: Vec<u8>,
    kind: &'static str,
    /// What whoever may gets.
    done: u16,
}

impl Ask {
    fn new(method: Method, path: String, body: &[u8], kind: &'static str, done: u16) -> Ask {
        Ask { method, path, body: body.to_vec(), kind, done }
    }

    fn read(method: Method, path: String) -> Ask {
        Ask::new(method, path, &[], "", 200)
    }

    async fn by(&self, server: &TestServer, credential: &str) -> Answer {
        let mut request = server.request(self.method.clone(), &self.path);
        if !credential.is_empty() {
            request = request.bearer_auth(credential);
        }
        if !self.kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, self.kind).body(self.body.clone());
        }
        server.send(request).await
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    format!("sha256:{}", oxide_core::quantity::hexadecimal(digest.as_ref()))
}

fn manifest(note: &str) -> Vec<u8> {
    let config = json!({ "mediaType": "application/octet-stream", "digest": digest(BLOB), "size": BLOB.len() });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "annotations": { "note": note },
    });
    manifest.to_string().into_bytes()
}

/// Who is known pulls, and a token that is for one project only, what belongs to it.
fn may_read(comer: Comer) -> bool {
    is_known(comer) && comer != Comer::Bound
}

/// The maintainers of the project that the name begins with push and delete, elsewhere administrators.
fn may_write(comer: Comer, repository: &str) -> bool {
    match comer {
        Comer::Administrator => true,
        Comer::Member(role) => role >= Role::Maintainer && repository.starts_with("web/"),
        // The scopes of their tokens do not reach, or these are for another project, or they are members of another one; and
        // agents only report.
        _ => false,
    }
}

fn is_known(comer: Comer) -> bool {
    use Comer::{Deregistered, Disabled, Expired, Nobody, Nonsense, Revoked};
    !matches!(comer, Nobody | Nonsense | Expired | Revoked | Disabled | Deregistered)
}

/// What this one gets, who may or may not.
fn expected(comer: Comer, may: bool, done: u16) -> u16 {
    match (is_known(comer), may) {
        (false, _) => 401,
        (true, false) => 403,
        (true, true) => done,
    }
}

/// Puts a blob and a manifest with the tag `1` into the repositories, if they are not there.
async fn furnish(server: &TestServer, credential: &str) {
    for name in REPOSITORIES {
        let blob = format!("/v2/{name}/blobs/uploads/?digest={}", digest(BLOB));
        Ask::new(Method::POST, blob, BLOB, "application/octet-stream", 201).by(server, credential).await.expect(201);
        let path = format!("/v2/{name}/manifests/1");
        Ask::new(Method::PUT, path, &manifest("first"), MANIFEST, 201).by(server, credential).await.expect(201);
    }
}

/// An upload that has just begun.
async fn begin_upload(server: &TestServer, credential: &str, name: &str) -> String {
    let begun = server.ask("POST", &format!("/v2/{name}/blobs/uploads/"), credential, None).await.expect(202);
    begun.header("location").to_owned()
}

fn reads(name: &str) -> Vec<Ask> {
    let (blob, digest) = (digest(BLOB), digest(&manifest("first")));
    let get = |path: String| Ask::read(Method::GET, path);
    vec![
        get("/v2/_catalog".to_owned()),
        get(format!("/v2/{name}/tags/list")),
        get(format!("/v2/{name}/manifests/1")),
        get(format!("/v2/{name}/manifests/{digest}")),
        Ask::read(Method::HEAD, format!("/v2/{name}/manifests/1")),
        get(format!("/v2/{name}/blobs/{blob}")),
        Ask::read(Method::HEAD, format!("/v2/{name}/blobs/{blob}")),
        get(format!("/v2/{name}/referrers/{digest}")),
    ]
}

/// Everything that changes a repository. `uploads` are three that somebody else has begun, `word` is in no repository yet.
fn writes(name: &str, uploads: &[String; 3], word: &str) -> Vec<Ask> {
    let bytes = "application/octet-stream";
    let (new, blob, first) = (digest(word.as_bytes()), digest(BLOB), digest(&manifest("first")));
    let [added, ended, dropped] = uploads;
    let begin = format!("/v2/{name}/blobs/uploads/");
    vec![
        Ask::new(Method::POST, begin.clone(), &[], bytes, 202),
        Ask::new(Method::POST, format!("{begin}?digest={new}"), word.as_bytes(), bytes, 201),
        Ask::new(Method::POST, format!("{begin}?mount={blob}&from={}", REPOSITORIES[1]), &[], bytes, 201),
        Ask::new(Method::PATCH, added.clone(), word.as_bytes(), bytes, 202),
        Ask::new(Method::PUT, format!("{ended}?digest={new}"), word.as_bytes(), bytes, 201),
        Ask::new(Method::DELETE, dropped.clone(), &[], "", 204),
        Ask::new(Method::PUT, format!("/v2/{name}/manifests/{word}"), &manifest(word), MANIFEST, 201),
        Ask::new(Method::PUT, format!("/v2/{name}/manifests/1"), &manifest(word), MANIFEST, 201),
        Ask::new(Method::DELETE, format!("/v2/{name}/manifests/1"), &[], "", 202),
        Ask::new(Method::DELETE, format!("/v2/{name}/manifests/{first}"), &[], "", 202),
        Ask::new(Method::DELETE, format!("/v2/{name}/blobs/{blob}"), &[], "", 202),
    ]
}

/// Everything of the registry that somebody could have changed.
async fn kept(server: &TestServer, credential: &str, uploads: &[String; 3], word: &str) -> Json {
    let mut paths = vec!["/v2/_catalog".to_owned()];
    for name in REPOSITORIES {
        paths.push(format!("/v2/{name}/tags/list"));
        let manifests = ["1".to_owned(), digest(&manifest("first")), digest(&manifest(word))];
        paths.extend(manifests.map(|reference| format!("/v2/{name}/manifests/{reference}")));
        paths.extend([BLOB, word.as_bytes()].map(|blob| format!("/v2/{name}/blobs/{}", digest(blob))));
    }
    paths.extend(uploads.iter().cloned());
    let mut kept = Vec::new();
    for path in paths {
        let read = server.get(&path, credential).await;
        kept.push(json!([path, read.status.as_u16(), read.header("range"), read.text]));
    }
    kept.push(json!(fs::read_dir(server.blobs.join("registry/uploads")).unwrap().count()));
    Json::Array(kept)
}

async fn the_registry_keeps_what_is_promised(server: &TestServer) {
    let web = server.project("web").await;
    let guests = guests(server).await;
    for guest in &guests {
        if let (Some(role), Some(user)) = (guest.comer.role(), guest.user) {
            server.member(web, user, role).await;
        }
    }
    let administrator = guests.iter().find(|guest| guest.comer == Comer::Administrator).unwrap();
    let admin = administrator.credential.as_str();
    furnish(server, admin).await;
    let mut broken = Vec::new();
    for guest in &guests {
        let base = Ask::read(Method::GET, "/v2/".to_owned());
        let mut asked: Vec<(Ask, bool)> = vec![(base, true)];
        for name in REPOSITORIES {
            asked.extend(reads(name).into_iter().map(|ask| (ask, may_read(guest.comer))));
        }
        for (ask, may) in &asked {
            let wanted = expected(guest.comer, *may, ask.done);
            let answer = ask.by(server, &guest.credential).await;
            broken.extend(difference(guest, ask, wanted, &answer));
            let is_told = answer.text.contains("the code of a plugin") || answer.text.contains("first");
            assert!(wanted == 200 || !is_told, "{:?} is told by {}: {}", guest.comer, ask.path, answer.text);
        }
    }
    for (number, guest) in guests.iter().enumerate() {
        for name in REPOSITORIES {
            broken.extend(writes_as_promised(server, admin, guest, name, number).await);
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Has a guest try to change a repository in every way. Answers with what was not as it is promised.
async fn writes_as_promised(server: &TestServer, admin: &str, guest: &Guest, name: &str, number: usize) -> Vec<String> {
    let word = format!("word-{number}");
    let uploads = [
        begin_upload(server, admin, name).await,
        begin_upload(server, admin, name).await,
        begin_upload(server, admin, name).await,
    ];
    let may = may_write(guest.comer, name);
    let mut broken = Vec::new();
    let before = kept(server, admin, &uploads, &word).await;
    for ask in writes(name, &uploads, &word) {
        let answer = ask.by(server, &guest.credential).await;
        broken.extend(difference(guest, &ask, expected(guest.comer, may, ask.done), &answer));
        if may {
            // The next one finds everything in its place.
            furnish(server, admin).await;
        } else {
            let after = kept(server, admin, &uploads, &word).await;
            let changed = format!("{:?} was refused {} {} and changed something", guest.comer, ask.method, ask.path);
            broken.extend((after != before).then_some(changed));
        }
    }
    if may {
        assert_ne!(kept(server, admin, &uploads, &word).await, before, "what changes is not looked at");
    }
    broken
}

fn difference(guest: &Guest, ask: &Ask, wanted: u16, answer: &Answer) -> Option<String> {
    let (comer, status) = (guest.comer, answer.status.as_u16());
    let story = format!("{comer:?}: {} {} is {status} and not {wanted}: {}", ask.method, ask.path, answer.text);
    (status != wanted).then_some(story)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_on_sqlite() {
    the_registry_keeps_what_is_promised(&TestServer::start_with(generous).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_on_postgres() {
    let Some(server) = TestServer::start_on_postgres_with(generous).await else { return };
    the_registry_keeps_what_is_promised(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_servers_of_the_same_database_pass_calls_on() {
    let server = TestServer::start_with(generous).await;
    let guests = guests(&server).await;
    let world = World::new(&server, &guests).await;
    let administrator = guests.iter().find(|guest| guest.comer == Comer::Administrator).unwrap();
    let run = &world.things["run"];
    let call = Call::Kill { run: run.parse().unwrap(), reason: "passed on".to_owned() };
    let call = serde_json::to_value(call).unwrap();
    let before = super::state(&server, &world, administrator).await;
    let ask = async |authorization: Option<&str>| {
        let request = server.request(Method::POST, "/internal/v1/call");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(call.to_string());
        match authorization {
            Some(shown) => server.send(request.header(header::AUTHORIZATION, shown)).await,
            None => server.send(request).await,
        }
    };
    let (longer, shorter) = (format!("Bearer {CLUSTER_SECRET}!"), format!("Bearer {}", &CLUSTER_SECRET[1..]));
    let mut wrong = vec![longer, shorter, "Bearer ".to_owned(), "Bearer".to_owned(), CLUSTER_SECRET.to_owned()];
    wrong.extend(guests.iter().map(|guest| format!("Bearer {}", guest.credential)));
    ask(None).await.expect(403);
    for shown in &wrong {
        let answer = ask(Some(shown.as_str())).await;
        assert_eq!(answer.status, 403, "{shown}: {answer:?}");
        assert!(!answer.text.contains(CLUSTER_SECRET));
    }
    assert_eq!(super::state(&server, &world, administrator).await, before);

    // The same call of a server is done.
    let right = format!("Bearer {CLUSTER_SECRET}");
    ask(Some(right.as_str())).await.expect(200);
    until(async || {
        let read = server.get(&format!("/api/v1/runs/{run}"), &administrator.credential).await.expect(200).json();
        (read["status"] == "cancelled").then_some(())
    })
    .await;
}

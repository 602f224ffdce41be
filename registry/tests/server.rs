//! The small registry from the outside: requests as they come over the wire, against a server on a port of this machine.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, and so may what only tests call")]

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use oxide_blobs::{Blobs, Limits, Location};
use oxide_registry::{
    oci::{Client, ClientSettings, Descriptor, Digest, Repository, media_type},
    server::{self, Registry, Right, Settings, Users},
    signature::{PrivateKey, Signature, published},
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry that is served until it is dropped.
struct Served {
    folder: TempDir,
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Served {
    async fn new() -> Served {
        Served::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Served {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings {
            staging: folder.path().join("staging"),
            blob_bytes_max: 4 << 20,
            read_only: false,
            immutable_tags: false,
            users: None,
            everybody: Some(Right::Write),
            report: |line| panic!("the registry reports: {line}"),
        };
        change(&mut settings);
        let blobs = Blobs::open(&Location::Directory(folder.path().join("blobs")), Limits::default()).unwrap();
        let registry = Registry::open(&blobs, settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async {
                stopped.await.ok();
            };
            server::serve(listener, registry, stopped).await.unwrap();
        });
        Served { folder, address, _stop: stop }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("blobs/registry")
    }

    /// Sends these bytes as they are and reads the answer to the end.
    async fn wire(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses early may not read all of it.
        stream.write_all(body).await.ok();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || !matches!(method, "GET" | "HEAD") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.wire(&format!("{head}\r\n"), body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    async fn push_blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let pushed = self.send("POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), &[], bytes).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        digest
    }

    async fn push_manifest(&self, name: &str, reference: &str, manifest: &Json) -> Answer {
        let body = manifest.to_string();
        self.send("PUT", &format!("/v2/{name}/manifests/{reference}"), &[("Content-Type", MANIFEST)], body.as_bytes())
            .await
    }

    /// A manifest whose only layer has this text, with its blobs pushed.
    async fn manifest(&self, name: &str, text: &str) -> Json {
        self.push_blob(name, b"{}").await;
        self.push_blob(name, text.as_bytes()).await;
        manifest_of(text)
    }

    async fn begin(&self, name: &str) -> String {
        let begun = self.send("POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"").await;
        assert_eq!((begun.status, begun.header("range")), (202, Some("0-0")));
        begun.header("location").unwrap().to_owned()
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the error, as the specification has it.
    fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }
}

fn descriptor(text: &str) -> Json {
    json!({ "mediaType": "application/x", "digest": Digest::of(text.as_bytes()), "size": text.len() })
}

fn manifest_of(text: &str) -> Json {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("{}"), "layers": [descriptor(text)] })
}

fn digest_of(manifest: &Json) -> Digest {
    Digest::of(manifest.to_string().as_bytes())
}

#[tokio::test]
async fn blobs_come_back_whole_and_in_parts() {
    let served = Served::new().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 253) as u8).collect();
    let digest = served.push_blob("acme/lint", &bytes).await;
    let path = format!("/v2/acme/lint/blobs/{digest}");
    let whole = served.get(&path).await;
    assert!(whole.status == 200 && whole.body == bytes, "{}", whole.head);
    assert_eq!(whole.header("docker-content-digest"), Some(digest.as_str()));
    let head = served.send("HEAD", &path, &[], b"").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("3000000"), 0));
    for (range, from, to) in [("0-9", 0, 10), ("2999990-", 2_999_990, 3_000_000), ("-5", 2_999_995, 3_000_000)] {
        let part = served.send("GET", &path, &[("Range", &format!("bytes={range}"))], b"").await;
        assert!(part.status == 206 && part.body == bytes[from..to], "{range}: {}", part.head);
        let expected = format!("bytes {from}-{}/3000000", to - 1);
        assert_eq!(part.header("content-range"), Some(expected.as_str()));
    }
    let beyond = served.send("GET", &path, &[("Range", "bytes=3000000-")], b"").await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */3000000")));
    let missing = format!("/v2/acme/lint/blobs/{}", Digest::of(b"missing"));
    assert_eq!(served.get(&missing).await.code(), "BLOB_UNKNOWN");
    let head = served.send("HEAD", &missing, &[], b"").await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    // A repository gives out only what is its own.
    assert_eq!(served.get(&format!("/v2/acme/other/blobs/{digest}")).await.status, 404);
    assert_eq!(served.send("DELETE", &path, &[], b"").await.status, 202);
    assert_eq!(served.get(&path).await.status, 404);
}

#[tokio::test]
async fn uploads_arrive_in_chunks_in_order() {
    let served = Served::new().await;
    let location = served.begin("a").await;
    let patch =
        async |range: &str, bytes: &[u8]| served.send("PATCH", &location, &[("Content-Range", range)], bytes).await;
    let first = patch("0-4", b"hello").await;
    assert_eq!((first.status, first.header("range")), (202, Some("0-4")));
    let gap = patch("9-10", b"xx").await;
    assert_eq!((gap.status, gap.header("range"), gap.code().as_str()), (416, Some("0-4"), "BLOB_UPLOAD_INVALID"));
    assert_eq!(patch("0-4", b"hello").await.status, 416, "the same again is out of order");
    assert_eq!(patch("5-9", b"xxx").await.code(), "SIZE_INVALID");
    assert_eq!(patch("nonsense", b"xxx").await.status, 400);
    assert_eq!(patch("5-10", b" world").await.header("range"), Some("0-10"));
    let status = served.get(&location).await;
    assert_eq!((status.status, status.header("range")), (204, Some("0-10")));
    let digest = Digest::of(b"hello world!");
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    assert_eq!(served.send("PUT", &format!("{elsewhere}?digest={digest}"), &[], b"!").await.status, 404);
    let finished = served.send("PUT", &format!("{location}?digest={digest}"), &[], b"!").await;
    assert_eq!((finished.status, finished.header("docker-content-digest")), (201, Some(digest.as_str())));
    assert_eq!(served.get(finished.header("location").unwrap()).await.body, b"hello world!");
    assert_eq!(served.get(&location).await.code(), "BLOB_UPLOAD_UNKNOWN");

    let given_up = served.begin("a").await;
    assert_eq!(served.send("DELETE", &given_up, &[], b"").await.status, 204);
    assert_eq!(served.send("PATCH", &given_up, &[], b"x").await.status, 404);
    let files = fs::read_dir(served.store().join("uploads")).unwrap().count();
    assert_eq!(files, 1, "only the lock is left");
}

#[tokio::test]
async fn what_is_not_what_was_promised_is_not_kept() {
    let served = Served::new().await;
    let location = served.begin("a").await;
    let other = Digest::of(b"other");
    let wrong = served.send("PUT", &format!("{location}?digest={other}"), &[], b"bytes").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(served.get(&location).await.status, 404);
    assert_eq!(served.get(&format!("/v2/a/blobs/{other}")).await.status, 404);
    let none = served.begin("a").await;
    assert_eq!(served.send("PUT", &none, &[], b"bytes").await.code(), "DIGEST_INVALID");
    let text = served.send("PUT", &format!("{none}?digest=sha256:../../x"), &[], b"bytes").await;
    assert_eq!(text.code(), "DIGEST_INVALID");
    let large = vec![0; (4 << 20) + 1];
    let refused = served.send("PATCH", &none, &[], &large).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "SIZE_INVALID"));
    assert_eq!(served.get(&none).await.status, 404, "what is too large is gone");
    assert!(!served.store().join("blobs").exists());
}

#[tokio::test]
async fn a_client_that_goes_away_can_go_on() {
    let served = Served::new().await;
    let location = served.begin("a").await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: registry\r\nContent-Length: 100\r\n\r\nhello");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    let mut came = String::new();
    for _ in 0..3_000 {
        came = served.get(&location).await.header("range").unwrap_or_default().to_owned();
        if came == "0-4" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(came, "0-4");
    let digest = Digest::of(b"hello world");
    assert_eq!(served.send("PUT", &format!("{location}?digest={digest}"), &[], b" world").await.status, 201);
}

#[tokio::test]
async fn blobs_are_mounted_from_repositories_that_have_them() {
    let served = Served::new().await;
    let digest = served.push_blob("from", b"shared").await;
    let mount = async |to: &str, from: &str| {
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}");
        served.send("POST", &path, &[], b"").await.status
    };
    assert_eq!(mount("to", "nowhere").await, 202, "an upload begins where there is nothing to mount");
    assert_eq!(served.get(&format!("/v2/to/blobs/{digest}")).await.status, 404);
    assert_eq!(mount("to", "from").await, 201);
    assert_eq!(served.get(&format!("/v2/to/blobs/{digest}")).await.body, b"shared");
    assert_eq!(served.send("DELETE", &format!("/v2/from/blobs/{digest}"), &[], b"").await.status, 202);
    assert_eq!(served.get(&format!("/v2/to/blobs/{digest}")).await.body, b"shared");
}

#[tokio::test]
async fn manifests_are_kept_when_everything_they_name_is_there() {
    let served = Served::new().await;
    let refused = served.push_manifest("a", "1", &manifest_of("layer")).await;
    assert_eq!(refused.code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(served.get("/v2/a/tags/list").await.code(), "NAME_UNKNOWN");
    let manifest = served.manifest("a", "layer").await;
    let digest = digest_of(&manifest);
    let pushed = served.push_manifest("a", "1", &manifest).await;
    assert_eq!((pushed.status, pushed.header("docker-content-digest")), (201, Some(digest.as_str())));
    for reference in ["1", digest.as_str()] {
        let found = served.get(&format!("/v2/a/manifests/{reference}")).await;
        assert_eq!((found.status, found.header("content-type")), (200, Some(MANIFEST)));
        assert_eq!(String::from_utf8(found.body).unwrap(), manifest.to_string(), "byte for byte");
        let head = served.send("HEAD", &format!("/v2/a/manifests/{reference}"), &[], b"").await;
        assert_eq!((head.status, head.header("docker-content-digest")), (200, Some(digest.as_str())));
    }
    let wrong = served.push_manifest("a", Digest::of(b"other").as_str(), &manifest).await;
    assert_eq!(wrong.code(), "DIGEST_INVALID");
    let html = served.send("PUT", "/v2/a/manifests/2", &[("Content-Type", "text/html")], b"<p>").await;
    assert_eq!(html.code(), "MANIFEST_INVALID");
    let large = format!("{{\"schemaVersion\":2,\"x\":\"{}\"}}", "x".repeat(4 << 20));
    assert_eq!(
        served.send("PUT", "/v2/a/manifests/2", &[("Content-Type", MANIFEST)], large.as_bytes()).await.status,
        413
    );
    // A body that does not tell its length is bounded, too.
    let chunked = format!(
        "PUT /v2/a/manifests/2 HTTP/1.1\r\nHost: r\r\nConnection: close\r\nContent-Type: {MANIFEST}\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        large.len()
    );
    assert_eq!(served.wire(&chunked, format!("{large}\r\n0\r\n\r\n").as_bytes()).await.status, 413);

    let index = json!({ "schemaVersion": 2, "manifests": [
        { "mediaType": MANIFEST, "digest": digest, "size": manifest.to_string().len() },
    ] });
    let kind = [("Content-Type", media_type::INDEX)];
    let listed = served.send("PUT", "/v2/a/manifests/all", &kind, index.to_string().as_bytes()).await;
    assert_eq!(listed.status, 201);
    let elsewhere = served.send("PUT", "/v2/b/manifests/all", &kind, index.to_string().as_bytes()).await;
    assert_eq!(elsewhere.code(), "MANIFEST_BLOB_UNKNOWN");

    let other = served.manifest("a", "other").await;
    assert_eq!(served.push_manifest("a", "1", &other).await.status, 201, "tags move");
    assert_eq!(served.push_manifest("a", "2", &other).await.status, 201);
    assert_eq!(served.send("DELETE", "/v2/a/manifests/2", &[], b"").await.status, 202);
    assert_eq!(served.get("/v2/a/manifests/2").await.code(), "MANIFEST_UNKNOWN");
    assert_eq!(served.get("/v2/a/manifests/1").await.status, 200, "the other tag stays");
    let by_digest = format!("/v2/a/manifests/{}", digest_of(&other));
    assert_eq!(served.send("DELETE", &by_digest, &[], b"").await.status, 202);
    assert_eq!(served.get("/v2/a/tags/list").await.json()["tags"], json!(["all"]), "its tags go with it");
    assert_eq!(served.send("DELETE", &by_digest, &[], b"").await.status, 404);
}

#[tokio::test]
async fn tricks_with_paths_and_headers_get_an_error_and_nothing_else() {
    let served = Served::new().await;
    fs::write(served.folder.path().join("secret"), "secret").unwrap();
    let digest = Digest::of(b"x");
    for path in [
        "/v2/../../secret/tags/list",
        "/v2/%2e%2e/%2e%2e/secret/tags/list",
        "/v2/a%2f..%2f..%2fsecret/tags/list",
        "/v2/%252e%252e/tags/list",
        "/v2/Acme/tags/list",
        "/v2/a//b/tags/list",
        "/v2/_tags/tags/list",
        "/v2/a/manifests/..",
        "/v2/a/manifests/%2e%2e",
        "/v2/a/manifests/a%00b",
        "/v2/a/blobs/sha256:..%2f..%2fsecret",
        "/v2/a/blobs/sha512:0",
        "/v2/a/blobs/uploads/../../../secret",
        "/v2/a/blobs/uploads/%2e%2e",
        "/v2/a/blobs/uploads/lock",
        "/v2/",
    ] {
        for method in ["PUT", "PATCH", "DELETE"] {
            let answer = served.send(method, path, &[], b"x").await;
            assert!((400..500).contains(&answer.status), "{method} {path}: {answer:?}");
            assert!(!answer.code().is_empty(), "{method} {path}: {answer:?}");
        }
        if path != "/v2/" {
            let answer = served.get(path).await;
            assert!((400..500).contains(&answer.status) && !answer.body.ends_with(b"secret"), "{path}: {answer:?}");
        }
    }
    for path in [format!("/v2/A/blobs/uploads/?digest={digest}"), "/v2/a/blobs/uploads/?digest=x".to_owned()] {
        assert_eq!(served.send("POST", &path, &[], b"x").await.status, 400, "{path}");
    }
    assert_eq!(served.get("/v2/a/tags/list?n=x").await.status, 400);
    let page = served.send("POST", "/v2/a/blobs/uploads/", &[("Origin", "https://example.org")], b"").await;
    assert_eq!(page.code(), "DENIED", "a page in a browser is no client");
    let left: Vec<_> = fs::read_dir(served.store()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["uploads"], "nothing was stored");
}

#[tokio::test]
async fn ten_thousand_tags_are_listed_page_by_page() {
    let served = Served::new().await;
    let manifest = served.manifest("acme/many", "layer").await;
    assert_eq!(served.push_manifest("acme/many", "v0", &manifest).await.status, 201);
    let tags = served.store().join("repositories/acme/many/_tags");
    for number in 1..10_000 {
        fs::copy(tags.join("v0"), tags.join(format!("v{number}"))).unwrap();
    }
    let (mut seen, mut next) = (Vec::new(), Some("/v2/acme/many/tags/list?n=700".to_owned()));
    while let Some(path) = next {
        let page = served.get(&path).await;
        let listed = page.json()["tags"].as_array().unwrap().clone();
        assert!(listed.len() <= 700, "{}", listed.len());
        seen.extend(listed.iter().map(|tag| tag.as_str().unwrap().to_owned()));
        let link = page.header("link").map(|link| link[1..].split_once('>').unwrap().0.to_owned());
        next = link;
    }
    let mut all: Vec<String> = (0..10_000).map(|number| format!("v{number}")).collect();
    all.sort();
    assert!(seen == all, "{} tags", seen.len());
    let repository = Repository::parse(&format!("{}/acme/many", served.address)).unwrap();
    let client = Client::new(ClientSettings::default()).unwrap();
    assert_eq!(client.tags(&repository).await.unwrap().len(), 10_000);
    assert_eq!(served.get("/v2/_catalog").await.json()["repositories"], json!(["acme/many"]));
}

#[tokio::test]
async fn what_refers_to_a_manifest_is_listed_by_its_kind() {
    let served = Served::new().await;
    let subject = served.manifest("a", "plugin").await;
    let subject_digest = digest_of(&subject);
    let mut digests = Vec::new();
    for kind in ["application/one", "application/two", "application/two"] {
        let mut referrer = served.manifest("a", &format!("about {}", digests.len())).await;
        referrer["artifactType"] = kind.into();
        referrer["subject"] =
            json!({ "mediaType": MANIFEST, "digest": subject_digest, "size": subject.to_string().len() });
        referrer["annotations"] = json!({ "note": "n" });
        let digest = digest_of(&referrer);
        // The subject may come later.
        let pushed = served.push_manifest("a", digest.as_str(), &referrer).await;
        assert_eq!((pushed.status, pushed.header("oci-subject")), (201, Some(subject_digest.as_str())));
        digests.push(digest);
    }
    assert_eq!(served.push_manifest("a", "1", &subject).await.status, 201);
    let path = format!("/v2/a/referrers/{subject_digest}");
    let all = served.get(&path).await;
    assert_eq!(all.header("content-type"), Some("application/vnd.oci.image.index.v1+json"));
    assert_eq!(all.json()["manifests"].as_array().unwrap().len(), 3);
    assert_eq!(all.json()["manifests"][0]["annotations"], json!({ "note": "n" }));
    let some = served.get(&format!("{path}?artifactType=application%2Fone")).await;
    assert_eq!(some.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(some.json()["manifests"][0]["digest"], digests[0].as_str());
    let none = served.get(&format!("/v2/a/referrers/{}", Digest::of(b"nothing"))).await;
    assert_eq!((none.status, none.json()["manifests"].as_array().unwrap().len()), (200, 0));
    assert_eq!(served.send("DELETE", &format!("/v2/a/manifests/{}", digests[0]), &[], b"").await.status, 202);
    assert_eq!(served.get(&path).await.json()["manifests"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn tags_can_be_told_never_to_move() {
    let served = Served::with(|settings| settings.immutable_tags = true).await;
    let (first, second) = (served.manifest("a", "first").await, served.manifest("a", "second").await);
    assert_eq!(served.push_manifest("a", "1", &first).await.status, 201);
    assert_eq!(served.push_manifest("a", "1", &first).await.status, 201, "the same again is no move");
    assert_eq!(served.push_manifest("a", "1", &second).await.code(), "DENIED");
    assert_eq!(served.send("DELETE", "/v2/a/manifests/1", &[], b"").await.code(), "DENIED");
    let digest = digest_of(&first);
    assert_eq!(served.send("DELETE", &format!("/v2/a/manifests/{digest}"), &[], b"").await.code(), "DENIED");
    let signatures = format!("sha256-{}.sig", digest.hex());
    assert_eq!(served.push_manifest("a", &signatures, &first).await.status, 201);
    assert_eq!(served.push_manifest("a", &signatures, &second).await.status, 201, "signatures are added");
    let at_once = ["third", "fourth"]
        .map(|text| async { served.push_manifest("a", "2", &served.manifest("a", text).await).await.status });
    let [third, fourth] = at_once;
    let mut answers = <[u16; 2]>::from(tokio::join!(third, fourth));
    answers.sort_unstable();
    assert_eq!(answers, [201, 403], "of two at once, one wins");
}

#[tokio::test]
async fn strangers_are_let_in_as_far_as_the_settings_say() {
    let read_only = Served::with(|settings| settings.read_only = true).await;
    assert_eq!(read_only.get("/v2/").await.status, 200);
    assert_eq!(read_only.send("POST", "/v2/a/blobs/uploads/", &[], b"").await.code(), "DENIED");
    let line = Users::line("ada", "s3cret", Right::Write).unwrap();
    let closed = Served::with(|settings| {
        settings.users = Some(Users::parse(&line).unwrap());
        settings.everybody = None;
    })
    .await;
    let asked = closed.get("/v2/").await;
    assert_eq!((asked.status, asked.code().as_str()), (401, "UNAUTHORIZED"));
    assert!(asked.header("www-authenticate").unwrap().starts_with("Basic realm="));
    assert_eq!(closed.get("/v2/Not-A-Name/tags/list").await.status, 401, "who asks comes first");
    let account = [("Authorization", "Basic YWRhOnMzY3JldA==")];
    assert_eq!(closed.send("GET", "/v2/", &account, b"").await.status, 200);
    assert_eq!(closed.send("POST", "/v2/a/blobs/uploads/", &account, b"").await.status, 202);
}

#[tokio::test]
async fn many_push_the_same_at_once() {
    let served = std::sync::Arc::new(Served::new().await);
    let bytes = vec![7_u8; 1_500_000];
    let pushes = (0..8).map(|number| {
        let (served, bytes) = (served.clone(), bytes.clone());
        tokio::spawn(async move {
            let name = format!("repository{}", number % 3);
            served.push_blob(&name, &bytes).await;
            let manifest = served.manifest(&name, "layer").await;
            served.push_manifest(&name, "1", &manifest).await.status
        })
    });
    for push in pushes.collect::<Vec<_>>() {
        assert_eq!(push.await.unwrap(), 201);
    }
    let digest = Digest::of(&bytes);
    for number in 0..3 {
        assert!(served.get(&format!("/v2/repository{number}/blobs/{digest}")).await.body == bytes);
    }
    assert_eq!(fs::read_dir(served.store().join("uploads")).unwrap().count(), 1, "only the lock is left");
}

#[tokio::test]
async fn signatures_are_added_and_found() {
    let served = Served::new().await;
    let repository = Repository::parse(&format!("{}/acme/lint", served.address)).unwrap();
    let manifest = served.manifest("acme/lint", "plugin").await;
    assert_eq!(served.push_manifest("acme/lint", "1", &manifest).await.status, 201);
    let client = Client::new(ClientSettings::default()).unwrap();
    let subject = Descriptor::of(MANIFEST, manifest.to_string().as_bytes());
    let found = async || published::find(&client, &repository, &subject.digest).await.unwrap();
    assert!(found().await.is_empty());
    let keys = [PrivateKey::generate(), PrivateKey::generate()];
    for key in &keys {
        let signature = Signature::sign(key, &repository, &subject.digest);
        let first = published::publish(&client, &repository, &subject, &signature).await.unwrap();
        assert!(!first.was_there && first.tag.to_string().ends_with(".sig"));
        assert!(published::publish(&client, &repository, &subject, &signature).await.unwrap().was_there);
    }
    let is_signed = |found: &[Signature], key: &PrivateKey| {
        found.iter().any(|signature| signature.verify(&key.public_key(), &subject.digest).is_ok())
    };
    assert!(found().await.len() == 2 && keys.iter().all(|key| !is_signed(&[], key)));
    for key in &keys {
        assert!(is_signed(&found().await, key));
    }
    assert!(!is_signed(&found().await, &PrivateKey::generate()));
    // Without the tag, the referrers still lead there.
    let tag = published::tag(&repository, &subject.digest).tag.unwrap();
    assert_eq!(served.send("DELETE", &format!("/v2/acme/lint/manifests/{tag}"), &[], b"").await.status, 202);
    assert_eq!(found().await.len(), 2);
}

#[tokio::test]
async fn what_nothing_names_is_collected_a_day_later() {
    let served = Served::new().await;
    let manifest = served.manifest("a", "needed").await;
    assert_eq!(served.push_manifest("a", "1", &manifest).await.status, 201);
    let rubbish = served.push_blob("a", b"rubbish").await;
    let blobs = Blobs::open(&Location::Directory(served.folder.path().join("blobs")), Limits::default()).unwrap();
    let Served { folder, _stop: stop, .. } = served;
    let collect = async |hours: u64| {
        let now = SystemTime::now() + Duration::from_secs(hours * 60 * 60);
        Registry::collect(&blobs, folder.path().join("staging"), now).await
    };
    assert!(collect(0).await.unwrap_err().to_string().contains("is being served"));
    drop(stop);
    let mut early = collect(0).await;
    for _ in 0..1_200 {
        if early.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        early = collect(0).await;
    }
    assert_eq!(early.unwrap().blobs, 0, "somebody may still be pushing the manifest");
    let collected = collect(25).await.unwrap();
    assert_eq!((collected.blobs, collected.bytes), (1, 7));
    let blob = |digest: &Digest| folder.path().join("blobs/registry/blobs").join(&digest.hex()[..2]).join(digest.hex());
    assert!(!blob(&rubbish).exists() && blob(&Digest::of(b"needed")).exists() && blob(&Digest::of(b"{}")).exists());
}

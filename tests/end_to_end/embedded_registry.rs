//! `oxide registry`: the small registry as a process, with clients of all kinds, and what a kill leaves.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::oxide::{Project, free_port};

/// The empty SHA-256, and that of `hello`.
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// What a plugin's manifest is; its layer is `hello` and its config empty.
pub fn manifest() -> String {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": EMPTY, "size": 0 },
        "layers": [{ "mediaType": "application/wasm", "digest": HELLO, "size": 5 }],
    })
    .to_string()
}

/// `oxide registry serve`, killed when it is dropped.
pub struct EmbeddedRegistry {
    process: Child,
    /// Host and port.
    pub address: String,
}

impl EmbeddedRegistry {
    /// Starts it on a free port of this machine, with the data of the project.
    pub fn start(project: &Project, options: &[&str]) -> EmbeddedRegistry {
        EmbeddedRegistry::start_on(project, "127.0.0.1:0", options)
    }

    fn start_on(project: &Project, address: &str, options: &[&str]) -> EmbeddedRegistry {
        let mut command = project.command(&[&["registry", "serve", "--json", "--listen", address], options].concat());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Json = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: `{line}`"));
        EmbeddedRegistry { process, address: told["address"].as_str().unwrap().to_owned() }
    }

    /// One request over a connection of its own; the status, the head and the body.
    pub fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n",
            self.address
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, answer[end + 4..].to_vec())
    }

    /// Pushes something that looks like a plugin; the digest of its manifest.
    pub fn push(&self, name: &str, tag: &str) -> String {
        for (digest, bytes) in [(EMPTY, &b""[..]), (HELLO, b"hello")] {
            let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
            assert_eq!(self.send("POST", &path, "", bytes).0, 201);
        }
        self.push_manifest(name, tag, &manifest())
    }

    /// Pushes a manifest whose blobs are there; its digest.
    pub fn push_manifest(&self, name: &str, tag: &str, manifest: &str) -> String {
        let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
        let (status, head, body) = self.send("PUT", &format!("/v2/{name}/manifests/{tag}"), kind, manifest.as_bytes());
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        header(&head, "docker-content-digest").unwrap()
    }

    /// Ends it as a service manager does; the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(120) {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for EmbeddedRegistry {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The value of a header.
pub fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

#[test]
fn an_upload_goes_on_after_the_registry_was_killed() {
    let project = Project::new();
    let address = format!("127.0.0.1:{}", free_port());
    let registry = EmbeddedRegistry::start_on(&project, &address, &[]);
    let (status, head, _) = registry.send("POST", "/v2/acme/lint/blobs/uploads/", "", b"");
    assert_eq!(status, 202);
    let location = header(&head, "location").unwrap();
    assert_eq!(registry.send("PATCH", &location, "Content-Range: 0-1\r\n", b"he").0, 202);
    // Bytes are on their way when it dies.
    let mut stream = TcpStream::connect(&registry.address).unwrap();
    write!(stream, "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nl").unwrap();
    drop(registry);

    let registry = EmbeddedRegistry::start_on(&project, &address, &[]);
    assert_eq!(registry.send("HEAD", &format!("/v2/acme/lint/blobs/{HELLO}"), "", b"").0, 404, "no half blob");
    let (status, head, _) = registry.send("GET", &location, "", b"");
    let came = header(&head, "range").unwrap();
    assert!(status == 204 && (came == "0-1" || came == "0-2"), "{came}");
    let rest = if came == "0-1" { &b"llo"[..] } else { b"lo" };
    let (status, _, body) = registry.send("PUT", &format!("{location}?digest={HELLO}"), "", rest);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    assert_eq!(registry.send("GET", &format!("/v2/acme/lint/blobs/{HELLO}"), "", b"").2, b"hello");
    assert_eq!(registry.terminate(), Some(0));
}

#[test]
fn what_was_pushed_is_there_after_a_restart_and_what_nothing_names_can_be_removed() {
    let project = Project::new();
    let registry = EmbeddedRegistry::start(&project, &[]);
    let digest = registry.push("acme/lint", "1.0.0");
    let busy = project.oxide(&["registry", "gc"]).expect(4);
    assert!(busy.stderr.contains("stop `oxide registry serve` first"), "{}", busy.stderr);
    drop(registry);
    let collected = project.oxide(&["registry", "gc", "--json"]).expect(0);
    assert_eq!(serde_json::from_str::<Json>(&collected.stdout).unwrap()["blobs"], 0);
    let registry = EmbeddedRegistry::start(&project, &["--read-only"]);
    let (status, head, body) = registry.send("GET", "/v2/acme/lint/manifests/1.0.0", "", b"");
    assert_eq!((status, header(&head, "docker-content-digest")), (200, Some(digest)));
    assert_eq!(String::from_utf8(body).unwrap(), manifest());
    assert_eq!(registry.send("POST", "/v2/acme/lint/blobs/uploads/", "", b"").0, 403);
}

#[test]
fn accounts_are_made_on_the_command_line_and_wanted_where_others_listen() {
    let mut project = Project::new();
    let open = project.oxide(&["registry", "serve", "--listen", "0.0.0.0:0"]).expect(2);
    assert!(open.stderr.contains("everybody could push") && open.stderr.contains("--users FILE"), "{}", open.stderr);
    let missing = project.oxide(&["registry", "serve", "--users", "users"]).expect(2);
    assert!(missing.stderr.contains("oxide registry password NAME >> FILE"), "{}", missing.stderr);
    fs::write(project.path("users"), "ada s3cret\n").unwrap();
    let plain = project.oxide(&["registry", "serve", "--users", "users"]).expect(2);
    assert!(plain.stderr.contains("line 1: the second word is no scrypt hash"), "{}", plain.stderr);

    project.set("OXIDE_REGISTRY_PASSWORD", "s3cret");
    let ada = project.oxide(&["registry", "password", "ada"]).expect(0).stdout;
    let bob = project.oxide(&["registry", "password", "bob", "--pull-only"]).expect(0).stdout;
    assert!(!ada.contains("s3cret") && ada.starts_with("ada $scrypt$") && bob.ends_with(" read\n"), "{ada}{bob}");
    fs::write(project.path("users"), ada + &bob).unwrap();
    let registry = EmbeddedRegistry::start(&project, &["--users", "users"]);
    let status = |method: &str, path: &str, headers: &str| registry.send(method, path, headers, b"").0;
    let (as_ada, as_bob) = ("Authorization: Basic YWRhOnMzY3JldA==\r\n", "Authorization: Basic Ym9iOnMzY3JldA==\r\n");
    assert_eq!(status("GET", "/v2/", ""), 401);
    assert_eq!(status("GET", "/v2/", as_bob), 200);
    assert_eq!(status("POST", "/v2/a/blobs/uploads/", as_bob), 403);
    assert_eq!(status("POST", "/v2/a/blobs/uploads/", as_ada), 202);
    drop(registry);
    let anonymous = EmbeddedRegistry::start(&project, &["--users", "users", "--anonymous"]);
    assert_eq!(anonymous.send("GET", "/v2/_catalog", "", b"").0, 200);
    assert_eq!(anonymous.send("POST", "/v2/a/blobs/uploads/", "", b"").0, 401);
    let taken = project.oxide(&["registry", "serve", "--listen", &anonymous.address]).expect(4);
    assert!(taken.stderr.contains("--listen 127.0.0.1:PORT"), "{}", taken.stderr);
}

#[test]
fn skopeo_copies_an_image_there_and_back() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "skopeo is not installed, and nothing is skipped in CI");
        eprintln!("SKIPPED: skopeo is not installed");
        return;
    }
    let project = Project::new();
    let registry = EmbeddedRegistry::start(&project, &[]);
    // An image as a directory: layers of several chunks, a config and a manifest.
    project.shell(
        r#"
        mkdir -p image/blobs/sha256 && cd image
        echo '{"imageLayoutVersion":"1.0.0"}' > oci-layout
        blob() { digest=$(sha256sum < "$1" | cut -d' ' -f1); size=$(stat -c %s "$1"); cp "$1" "blobs/sha256/$digest"; }
        head -c 9000000 /dev/urandom > files && tar cf layer.tar files
        content=$(sha256sum < layer.tar | cut -d' ' -f1); gzip -n layer.tar && blob layer.tar.gz
        layer=$digest layer_size=$size
        printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' $content > config
        blob config
        printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%s}]}' $digest $size $layer $layer_size > manifest
        blob manifest
        printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"1"}}]}' $digest $size > index.json
        rm files layer.tar.gz config manifest
        "#,
    );
    let remote = format!("docker://{}/acme/image:1", registry.address);
    let insecure = "--insecure-policy copy --src-tls-verify=false --dest-tls-verify=false";
    project.shell(&format!("skopeo {insecure} oci:image:1 {remote}"));
    project.shell(&format!("skopeo {insecure} {remote} oci:back:1"));
    project.shell("diff -r image/blobs back/blobs");
    project.shell(&format!(
        "skopeo list-tags --tls-verify=false docker://{}/acme/image | grep -q '\"1\"'",
        registry.address
    ));
    project.shell(&format!("skopeo delete --tls-verify=false {remote}"));
    assert_eq!(registry.send("GET", "/v2/acme/image/manifests/1", "", b"").0, 404);
}

#[test]
fn the_registry_keeps_its_blobs_in_a_bucket_too() {
    let Ok(address) = std::env::var("OXIDE_TEST_S3") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "OXIDE_TEST_S3 is not set, and nothing is skipped in CI");
        eprintln!("SKIPPED: a registry in a bucket");
        return;
    };
    let (credentials, rest) = address.strip_prefix("http://").unwrap().split_once('@').unwrap();
    let ((key, secret), (host, bucket)) = (credentials.split_once(':').unwrap(), rest.split_once('/').unwrap());
    let mut project = Project::new();
    project.set("AWS_ACCESS_KEY_ID", key);
    project.set("AWS_SECRET_ACCESS_KEY", secret);
    project.set("OXIDE_BLOBS", &format!("s3://{bucket}/registry-{}", std::process::id()));
    project.set("OXIDE_BLOBS_ENDPOINT", &format!("http://{host}"));
    let registry = EmbeddedRegistry::start(&project, &["--immutable-tags"]);
    let digest = registry.push("acme/lint", "1.0.0");
    let large: Vec<u8> = (0..12_000_000_u32).map(|number| (number % 249) as u8).collect();
    fs::write(project.path("large"), &large).unwrap();
    project.shell("sha256sum large | cut -d' ' -f1 > digest");
    let large_digest = format!("sha256:{}", fs::read_to_string(project.path("digest")).unwrap().trim());
    let path = format!("/v2/acme/lint/blobs/uploads/?digest={large_digest}");
    assert_eq!(registry.send("POST", &path, "", &large).0, 201);
    drop(registry);

    let registry = EmbeddedRegistry::start(&project, &["--immutable-tags"]);
    let (status, head, _) = registry.send("GET", "/v2/acme/lint/manifests/1.0.0", "", b"");
    assert_eq!((status, header(&head, "docker-content-digest")), (200, Some(digest)));
    let blob = format!("/v2/acme/lint/blobs/{large_digest}");
    assert!(registry.send("GET", &blob, "", b"").2 == large);
    let (status, _, part) = registry.send("GET", &blob, "Range: bytes=9000000-9000009\r\n", b"");
    assert_eq!((status, part.as_slice()), (206, &large[9_000_000..9_000_010]));
    let (_, _, tags) = registry.send("GET", "/v2/acme/lint/tags/list", "", b"");
    assert_eq!(serde_json::from_slice::<Json>(&tags).unwrap()["tags"], json!(["1.0.0"]));
    let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    let other = manifest().replace("application/wasm", "application/other");
    assert_eq!(registry.send("PUT", "/v2/acme/lint/manifests/1.0.0", kind, other.as_bytes()).0, 403);
    let uploads = fs::read_dir(project.data().join("registry/uploads")).unwrap().count();
    assert_eq!(uploads, 1, "only the lock is left of what was staged");
    assert!(!project.data().join("blobs").exists(), "nothing in a directory");
}

//! Plugins of a real registry in pipelines: pushed, added, run, moved, damaged, and out of reach.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use oxide_registry::{
    lock,
    oci::{self, Client, ClientSettings, Descriptor, OciReference, media_type},
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    oxide::{Project, free_port},
    registry::Registry,
};

/// A project whose Docker settings have the account of the registry, for every address of `hosts`.
fn project(registry: &Registry, hosts: &[&str], password: &str) -> Project {
    let mut project = Project::new();
    registry.let_in(&mut project, hosts, password);
    project
}

/// The project of most stories: the account is right, and the registry is there.
fn usual(registry: &Registry) -> Project {
    project(registry, &[&registry.address], &registry.password)
}

/// A pipeline with one step.
fn pipeline(project: &Project, reference: &str, more: &str) {
    let text = format!(
        "version: \"1\"\nname: plugins\nstages:\n  one:\n    environment: host\n    steps:\n      - uses: {reference}\n{more}"
    );
    fs::write(project.path("oxide.yaml"), text).unwrap();
}

fn json_of(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The same client that the program uses, for what the program does not do: publishing what lies.
fn client(project: &Project) -> Client {
    let accounts = project.path("docker/config.json");
    Client::new(ClientSettings { accounts, ..ClientSettings::default() }).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A reference that no earlier run of the tests has used, in case they share a registry.
fn in_repository(address: &str, rest: &str) -> String {
    format!("{address}/run-{}/{rest}", std::process::id())
}

fn by_digest(reference: &str, digest: &Json) -> String {
    let repository = reference.parse::<OciReference>().unwrap().repository;
    repository.at(&digest.as_str().unwrap().parse().unwrap()).to_string()
}

/// The file of a component in the store of a project.
fn stored(project: &Project, component: &Json) -> PathBuf {
    project.data().join("plugins/blobs/sha256").join(component.as_str().unwrap().trim_start_matches("sha256:"))
}

#[test]
fn the_same_component_has_the_same_digest_at_every_push_and_is_sent_once() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let push = |tag: &str| {
        let reference = in_repository(&registry.address, &format!("push/hostile:{tag}"));
        let ended = project.oxide(&["plugin", "push", "plugins/hostile.wasm", &reference, "--json"]).expect(0);
        json_of(&ended.stdout)
    };
    let first = push("1.0");
    let size = fs::metadata(project.path("plugins/hostile.wasm")).unwrap().len();
    assert!(first["sent_bytes"].as_u64().unwrap() > size && first["was_there"] == false, "{first}");
    let again = push("1.0");
    assert_eq!(
        (&again["digest"], &again["sent_bytes"], &again["was_there"]),
        (&first["digest"], &json!(0), &json!(true))
    );
    let other = push("1");
    assert_eq!((&other["digest"], &other["was_there"]), (&first["digest"], &json!(false)));
    // What it is can be seen without its code.
    let reference = in_repository(&registry.address, "push/hostile:1.0");
    let ended = project.oxide(&["plugin", "inspect", &reference]).expect(0);
    assert!(ended.stdout.contains("run commands in the job's environment"), "{}", ended.stdout);
    assert!(!stored(&project, &first["component"]).exists(), "inspecting fetches no code");
    let by_digest = by_digest(&reference, &first["digest"]);
    let refused = project.oxide(&["plugin", "push", "plugins/hostile.wasm", &by_digest]).expect(2);
    assert!(refused.stderr.contains("write a tag"), "{}", refused.stderr);
}

#[test]
fn a_plugin_is_added_and_run_and_a_tag_that_moves_changes_nothing_until_it_is_updated() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let reference = in_repository(&registry.address, "moving/plugin:1");
    let push = |component: &str| {
        let ended = project.oxide(&["plugin", "push", component, &reference, "--json"]).expect(0);
        json_of(&ended.stdout)
    };
    let first = push("plugins/noop.wasm");
    pipeline(&project, &reference, "");
    let refused = project.oxide(&["validate"]).expect(3);
    assert!(refused.stderr.contains(&format!("`oxide plugin add {reference}`")), "{}", refused.stderr);
    assert!(refused.stderr.contains("--> oxide.yaml:7:15"), "{}", refused.stderr);

    let unasked = project.oxide(&["plugin", "add", &reference]).expect(2);
    assert!(unasked.stderr.contains(&format!("`oxide plugin add {reference} --yes`")), "{}", unasked.stderr);
    assert!(unasked.stdout.contains("nothing beyond its log"), "{}", unasked.stdout);
    assert!(!project.path("oxide.lock").exists());
    project.oxide(&["plugin", "add", &reference, "--yes"]).expect(0);
    assert!(!stored(&project, &first["component"]).exists(), "adding fetches no code");
    let text = fs::read_to_string(project.path("oxide.lock")).unwrap();
    let ended = project.oxide(&["run", "--locked"]).expect(0);
    assert!(ended.stderr.contains(&format!("fetching {reference}")), "{}", ended.stderr);
    assert!(stored(&project, &first["component"]).exists());

    // The tag moves to a component that asks for more.
    let second = push("plugins/spender.wasm");
    assert_ne!(first["digest"], second["digest"]);
    let ended = project.oxide(&["run", "--locked"]).expect(0);
    assert!(!ended.stderr.contains("fetching"), "{}", ended.stderr);
    let plan = json_of(&project.oxide(&["plan", "--json"]).expect(0).stdout);
    assert_eq!(plan["jobs"][0]["steps"][0]["plugin"]["digest"], first["component"]);

    let refused = project.oxide(&["plugin", "update"]).expect(3);
    assert!(refused.stderr.contains("asks for more than before: `environment`"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`secrets` (spend the secrets that are named)"), "{}", refused.stderr);
    assert!(refused.stdout.contains("rights") && refused.stdout.contains("breaks"), "{}", refused.stdout);
    assert_eq!(fs::read_to_string(project.path("oxide.lock")).unwrap(), text);
    project.oxide(&["plugin", "update", "--accept"]).expect(0);
    let list = json_of(&project.oxide(&["plugin", "list", "--json"]).expect(0).stdout);
    assert_eq!(list[0]["manifest"], second["digest"]);
    assert_eq!(list[0]["grants"], json!(["environment", "secrets"]));
    assert_eq!(list[0]["stored"], false);
    let ended = project.oxide(&["plugin", "update"]).expect(0);
    assert!(ended.stdout.contains("no tag has moved"), "{}", ended.stdout);

    project.oxide(&["plugin", "remove", &reference]).expect(0);
    let refused = project.oxide(&["plugin", "remove", &reference]).expect(2);
    assert!(refused.stderr.contains("it has no plugin at all"), "{}", refused.stderr);
    project.oxide(&["run"]).expect(3);
}

#[test]
fn the_code_that_runs_is_that_of_the_manifest_that_was_approved() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let pushed = |component: &str, reference: &str| {
        let ended = project.oxide(&["plugin", "push", component, reference, "--json"]).expect(0);
        json_of(&ended.stdout)
    };
    let (approved, other) = ("bound/noop:1", "bound/spender:1");
    let (approved, other) = (in_repository(&registry.address, approved), in_repository(&registry.address, other));
    let noop = pushed("plugins/noop.wasm", &approved);
    let spender = pushed("plugins/spender.wasm", &other);
    pipeline(&project, &approved, "");
    project.oxide(&["plugin", "add", &approved, "--yes"]).expect(0);
    project.oxide(&["run"]).expect(0);
    // Another component lies on this machine, and somebody writes it and its rights into the lock.
    project.oxide(&["plugin", "pull", &other]).expect(0);
    let text = fs::read_to_string(project.path("oxide.lock")).unwrap();
    let text = text.replace(noop["component"].as_str().unwrap(), spender["component"].as_str().unwrap());
    let text = text.replace("grants = []", "grants = [\"environment\", \"secrets\"]");
    fs::write(project.path("oxide.lock"), text).unwrap();
    for command in [&["plan"][..], &["run", "--locked"], &["validate"]] {
        let refused = project.oxide(command).expect(3);
        let said = format!("and it holds {}", noop["component"].as_str().unwrap());
        assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    }
}

#[test]
fn plugins_that_are_added_at_the_same_time_are_all_in_the_lock() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    pipeline(&project, "./plugins/noop.wasm", "");
    let references: Vec<String> =
        (0..6).map(|number| in_repository(&registry.address, &format!("many/noop-{number}:1"))).collect();
    for reference in &references {
        project.oxide(&["plugin", "push", "plugins/noop.wasm", reference]).expect(0);
    }
    let adding: Vec<_> = references
        .iter()
        .map(|reference| project.command(&["plugin", "add", reference, "--yes"]).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    for mut child in adding {
        assert!(child.wait().unwrap().success());
    }
    let list = json_of(&project.oxide(&["plugin", "list", "--json"]).expect(0).stdout);
    assert_eq!(list.as_array().unwrap().len(), references.len(), "{list}");
}

#[test]
fn a_byte_that_changed_on_the_disk_is_refused_and_fetching_again_mends_it() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let reference = in_repository(&registry.address, "damaged/noop:1");
    let ended = project.oxide(&["plugin", "push", "plugins/noop.wasm", &reference, "--json"]).expect(0);
    let file = stored(&project, &json_of(&ended.stdout)["component"]);
    pipeline(&project, &reference, "");
    project.oxide(&["plugin", "add", &reference, "--yes"]).expect(0);
    project.oxide(&["run"]).expect(0);

    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, &bytes).unwrap();
    let refused = project.oxide(&["run"]).expect(3);
    assert!(refused.stderr.contains("has changed on the disk (expected sha256:"), "{}", refused.stderr);
    let list = project.oxide(&["plugin", "list"]).expect(0);
    assert!(list.stdout.contains("damaged"), "{}", list.stdout);
    let command = refused.stderr.split('`').find(|part| part.starts_with("oxide plugin pull ")).unwrap().to_owned();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    project.oxide(&words).expect(0);
    project.oxide(&["run"]).expect(0);
}

#[test]
fn rights_beyond_those_in_the_lock_are_refused_with_the_difference() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let reference = in_repository(&registry.address, "rights/spender:1");
    project.oxide(&["plugin", "push", "plugins/spender.wasm", &reference]).expect(0);
    pipeline(
        &project,
        &reference,
        "        with: { act: names }\n        grants: { environment: true, secrets: [TOKEN] }\n",
    );
    project.oxide(&["plugin", "add", &reference, "--yes"]).expect(0);
    project.oxide(&["validate"]).expect(0);
    let lock = fs::read_to_string(project.path("oxide.lock")).unwrap();
    let less = lock.replace("\"environment\", \"secrets\"", "\"environment\"");
    assert_ne!(lock, less);
    fs::write(project.path("oxide.lock"), less).unwrap();
    let refused = project.oxide(&["validate"]).expect(3);
    assert!(
        refused.stderr.contains(
            "it asks for `secrets` (spend the secrets that are named), and oxide.lock allows it only `environment`"
        ),
        "{}",
        refused.stderr
    );
    fs::write(project.path("oxide.lock"), format!("<<<<<<< HEAD\n{lock}")).unwrap();
    let refused = project.oxide(&["validate"]).expect(3);
    assert!(refused.stderr.contains("oxide.lock, line 1: two branches changed it"), "{}", refused.stderr);
}

/// Publishes a component under a config that was made for it and then changed.
fn publish(client: &Client, reference: &OciReference, component: Vec<u8>, change: impl Fn(&mut Json)) {
    let description = oxide_runtime::describe(&component).unwrap();
    let packed = oci::layout::pack(&component, &description, "1970-01-01T00:00:00Z");
    let mut config: Json = serde_json::from_slice(&packed.config).unwrap();
    change(&mut config);
    let config = config.to_string().into_bytes();
    let mut manifest: Json = serde_json::from_slice(&packed.manifest).unwrap();
    manifest["config"] = serde_json::to_value(Descriptor::of(oci::layout::WASM_CONFIG, &config)).unwrap();
    wait(async {
        client.put_blob(&reference.repository, component).await.unwrap();
        client.put_blob(&reference.repository, config).await.unwrap();
        client.put_manifest(reference, media_type::MANIFEST, manifest.to_string()).await.unwrap();
    });
}

#[test]
fn a_component_that_is_not_what_its_config_promised_never_runs() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let reference = in_repository(&registry.address, "liar/spender:1");
    let component = fs::read(project.path("plugins/spender.wasm")).unwrap();
    publish(&client(&project), &reference.parse().unwrap(), component, |config| {
        let hides = |name: &str| name.starts_with("oxide:ci/secrets");
        let component = config["component"]["imports"].as_array_mut().unwrap();
        component.retain(|name| !hides(name.as_str().unwrap()));
        let described = config["ci.oxide.plugin"]["imports"].as_array_mut().unwrap();
        described.retain(|import| !hides(import["name"].as_str().unwrap()));
    });
    pipeline(&project, &reference, "        with: { act: names }\n        grants: { environment: true }\n");
    let added = project.oxide(&["plugin", "add", &reference, "--yes"]).expect(0);
    assert!(!added.stdout.contains("\n  secrets "), "{}", added.stdout);
    for arguments in [&["run"][..], &["plugin", "pull", &reference]] {
        let refused = project.oxide(arguments).expect(3);
        assert!(
            refused.stderr.contains("is not what it promises: it imports `oxide:ci/secrets@0.1.0`"),
            "{}",
            refused.stderr
        );
    }
    // Even once it lies in the store, the lock says what was accepted.
    let refused = project.oxide(&["validate"]).expect(3);
    assert!(refused.stderr.contains("and oxide.lock allows it only `environment`"), "{}", refused.stderr);
}

#[test]
fn a_component_that_was_pushed_as_any_file_is_taken_with_a_note() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let reference: OciReference = in_repository(&registry.address, "plain/noop:1").parse().unwrap();
    let component = fs::read(project.path("plugins/noop.wasm")).unwrap();
    let title = json!({ "org.opencontainers.image.title": "noop.wasm" });
    let mut layer = serde_json::to_value(Descriptor::of("application/octet-stream", &component)).unwrap();
    layer["annotations"] = title;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::MANIFEST,
        "config": Descriptor::of(media_type::EMPTY, b"{}"),
        "layers": [layer],
    });
    let client = client(&project);
    wait(async {
        client.put_blob(&reference.repository, component).await.unwrap();
        client.put_blob(&reference.repository, "{}").await.unwrap();
        client.put_manifest(&reference, media_type::MANIFEST, manifest.to_string()).await.unwrap();
    });
    let reference = reference.to_string();
    pipeline(&project, &reference, "");
    let added = project.oxide(&["plugin", "add", &reference, "--yes"]).expect(0);
    assert!(added.stderr.contains("so only its code says what it asks for"), "{}", added.stderr);
    project.oxide(&["run"]).expect(0);
}

#[test]
fn an_image_is_no_plugin() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let reference: OciReference = in_repository(&registry.address, "plain/image:1").parse().unwrap();
    let layer = Descriptor::of("application/vnd.oci.image.layer.v1.tar+gzip", b"layer");
    let config = Descriptor::of("application/vnd.oci.image.config.v1+json", b"{}");
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": [layer] });
    let client = client(&project);
    wait(async {
        client.put_blob(&reference.repository, "layer").await.unwrap();
        client.put_blob(&reference.repository, "{}").await.unwrap();
        client.put_manifest(&reference, media_type::MANIFEST, manifest.to_string()).await.unwrap();
    });
    pipeline(&project, &reference.to_string(), "");
    let refused = project.oxide(&["plugin", "add", &reference.to_string(), "--yes"]).expect(3);
    assert!(refused.stderr.contains("it is a container image, not a plugin"), "{}", refused.stderr);
}

#[test]
fn a_wrong_password_a_missing_account_and_a_missing_plugin_say_what_to_do() {
    let Some(registry) = Registry::of_tests() else { return };
    let address = &registry.address;
    let reference = format!("{address}/accounts/noop:1");
    let wrong = project(&registry, &[address], "not the password");
    let refused = wrong.oxide(&["plugin", "push", "plugins/noop.wasm", &reference]).expect(4);
    assert!(refused.stderr.contains("wants another account for `accounts/noop`"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("`docker login {address}`")), "{}", refused.stderr);
    assert!(!refused.stderr.contains("not the password"));
    let nobody = project(&registry, &[], "");
    let refused = nobody.oxide(&["plugin", "inspect", &reference]).expect(4);
    assert!(refused.stderr.contains("wants an account for `accounts/noop`"), "{}", refused.stderr);
    let good = usual(&registry);
    let missing = good.oxide(&["plugin", "inspect", &format!("{address}/nowhere/noop:1")]).expect(4);
    assert!(missing.stderr.contains("there is no `nowhere/noop:1` in registry"), "{}", missing.stderr);
    fs::write(good.path("docker/config.json"), "{").unwrap();
    let broken = good.oxide(&["plugin", "inspect", &reference]).expect(4);
    assert!(broken.stderr.contains("config.json is not as Docker writes it"), "{}", broken.stderr);
}

/// Stands between the program and the registry: counts connections, and cuts some of them.
struct Between {
    address: String,
    connections: Arc<AtomicUsize>,
    /// How many connections are still to be cut, and after how many bytes of answers.
    cuts: Arc<AtomicUsize>,
    cut_after: Arc<AtomicU64>,
}

impl Between {
    fn new(registry: &Registry) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let between = Between {
            address: listener.local_addr().unwrap().to_string(),
            connections: Arc::default(),
            cuts: Arc::default(),
            cut_after: Arc::default(),
        };
        let (connections, cuts, cut_after) =
            (between.connections.clone(), between.cuts.clone(), between.cut_after.clone());
        let registry = registry.address.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                connections.fetch_add(1, SeqCst);
                let Ok(server) = TcpStream::connect(&registry) else { continue };
                let is_cut = cuts.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
                let bound = if is_cut { cut_after.load(SeqCst) } else { u64::MAX };
                let (there, back) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
                thread::spawn(move || forward(there, u64::MAX));
                thread::spawn(move || forward(back, bound));
            }
        });
        between
    }

    fn cut(&self, connections: usize, after: u64) {
        self.cut_after.store(after, SeqCst);
        self.cuts.store(connections, SeqCst);
    }
}

/// Passes bytes on until the end or the bound; then both ends are closed.
fn forward((mut from, mut to): (TcpStream, TcpStream), mut bound: u64) {
    let mut buffer = [0; 4096];
    while bound > 0 {
        let most = buffer.len().min(usize::try_from(bound).unwrap_or(usize::MAX));
        match from.read(&mut buffer[..most]) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                bound -= count as u64;
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn a_pull_goes_on_where_the_connection_was_cut_and_gives_up_when_it_is_cut_for_ever() {
    let Some(registry) = Registry::of_tests() else { return };
    let between = Between::new(&registry);
    let project = project(&registry, &[&between.address], &registry.password);
    let reference = in_repository(&between.address, "cut/hostile:1");
    let pushed = project.oxide(&["plugin", "push", "plugins/hostile.wasm", &reference, "--json"]).expect(0);
    let file = stored(&project, &json_of(&pushed.stdout)["component"]);
    // The manifest and the config take some of it; the component has 190 KB.
    between.cut(2, 90_000);
    project.oxide(&["plugin", "pull", &reference]).expect(0);
    assert_eq!(fs::read(&file).unwrap(), fs::read(project.path("plugins/hostile.wasm")).unwrap());
    assert_eq!(between.cuts.load(SeqCst), 0, "both were cut");
    fs::remove_file(&file).unwrap();

    between.cut(usize::MAX, 30_000);
    let failed = project.oxide(&["plugin", "pull", &reference]).expect(4);
    assert!(failed.stderr.contains("ended the connection while it sent the blob"), "{}", failed.stderr);
    assert!(!file.exists(), "half a component is not stored");
    assert_eq!(fs::read_dir(project.data().join("plugins/temporary")).unwrap().count(), 0);
}

#[test]
fn with_everything_on_this_machine_no_registry_is_asked() {
    let Some(registry) = Registry::of_tests() else { return };
    let between = Between::new(&registry);
    let project = project(&registry, &[&between.address], &registry.password);
    let reference = in_repository(&between.address, "offline/noop:1");
    project.oxide(&["plugin", "push", "plugins/noop.wasm", &reference]).expect(0);
    pipeline(&project, &reference, "");
    project.oxide(&["plugin", "add", &reference, "--yes"]).expect(0);
    project.oxide(&["plugin", "pull"]).expect(0);
    let before = between.connections.load(SeqCst);
    assert!(before > 0);
    for arguments in [&["run", "--locked"][..], &["plan"], &["validate", "--locked"], &["plugin", "list"]] {
        project.oxide(arguments).expect(0);
    }
    assert_eq!(between.connections.load(SeqCst), before);
}

#[test]
fn pulling_the_same_plugin_at_the_same_time_is_harmless() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let reference = in_repository(&registry.address, "crowd/hostile:1");
    let pushed = project.oxide(&["plugin", "push", "plugins/hostile.wasm", &reference, "--json"]).expect(0);
    let file = stored(&project, &json_of(&pushed.stdout)["component"]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| project.oxide(&["plugin", "pull", &reference]).expect(0));
        }
    });
    assert_eq!(fs::read(&file).unwrap(), fs::read(project.path("plugins/hostile.wasm")).unwrap());
}

#[test]
fn a_digest_in_the_pipeline_needs_what_was_accepted_for_it() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let reference = in_repository(&registry.address, "digest/noop:1");
    let pushed = project.oxide(&["plugin", "push", "plugins/noop.wasm", &reference, "--json"]).expect(0);
    let by_digest = by_digest(&reference, &json_of(&pushed.stdout)["digest"]);
    pipeline(&project, &by_digest, "");
    let refused = project.oxide(&["run"]).expect(3);
    assert!(refused.stderr.contains(&format!("`oxide plugin add {by_digest}`")), "{}", refused.stderr);
    // The same manifest was accepted under its tag; strictly, the words differ.
    project.oxide(&["plugin", "add", &reference, "--yes"]).expect(0);
    project.oxide(&["run"]).expect(0);
    project.oxide(&["run", "--locked"]).expect(3);
    project.oxide(&["plugin", "add", &by_digest, "--yes"]).expect(0);
    project.oxide(&["run", "--locked"]).expect(0);
    assert_eq!(lock::file::read(&project.path("")).unwrap().plugins().count(), 2);
}

/// What the client does besides moving plugins, against a registry that knows neither referrers nor pages.
#[test]
fn tags_and_referrers_are_found_in_a_registry_that_keeps_no_list_of_them() {
    let Some(registry) = Registry::of_tests() else { return };
    let project = usual(&registry);
    let client = client(&project);
    let repository = in_repository(&registry.address, "referrers/noop:1").parse::<OciReference>().unwrap().repository;
    for tag in ["1", "2"] {
        project.oxide(&["plugin", "push", "plugins/noop.wasm", &format!("{repository}:{tag}")]).expect(0);
    }
    wait(async {
        let mut tags = client.tags(&repository).await.unwrap();
        tags.sort();
        assert_eq!(tags, ["1", "2"]);
        let subject = client.resolve(&repository.tagged("1").unwrap()).await.unwrap();
        assert_eq!(client.referrers(&repository, &subject, None).await.unwrap(), []);
        client.put_blob(&repository, "{}").await.unwrap();
        let manifest = client.manifest(&repository.at(&subject)).await.unwrap();
        let referrer = json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "artifactType": "application/x-test",
            "config": Descriptor::of(media_type::EMPTY, b"{}"),
            "layers": [],
            "subject": Descriptor::of(media_type::MANIFEST, &manifest.bytes),
        })
        .to_string();
        let tagged = repository.tagged("r").unwrap();
        let put = client.put_manifest(&tagged, media_type::MANIFEST, referrer.clone()).await.unwrap();
        assert!(!put.lists_subject);
        let mut listed = Descriptor::of(media_type::MANIFEST, referrer.as_bytes());
        listed.artifact_type = Some("application/x-test".to_owned());
        for _ in 0..2 {
            client.list_by_tag(&repository, &subject, listed.clone()).await.unwrap();
        }
        let found = client.referrers(&repository, &subject, Some("application/x-test")).await.unwrap();
        assert_eq!(found, [listed]);
        assert_eq!(client.referrers(&repository, &subject, Some("application/x-other")).await.unwrap(), []);
    });
}

/// A registry of its own behind TLS, at an address of this machine that is not reached without encryption by itself.
struct Encrypted {
    folder: TempDir,
    process: Child,
    address: String,
}

impl Encrypted {
    fn new() -> Encrypted {
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        let address = format!("127.0.0.2:{}", free_port());
        let settings = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {path}/data }} }}\nhttp: {{ addr: \
             \"{address}\", tls: {{ certificate: {path}/server.pem, key: {path}/server.key }} }}\n"
        );
        fs::write(folder.path().join("settings.yml"), settings).unwrap();
        fs::write(
            folder.path().join("names"),
            "subjectAltName = IP:127.0.0.2\nbasicConstraints = critical, CA:FALSE\n",
        )
        .unwrap();
        for command in [
            "req -x509 -newkey rsa:2048 -nodes -keyout authority.key -out authority.pem -days 2 -subj /CN=tests",
            "req -newkey rsa:2048 -nodes -keyout server.key -out server.request -subj /CN=registry",
            "x509 -req -in server.request -CA authority.pem -CAkey authority.key -out server.pem -days 2 -extfile names",
        ] {
            let output = Command::new("openssl").args(command.split(' ')).current_dir(&folder).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let process = Command::new("docker-registry")
            .args(["serve", "settings.yml"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test command installs docker-registry");
        let registry = Encrypted { folder, process, address };
        let begin = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(120), "the registry does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        registry
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_registry_behind_tls_is_trusted_as_the_machine_trusts_it_and_never_reached_without() {
    // Where there is no registry for the tests, there is no program for one either.
    let Some(_) = Registry::of_tests() else { return };
    let encrypted = Encrypted::new();
    let mut project = Project::new();
    let reference = format!("{}/tls/noop:0.1.0", encrypted.address);
    let push = ["plugin", "push", "plugins/noop.wasm", &reference];
    let refused = project.oxide(&push).expect(4);
    assert!(refused.stderr.contains("UnknownIssuer") && refused.stderr.contains("SSL_CERT_FILE"), "{}", refused.stderr);
    let plain = [&push[..], &["--insecure-registry", &encrypted.address]].concat();
    let refused = project.oxide(&plain).expect(4);
    assert!(refused.stderr.contains("400 Bad Request"), "{}", refused.stderr);
    let authority = encrypted.folder.path().join("authority.pem").display().to_string();
    project.set("SSL_CERT_FILE", &authority);
    project.oxide(&push).expect(0);
    project.oxide(&["plugin", "pull", &reference]).expect(0);
}

//! Caches and artifacts from the outside: what people list, get and clear, on a directory and on an S3-compatible server.

use std::fs;

use oxide_core::event::EventKind;
use oxide_store::{Location, Store, StoredEvent};
use serde_json::Value as Json;

use crate::oxide::Project;

const PIPELINE: &str = r#"
version: "1"
name: kept
stages:
  build:
    environment: host
    cache: { key: "k-${{ git.sha }}", restore_keys: ["k-"], paths: [deps] }
    steps:
      - uses: oxide/checkout@1
      - run: mkdir -p deps dist && echo dependency > deps/a && echo program > dist/app && chmod +x dist/app
        artifacts: { name: app, paths: [dist] }
"#;

/// A project in a git repository.
fn project() -> Project {
    let project = Project::with_pipeline(PIPELINE);
    project.shell("git init -q -b main . && git add oxide.yaml && git commit -q -m first");
    project
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The uploads of artifacts that were told: name, files, bytes.
fn told(project: &Project) -> Vec<(String, u64, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&Location::from(project.data().join("oxide.db"))).await.unwrap();
        let events = store.events_after(0, 1000).await.unwrap();
        let uploaded = |stored: StoredEvent| match stored.event.kind.clone() {
            EventKind::ArtifactUploaded { name, files, bytes, .. } => Some((name, files, bytes)),
            _ => None,
        };
        events.into_iter().filter_map(uploaded).collect()
    })
}

fn tell_the_story(project: &Project, options: &[&str]) {
    let oxide = |words: &[&str]| project.oxide(&[words, options].concat());
    let first = oxide(&["run", ".", "--verbose"]).expect(0);
    assert!(first.stdout.contains("no entry for") && first.stdout.contains("saved"), "{}", first.stdout);
    let second = oxide(&["run", ".", "--verbose"]).expect(0);
    assert!(second.stdout.contains("restored") && !second.stdout.contains("saved"), "{}", second.stdout);

    let entries = json(&oxide(&["cache", "list", "--json"]).expect(0).stdout);
    assert_eq!(
        (entries.as_array().unwrap().len(), &entries[0]["files"], &entries[0]["size"]),
        (1, &1.into(), &11.into())
    );
    assert!(oxide(&["cache", "list"]).expect(0).stdout.starts_with("k-"));

    let artifacts = json(&oxide(&["artifacts", "list", "1", "--json"]).expect(0).stdout);
    assert_eq!((&artifacts[0]["name"], &artifacts[0]["job"]), (&"app".into(), &"build".into()));
    assert!(oxide(&["artifacts", "list"]).expect(0).stdout.starts_with("app  1 file"));
    oxide(&["artifacts", "get", "app", "--run", "kept#2", "--to", "got/here"]).expect(0);
    project.shell("test \"$(cat got/here/dist/app)\" = program && test -x got/here/dist/app");
    let missing = oxide(&["artifacts", "get", "ap"]).expect(2);
    assert!(
        missing.stderr.contains("the run has `app`") && missing.stderr.contains("oxide artifacts list"),
        "{}",
        missing.stderr
    );

    assert_eq!(told(project), [("app".to_owned(), 1, 8), ("app".to_owned(), 1, 8)], "one of each run");

    let nothing = json(&oxide(&["cache", "clear", "--older-than", "1h", "--json"]).expect(0).stdout);
    assert_eq!(nothing["entries"], 0);
    assert_eq!(json(&oxide(&["cache", "clear", "--key", "other", "--json"]).expect(0).stdout)["entries"], 0);
    assert!(oxide(&["cache", "clear", "--key", "k-"]).expect(0).stdout.starts_with("removed 1 entry"));
    assert_eq!(json(&oxide(&["cache", "list", "--json"]).expect(0).stdout), Json::Array(Vec::new()));
}

#[test]
fn people_list_get_and_clear_what_runs_have_kept_in_a_directory() {
    let project = project();
    tell_the_story(&project, &[]);
    assert!(project.data().join("blobs/artifacts").is_dir(), "below the data directory, where nothing else is said");
    let other = self::project();
    let elsewhere = other.path("elsewhere");
    tell_the_story(&other, &["--blobs", elsewhere.to_str().unwrap()]);
    assert!(elsewhere.join("artifacts").is_dir() && !other.data().join("blobs").exists());
}

#[test]
fn people_list_get_and_clear_what_runs_have_kept_in_a_bucket() {
    let Ok(address) = std::env::var("OXIDE_TEST_S3") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "OXIDE_TEST_S3 is not set, and nothing is skipped in CI");
        eprintln!("SKIPPED: blobs in a bucket");
        return;
    };
    let (credentials, rest) = address.strip_prefix("http://").unwrap().split_once('@').unwrap();
    let ((key, secret), (host, bucket)) = (credentials.split_once(':').unwrap(), rest.split_once('/').unwrap());
    let mut project = project();
    project.set("AWS_ACCESS_KEY_ID", key);
    project.set("AWS_SECRET_ACCESS_KEY", secret);
    let place = format!("s3://{bucket}/end-to-end-{}", std::process::id());
    tell_the_story(&project, &["--blobs", &place, "--blobs-endpoint", &format!("http://{host}")]);
    assert!(!project.data().join("blobs").exists(), "nothing in a directory");

    // A bucket that refuses: the short form of the cache warns, artifacts fail, and the secret is not told.
    project.set("AWS_SECRET_ACCESS_KEY", "a-wrong-secret");
    project.set("OXIDE_BLOBS", &place);
    project.set("OXIDE_BLOBS_ENDPOINT", &format!("http://{host}"));
    let refused = project.oxide(&["run", ".", "--verbose"]).expect(1);
    assert!(
        refused.stdout.contains("! build › restore cache") && refused.stdout.contains("✗ build › upload app"),
        "{}",
        refused.stdout
    );
    assert!(!refused.stdout.contains("a-wrong-secret") && !refused.stderr.contains("a-wrong-secret"));
}

#[test]
fn a_damaged_cache_is_made_anew_by_the_run_that_finds_it_damaged() {
    let project = project();
    project.oxide(&["run"]).expect(0);
    project.shell("find ../data/blobs/blobs -type f | while read -r chunk; do printf damaged > $chunk; done");
    let damaged = project.oxide(&["run", ".", "--verbose"]).expect(0).stdout;
    for told in ["warning: the cache was damaged", "was removed", "no entry for", "saved `k-"] {
        assert!(damaged.contains(told), "{told}: {damaged}");
    }
    let next = project.oxide(&["run", ".", "--verbose"]).expect(0).stdout;
    assert!(next.contains("restored `k-") && !next.contains("damaged"), "{next}");
}

#[test]
fn what_is_in_the_way_of_an_artifact_is_no_mistake_of_the_command_line() {
    let project = project();
    project.oxide(&["run"]).expect(0);
    fs::write(project.path("file"), "").unwrap();
    fs::create_dir_all(project.path("taken/dist/app")).unwrap();
    let get = |more: &[&str]| project.oxide(&[&["artifacts", "get"], more].concat());
    assert!(get(&["app", "--to", "file"]).expect(4).stderr.contains("could not make the directory"), "a file");
    let refused = get(&["app", "--to", "taken"]).expect(4).stderr;
    assert!(refused.contains("a directory is in its place") && refused.contains("`--to DIR`"), "{refused}");
    for name in ["ap", "a/b"] {
        assert!(get(&[name]).expect(2).stderr.contains("oxide artifacts list"), "{name}");
    }
    project.shell("find ../data/blobs/blobs -type f -delete");
    assert!(get(&["app"]).expect(4).stderr.contains("is not there any more"), "its bytes are gone");
    let nobody = ["--blobs", "s3://bucket/place", "--blobs-endpoint", "http://127.0.0.1:9"];
    let mut project = project;
    project.set("AWS_ACCESS_KEY_ID", "key");
    project.set("AWS_SECRET_ACCESS_KEY", "secret");
    let unreachable = project.oxide(&[&["artifacts", "get", "app"], &nobody[..]].concat()).expect(4).stderr;
    assert!(unreachable.contains("could not get `app` of kept #1"), "{unreachable}");
}

#[test]
fn a_place_that_is_none_is_refused_with_what_to_write() {
    let project = project();
    let refused = project.oxide(&["run", ".", "--blobs", "gs://bucket"]).expect(2);
    assert!(refused.stderr.contains("s3://BUCKET/PREFIX"), "{}", refused.stderr);
    fs::write(project.path("file"), "").unwrap();
    let refused = project.oxide(&["cache", "list", "file"]).expect(2);
    assert!(refused.stderr.contains("`file` is not a directory"), "{}", refused.stderr);
    let refused = project.oxide(&["cache", "list", "--blobs", "file"]).expect(4);
    assert!(
        refused.stderr.contains("could not open the store of caches and artifacts at `file`"),
        "{}",
        refused.stderr
    );
}

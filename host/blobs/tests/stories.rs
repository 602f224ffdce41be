//! The same stories on a directory and on an S3-compatible server.
//!
//! The test command starts the server and names it in `OXIDE_TEST_S3`, as `http://KEY:SECRET@HOST:PORT/BUCKET`.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, and so may what only tests call")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use cap_std::{ambient_authority, fs::Dir};
use oxide_blobs::{BlobError, Blobs, Limits, Location, Pack, Saved, Unpack, Uploader};
use oxide_core::time::Timestamp;
use tempfile::TempDir;

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

/// A moment that has nothing to do with today.
const NOON: Timestamp = Timestamp(20_000 * DAY + 12 * HOUR);

fn after(millis: i64) -> Timestamp {
    Timestamp(NOON.0 + millis)
}

/// An empty store of its own.
struct Place {
    kind: &'static str,
    location: Location,
    /// Removed when the story ends.
    _directory: Option<TempDir>,
}

impl Place {
    fn open(&self) -> Blobs {
        Blobs::open(&self.location, Limits::default()).unwrap()
    }

    fn open_with(&self, limits: Limits) -> Blobs {
        Blobs::open(&self.location, limits).unwrap()
    }
}

/// Tells one story on each kind of store.
async fn on_each<F: Future<Output = ()>>(story: impl Fn(Arc<Place>) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::Directory(directory.path().join("blobs"));
    story(Arc::new(Place { kind: "directory", location, _directory: Some(directory) })).await;
    match s3() {
        Some(location) => story(Arc::new(Place { kind: "s3", location, _directory: None })).await,
        None => eprintln!("SKIPPED: the story on an S3-compatible server"),
    }
}

fn s3() -> Option<Location> {
    let Ok(address) = std::env::var("OXIDE_TEST_S3") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "OXIDE_TEST_S3 is not set, and nothing is skipped in CI");
        return None;
    };
    let (credentials, rest) = address.strip_prefix("http://").unwrap().split_once('@').unwrap();
    let ((key, secret), (host, bucket)) = (credentials.split_once(':').unwrap(), rest.split_once('/').unwrap());
    let variables = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret), ("AWS_REGION", "us-east-1")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let prefix = uuid::Uuid::now_v7();
    Some(Location::parse(&format!("s3://{bucket}/{prefix}"), Some(&format!("http://{host}")), variables).unwrap())
}

fn workspace(files: &[(&str, &str)]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for (path, text) in files {
        fs::create_dir_all(home.path().join(path).parent().unwrap()).unwrap();
        fs::write(home.path().join(path), text).unwrap();
    }
    home
}

fn open(directory: &Path) -> Arc<Dir> {
    Arc::new(Dir::open_ambient_dir(directory, ambient_authority()).unwrap())
}

fn pack(directory: &Path, paths: &[&str]) -> Pack {
    Pack { directory: open(directory), paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

fn into(directory: &Path) -> Unpack {
    Unpack { directory: open(directory), open_to_all: false }
}

fn keys(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn save(blobs: &Blobs, key: &str, text: &str, now: Timestamp) -> Saved {
    let from = workspace(&[("target/app", text)]);
    blobs.save("p", key, pack(from.path(), &["target"]), &|| now).await.unwrap()
}

async fn restored(blobs: &Blobs, key: &str, fallback: &[&str], now: Timestamp) -> Option<(String, bool, String)> {
    let to = tempfile::tempdir().unwrap();
    let restored = blobs.restore("p", key, &keys(fallback), into(to.path()), now).await.unwrap()?;
    let text = fs::read_to_string(to.path().join("target/app")).unwrap();
    Some((restored.entry.key, restored.exact, text))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_comes_back_by_its_key_else_by_a_fallback_key() {
    on_each(|place| async move {
        let blobs = place.open();
        assert_eq!(restored(&blobs, "cargo-1", &["cargo-"], NOON).await, None, "an empty cache");
        let Saved::Stored(entry) = save(&blobs, "cargo-1", "one", NOON).await else { panic!("not stored") };
        assert_eq!((entry.contents.files, entry.contents.size), (1, 3));
        assert!(entry.contents.digest.starts_with("sha256:") && entry.contents.stored > 0);
        save(&blobs, "cargo-2", "two", after(HOUR)).await;

        let story = |key: &str, exact, text: &str| Some((key.to_owned(), exact, text.to_owned()));
        assert_eq!(restored(&blobs, "cargo-1", &["cargo-"], NOON).await, story("cargo-1", true, "one"));
        assert_eq!(restored(&blobs, "cargo-3", &["cargo-"], NOON).await, story("cargo-2", false, "two"), "the newest");
        assert_eq!(restored(&blobs, "cargo-3", &["npm-", "cargo-1"], NOON).await, story("cargo-1", false, "one"));
        assert_eq!(restored(&blobs, "cargo-3", &[], NOON).await, None);
        let to = tempfile::tempdir().unwrap();
        let other = blobs.restore("another project", "cargo-1", &keys(&["cargo-"]), into(to.path()), NOON).await;
        assert_eq!(other.unwrap(), None, "projects do not see each other's entries");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_never_changes() {
    on_each(|place| async move {
        let blobs = place.open();
        save(&blobs, "k", "first", NOON).await;
        assert!(matches!(save(&blobs, "k", "second", after(HOUR)).await, Saved::Exists(_)));
        assert_eq!(restored(&blobs, "k", &[], NOON).await.unwrap().2, "first");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_save_one_key_at_once_one_wins_and_all_end_well() {
    on_each(|place| async move {
        let blobs = place.open();
        let savers = (0..8).map(|number| {
            let blobs = blobs.clone();
            tokio::spawn(async move { save(&blobs, "k", &format!("saver {number}"), NOON).await })
        });
        let mut stored = Vec::new();
        for saver in savers.collect::<Vec<_>>() {
            if let Saved::Stored(entry) = saver.await.unwrap() {
                stored.push(entry);
            }
        }
        assert_eq!(stored.len(), 1, "{}: one wins", place.kind);
        let entries = blobs.cache_entries("p").await.unwrap();
        assert_eq!(entries.iter().map(|used| &used.entry).collect::<Vec<_>>(), stored.iter().collect::<Vec<_>>());
        assert!(restored(&blobs, "k", &[], NOON).await.unwrap().2.starts_with("saver "));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_nobody_used_for_a_week_and_their_chunks_go() {
    on_each(|place| async move {
        let blobs = place.open();
        save(&blobs, "unused", "u", NOON).await;
        save(&blobs, "used", "v", NOON).await;
        restored(&blobs, "used", &[], after(5 * DAY)).await.unwrap();
        let swept = blobs.sweep(after(7 * DAY - 1)).await.unwrap();
        assert_eq!((swept.cache_entries, swept.chunks), (0, 0), "{}", place.kind);
        let swept = blobs.sweep(after(7 * DAY)).await.unwrap();
        assert_eq!((swept.cache_entries, swept.chunks), (1, 1), "{}", place.kind);
        assert_eq!(restored(&blobs, "unused", &[], after(7 * DAY)).await, None);
        assert_eq!(restored(&blobs, "used", &[], after(7 * DAY)).await.unwrap().2, "v");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_project_is_full_the_entries_that_were_not_used_for_longest_go() {
    on_each(|place| async move {
        let blobs = place.open();
        let Saved::Stored(entry) = save(&blobs, "a", "1", NOON).await else { panic!("not stored") };
        let blobs = place.open_with(Limits { project_bytes: entry.contents.stored * 5 / 2, ..Limits::default() });
        save(&blobs, "b", "2", after(HOUR)).await;
        restored(&blobs, "a", &[], after(2 * HOUR)).await.unwrap();
        save(&blobs, "c", "3", after(3 * HOUR)).await;
        let mut left: Vec<String> =
            blobs.cache_entries("p").await.unwrap().into_iter().map(|used| used.entry.key).collect();
        left.sort();
        assert_eq!(left, ["a", "c"], "{}", place.kind);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_larger_than_allowed_is_refused_and_not_there() {
    on_each(|place| async move {
        let blobs = place.open_with(Limits { entry_bytes: 1000, ..Limits::default() });
        // Digits of a root do not compress to a tenth.
        let text: String =
            (0_u64..5000).map(|n| (n.wrapping_mul(6_364_136_223_846_793_005) >> 33).to_string()).collect();
        let from = workspace(&[("big", &text)]);
        let error = blobs.save("p", "k", pack(from.path(), &["big"]), &|| NOON).await.unwrap_err();
        assert!(matches!(error, BlobError::Limit(_)), "{}: {error:?}", place.kind);
        assert_eq!(restored(&blobs, "k", &[], NOON).await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_leaves_the_chunks_of_a_save_that_has_not_ended() {
    on_each(|place| async move {
        // The clock of the saver is asked at the beginning, and again when the chunks are stored and the entry is not:
        // there the sweep comes, by a clock that is eleven hours ahead.
        let blobs = place.open();
        let sweeper = place.open();
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let handle = tokio::runtime::Handle::current();
        let clock = || {
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                let sweep = sweeper.sweep(after(11 * HOUR));
                let swept = tokio::task::block_in_place(|| handle.block_on(sweep)).unwrap();
                assert_eq!(swept.chunks, 0);
            }
            NOON
        };
        let from = workspace(&[("target/app", "slow")]);
        blobs.save("p", "k", pack(from.path(), &["target"]), &clock).await.unwrap();
        assert!(asked.into_inner() >= 2);
        assert_eq!(restored(&blobs, "k", &[], NOON).await.unwrap().2, "slow", "{}", place.kind);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_takes_longer_than_its_chunks_are_safe_writes_no_entry() {
    on_each(|place| async move {
        let blobs = place.open();
        let asked = std::sync::atomic::AtomicI64::new(0);
        let clock = || after(asked.fetch_add(13, std::sync::atomic::Ordering::SeqCst) * HOUR);
        let from = workspace(&[("target/app", "slow")]);
        let error = blobs.save("p", "k", pack(from.path(), &["target"]), &clock).await.unwrap_err();
        assert!(matches!(error, BlobError::Limit(_)), "{}: {error:?}", place.kind);
        assert_eq!(restored(&blobs, "k", &[], NOON).await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_belong_to_a_run_and_a_job_and_expire() {
    on_each(|place| async move {
        let blobs = place.open();
        let from = workspace(&[("dist/app", "v1"), ("dist/notes.md", "x")]);
        let uploader = |job: &str| Uploader { run: "run-1".into(), job: job.into() };
        let uploaded =
            blobs.upload(uploader("build"), "app", pack(from.path(), &["dist"]), Some(3), &|| NOON).await.unwrap();
        assert_eq!((uploaded.contents.files, uploaded.expires_at), (2, after(3 * DAY)));

        // The same job replaces; another one may not.
        fs::write(from.path().join("dist/app"), "v2").unwrap();
        blobs.upload(uploader("build"), "app", pack(from.path(), &["dist"]), Some(3), &|| NOON).await.unwrap();
        let error = blobs.upload(uploader("test"), "app", pack(from.path(), &["dist"]), None, &|| NOON).await;
        assert!(matches!(&error, Err(BlobError::Invalid(text)) if text.contains("`build`")), "{error:?}");
        blobs.upload(uploader("test"), "Report", pack(from.path(), &["dist"]), None, &|| NOON).await.unwrap();

        let names = |found: Vec<oxide_blobs::ArtifactEntry>| found.into_iter().map(|a| a.name).collect::<Vec<_>>();
        assert_eq!(names(blobs.artifacts("run-1").await.unwrap()), ["Report", "app"]);
        assert!(blobs.artifacts("run-2").await.unwrap().is_empty());

        let to = tempfile::tempdir().unwrap();
        blobs.download("run-1", "app", into(to.path())).await.unwrap();
        assert_eq!(fs::read_to_string(to.path().join("dist/app")).unwrap(), "v2");
        let error = blobs.download("run-1", "ap", into(to.path())).await.unwrap_err();
        assert!(error.to_string().contains("`Report`, `app`"), "{error}");
        let error = blobs.download("run-2", "app", into(to.path())).await.unwrap_err();
        assert!(matches!(error, BlobError::NotFound(_)), "{error}");
        for name in ["a/b", "..", "", ".x"] {
            let error = blobs.upload(uploader("b"), name, pack(from.path(), &["dist"]), None, &|| NOON).await;
            assert!(matches!(error, Err(BlobError::Invalid(_))), "{name}: {error:?}");
        }

        assert_eq!(blobs.sweep(after(3 * DAY - 1)).await.unwrap().artifacts, 0);
        assert_eq!(blobs.sweep(after(3 * DAY)).await.unwrap().artifacts, 1, "{}", place.kind);
        assert_eq!(names(blobs.artifacts("run-1").await.unwrap()), ["Report"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_is_replaced_keeps_its_old_files_if_the_upload_fails() {
    on_each(|place| async move {
        let blobs = place.open();
        let uploader = Uploader { run: "r".into(), job: "j".into() };
        let from = workspace(&[("a", "1")]);
        blobs.upload(uploader.clone(), "x", pack(from.path(), &["a"]), None, &|| NOON).await.unwrap();
        let error = blobs.upload(uploader, "x", pack(from.path(), &["missing"]), None, &|| NOON).await.unwrap_err();
        assert!(matches!(error, BlobError::NotFound(_)), "{error}");
        let to = tempfile::tempdir().unwrap();
        blobs.download("r", "x", into(to.path())).await.unwrap();
        assert_eq!(fs::read_to_string(to.path().join("a")).unwrap(), "1", "{}", place.kind);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_removes_what_it_was_asked_to() {
    on_each(|place| async move {
        let blobs = place.open();
        for (key, hour) in [("cargo-1", 0), ("cargo-2", 5), ("npm-1", 0)] {
            save(&blobs, key, key, after(hour * HOUR)).await;
        }
        let cleared = blobs.clear("p", "cargo-", after(3 * HOUR)).await.unwrap();
        assert_eq!(cleared.entries, 1, "{}", place.kind);
        assert_eq!(restored(&blobs, "cargo-1", &[], NOON).await, None);
        assert_eq!(blobs.clear("another", "", Timestamp(i64::MAX)).await.unwrap().entries, 0);
        assert_eq!(blobs.clear("p", "", Timestamp(i64::MAX)).await.unwrap().entries, 2);
    })
    .await;
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files_below(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_changed_in_the_store_never_reach_a_workspace_and_the_entry_goes() {
    let home = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&Location::Directory(home.path().into()), Limits::default()).unwrap();
    for tamper in [true, false] {
        save(&blobs, "k", "good", NOON).await;
        for chunk in files_below(&home.path().join("blobs")) {
            if tamper {
                let mut bytes = fs::read(&chunk).unwrap();
                bytes[10] ^= 1;
                fs::write(&chunk, bytes).unwrap();
            } else {
                fs::remove_file(&chunk).unwrap();
            }
        }
        let to = tempfile::tempdir().unwrap();
        let restored = blobs.restore("p", "k", &[], into(to.path()), NOON).await;
        match tamper {
            true => {
                assert!(matches!(&restored, Err(BlobError::Damaged(text)) if text.contains("removed")), "{restored:?}")
            }
            false => assert!(matches!(restored, Ok(None)), "{restored:?}"),
        }
        assert!(files_below(to.path()).is_empty());
        assert!(blobs.cache_entries("p").await.unwrap().is_empty(), "the next save can make a good one");
        // The same bytes again: the damaged chunk must not be taken for them.
        save(&blobs, "k", "good", NOON).await;
        assert!(blobs.restore("p", "k", &[], into(to.path()), NOON).await.unwrap().is_some(), "tampered: {tamper}");
        blobs.clear("p", "", after(DAY)).await.unwrap();
        for chunk in files_below(&home.path().join("blobs")) {
            fs::remove_file(chunk).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_entry_that_cannot_be_read_is_forgotten_and_keeps_nobody_from_the_others() {
    let home = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&Location::Directory(home.path().into()), Limits::default()).unwrap();
    let damage = || {
        for entry in files_below(&home.path().join("cache")).iter().filter(|path| path.extension().unwrap() == "json") {
            fs::write(entry, "{").unwrap();
        }
    };
    save(&blobs, "k-1", "good", NOON).await;
    damage();
    save(&blobs, "k-2", "good", NOON).await;
    assert_eq!(blobs.cache_entries("p").await.unwrap().len(), 1);
    let to = tempfile::tempdir().unwrap();
    let fallback = blobs.restore("p", "k-3", &["k-".to_owned()], into(to.path()), NOON).await.unwrap();
    assert_eq!(fallback.map(|restored| restored.entry.key).as_deref(), Some("k-2"));
    let error = blobs.restore("p", "k-1", &[], into(to.path()), NOON).await.unwrap_err();
    assert!(matches!(&error, BlobError::Damaged(text) if text.contains("the entry `k-1` was removed")), "{error}");
    assert!(blobs.restore("p", "k-1", &[], into(to.path()), NOON).await.unwrap().is_none());
    damage();
    save(&blobs, "k-2", "good", NOON).await;
    assert!(blobs.restore("p", "k-2", &[], into(to.path()), NOON).await.unwrap().is_some(), "it was made anew");
}

/// The beginning is in the workspace when the end turns out to be damaged.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_entry_whose_end_is_damaged() {
    let home = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&Location::Directory(home.path().into()), Limits::default()).unwrap();
    let from = workspace(&[("target/first", "good")]);
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    fs::write(from.path().join("target/large"), (0..20 << 20).map(|_| noise()).collect::<Vec<u8>>()).unwrap();
    blobs.save("p", "k", pack(from.path(), &["target"]), &|| NOON).await.unwrap();
    let chunks = files_below(&home.path().join("blobs"));
    assert!(chunks.len() > 2);
    let last = chunks.iter().min_by_key(|chunk| fs::metadata(chunk).unwrap().len()).unwrap();
    fs::write(last, "damaged").unwrap();
    let to = tempfile::tempdir().unwrap();
    let restored = blobs.restore("p", "k", &[], into(to.path()), NOON).await;
    assert!(matches!(restored, Err(BlobError::Damaged(_))), "{restored:?}");
    assert_eq!(
        fs::read_dir(to.path()).unwrap().count(),
        0,
        "not even the directory, which a script would take for a good one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_read_keeps_the_sweep_from_removing_chunks() {
    let home = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&Location::Directory(home.path().into()), Limits::default()).unwrap();
    save(&blobs, "k", "good", NOON).await;
    let entry = files_below(&home.path().join("cache")).pop().unwrap();
    fs::write(entry, "{ a version to come").unwrap();
    assert!(matches!(blobs.sweep(after(30 * DAY)).await, Err(BlobError::Damaged(_))));
    assert_eq!(files_below(&home.path().join("blobs")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_reached_or_refuses_is_an_error_that_says_what_was_tried() {
    let variables = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_REGION", "us-east-1")];
    let variables = || variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Some(Location::S3(_)) = s3() else { return };
    let address = std::env::var("OXIDE_TEST_S3").unwrap();
    let (host, bucket) = address.split_once('@').unwrap().1.split_once('/').unwrap();
    let location = Location::parse(&format!("s3://{bucket}"), Some(&format!("http://{host}")), variables()).unwrap();
    let blobs = Blobs::open(&location, Limits::default()).unwrap();
    let to = tempfile::tempdir().unwrap();
    let error = blobs.restore("p", "k", &[], into(to.path()), NOON).await.unwrap_err();
    assert!(matches!(error, BlobError::Store { operation: "read an entry", .. }), "{error:?}");
    assert!(!error.in_one_line().contains("wrong"), "the secret is not told: {}", error.in_one_line());
}

/// The other process of the stories below: this test program once more, told by variables what to do.
#[test]
fn child() {
    let (Ok(task), Ok(home)) = (std::env::var("OXIDE_BLOBS_CHILD"), std::env::var("OXIDE_BLOBS_HOME")) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let home = PathBuf::from(home);
        let blobs = Blobs::open(&Location::Directory(home.join("blobs")), Limits::default()).unwrap();
        match task.as_str() {
            "save" => {
                let saved = blobs.save("p", "k", pack(&home, &["files"]), &now).await.unwrap();
                assert!(matches!(saved, Saved::Stored(_)));
            }
            "huge" => {
                blobs.save("p", "huge", pack(&home, &["huge"]), &now).await.unwrap();
                let to = home.join("restored");
                fs::create_dir(&to).unwrap();
                blobs.restore("p", "huge", &[], into(&to), now()).await.unwrap().unwrap();
                let status = fs::read_to_string("/proc/self/status").unwrap();
                let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
                println!("peak {}", peak.trim());
            }
            other => panic!("{other}"),
        }
    });
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

fn start_child(task: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env("OXIDE_BLOBS_CHILD", task).env("OXIDE_BLOBS_HOME", home);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_is_killed_at_any_moment_leaves_no_half_entry_and_a_sweep_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("files")).unwrap();
    // 60 MB that do not compress: several chunks.
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..6 {
        let bytes: Vec<u8> = (0..1_250_000).flat_map(|_| random().to_le_bytes()).collect();
        fs::write(home.path().join(format!("files/{number}")), bytes).unwrap();
    }
    // How long a whole one takes; then others are killed at moments between beginning and end. A machine that is busy with
    // others is now quicker and now slower than that, which the next moments go by.
    let began = Instant::now();
    assert!(start_child("save", home.path()).stdout(Stdio::null()).status().unwrap().success());
    let mut whole = began.elapsed();
    let blobs_home = home.path().join("blobs");
    let (mut interrupted, mut left_something) = (0, false);
    for (tries, moment) in (1..10).cycle().take(90).enumerate() {
        if tries >= 9 && interrupted >= 3 && left_something {
            break;
        }
        fs::remove_dir_all(&blobs_home).ok();
        let mut child = start_child("save", home.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(whole * moment / 10).await;
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let blobs = Blobs::open(&Location::Directory(blobs_home.clone()), Limits::default()).unwrap();
        let to = tempfile::tempdir().unwrap();
        let restored = blobs.restore("p", "k", &[], into(to.path()), now()).await.unwrap();
        match &restored {
            Some(_) => {
                assert_eq!(files_below(to.path()).len(), 6, "an entry that is there is whole");
                whole = whole * moment / 10;
            }
            None => {
                interrupted += 1;
                assert!(!status.success());
                let left = !files_below(&blobs_home).is_empty();
                left_something |= left;
                if !left && moment > 5 {
                    whole = whole * 3 / 2;
                }
                let later = Timestamp(now().0 + 2 * DAY);
                blobs.sweep(later).await.unwrap();
                let left = files_below(&blobs_home);
                assert_eq!(left, [blobs_home.join("sweep.json")], "nothing but the note of the sweep");
            }
        }
    }
    assert!(interrupted >= 3 && left_something, "kills came in the middle: {interrupted}");
}

#[test]
fn a_file_of_5_gb_travels_in_both_directions_with_little_memory() {
    let home = tempfile::tempdir().unwrap();
    const SIZE: u64 = 5_000_000_001;
    let file = fs::File::create(home.path().join("huge")).unwrap();
    file.set_len(SIZE).unwrap();
    // Not only zeros: something at both ends.
    std::os::unix::fs::FileExt::write_all_at(&file, b"begin", 0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", SIZE - 3).unwrap();
    let output = start_child("huge", home.path()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let peak = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap();
    let kib: u64 = peak.trim_end_matches(" kB").trim().parse().unwrap();
    assert!(kib < 200 << 10, "{kib} KiB");
    let restored = fs::File::open(home.path().join("restored/huge")).unwrap();
    assert_eq!(restored.metadata().unwrap().len(), SIZE);
    let mut ends = [0; 8];
    std::os::unix::fs::FileExt::read_exact_at(&restored, &mut ends[..5], 0).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&restored, &mut ends[5..], SIZE - 3).unwrap();
    assert_eq!(&ends, b"beginend");
    let used = std::os::unix::fs::MetadataExt::blocks(&restored.metadata().unwrap()) * 512;
    assert!(used < 10 << 20, "zeros take no room: {used} bytes");
}

/// What takes little memory when it compresses well must not take more when it does not.
#[test]
fn a_large_file_that_does_not_compress_takes_little_memory_too() {
    let home = tempfile::tempdir().unwrap();
    let mut file = std::io::BufWriter::new(fs::File::create(home.path().join("huge")).unwrap());
    let mut state = 1_u64;
    for _ in 0..(400_000_000 / 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::io::Write::write_all(&mut file, &state.to_le_bytes()).unwrap();
    }
    drop(file);
    let output = start_child("huge", home.path()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let kib: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("peak "))
        .unwrap()
        .trim_end_matches(" kB")
        .trim()
        .parse()
        .unwrap();
    assert!(kib < 200 << 10, "{kib} KiB");
    let same =
        Command::new("cmp").arg(home.path().join("huge")).arg(home.path().join("restored/huge")).status().unwrap();
    assert!(same.success());
}

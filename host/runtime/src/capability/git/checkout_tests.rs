//! Checkouts of real repositories on this disk.

use std::process::Command;

use cap_std::ambient_authority;

use super::*;
use crate::testing::MemoryLog;

/// A remote and a workspace in one temporary directory.
struct Place {
    home: tempfile::TempDir,
    log: Arc<MemoryLog>,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("workspace")).unwrap();
        let place = Place { home, log: Arc::new(MemoryLog::default()) };
        place.git("", &["init", "--quiet", "-b", "main", "remote"]);
        place.commit("remote", "README.md", "first");
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    /// Runs git in a directory, as somebody would.
    fn git(&self, directory: &str, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "protocol.file.allow=always", "-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
            .args(arguments)
            .current_dir(self.path(directory))
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.home.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits a file with its subject as contents; returns the id.
    fn commit(&self, repository: &str, file: &str, subject: &str) -> String {
        let path = self.path(repository).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, subject).unwrap();
        self.git(repository, &["add", "."]);
        self.git(repository, &["commit", "--quiet", "-m", subject]);
        self.git(repository, &["rev-parse", "HEAD"])
    }

    async fn check_out(&self, path: &str, options: Options) -> Result<Commit, CapabilityError> {
        let url = self.path("remote").to_str().unwrap().to_owned();
        self.check_out_from(&url, path, options).await
    }

    async fn check_out_from(&self, url: &str, path: &str, options: Options) -> Result<Commit, CapabilityError> {
        let workspace = self.path("workspace");
        let root = Arc::new(Dir::open_ambient_dir(&workspace, ambient_authority()).unwrap());
        let task = Checkout { remote: Remote::parse(url)?, path: path.into(), options, root, workspace };
        check_out(task, Arc::new(StepLog::new(self.log.clone(), 1 << 20, Arc::default()))).await
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path("workspace").join(path)).unwrap()
    }
}

fn options(wanted: &str) -> Options {
    let wanted = Wanted::parse(Some(wanted)).unwrap();
    Options { wanted, depth: None, submodules: false, sparse: Vec::new() }
}

#[tokio::test]
async fn the_default_branch_with_its_facts() {
    let place = Place::new();
    let id = place.commit("remote", "src/lib.rs", "second");
    let commit = place.check_out(".", options("HEAD")).await.unwrap();
    assert_eq!((commit.id, commit.branch, commit.tag), (id, None, None));
    assert_eq!((commit.author_name.as_str(), commit.author_email.as_str()), ("Ada", "ada@example.com"));
    assert_eq!(commit.subject, "second");
    assert!(commit.committed_at > 1_600_000_000);
    assert_eq!(place.read("src/lib.rs"), "second");
    assert!(place.log.text().starts_with("fetching the default branch of /"), "{}", place.log.text());
}

#[tokio::test]
async fn branches_tags_full_refs_and_commits() {
    let place = Place::new();
    let first = place.git("remote", &["rev-parse", "HEAD"]);
    place.git("remote", &["tag", "-a", "v1", "-m", "one"]);
    place.git("remote", &["checkout", "--quiet", "-b", "release/1.2"]);
    let second = place.commit("remote", "README.md", "second");
    place.git("remote", &["update-ref", "refs/pull/7/merge", &second]);
    place.git("remote", &["checkout", "--quiet", "main"]);
    let hidden = place.commit("remote", "README.md", "third");
    place.git("remote", &["reset", "--quiet", "--hard", &first]);
    for (wanted, id, branch, tag) in [
        ("release/1.2", &second, Some("release/1.2"), None),
        ("refs/heads/main", &first, Some("main"), None),
        ("v1", &first, None, Some("v1")),
        ("refs/tags/v1", &first, None, Some("v1")),
        ("refs/pull/7/merge", &second, None, None),
        (&first, &first, None, None),
        (&second.to_uppercase(), &second, None, None),
    ] {
        let commit = place.check_out("repo", options(wanted)).await.unwrap();
        assert_eq!((&commit.id, commit.branch.as_deref(), commit.tag.as_deref()), (id, branch, tag), "{wanted}");
    }
    for missing in ["no-such", "refs/heads/no-such", &"0".repeat(40)] {
        let error = place.check_out("repo", options(missing)).await.unwrap_err();
        assert!(matches!(&error, CapabilityError::NotFound(text) if text.contains(missing)), "{error:?}");
    }
    // Reachable from nowhere: local git gives it out or not, depending on its version.
    let _ = place.check_out("repo", options(&hidden)).await;
}

#[tokio::test]
async fn a_depth_bounds_the_history() {
    let place = Place::new();
    place.commit("remote", "README.md", "second");
    let url = format!("file://{}", place.path("remote").display());
    place.check_out_from(&url, ".", Options { depth: Some(1), ..options("main") }).await.unwrap();
    assert_eq!(place.git("workspace", &["rev-list", "--count", "HEAD"]), "1");
    place.check_out_from(&url, ".", options("main")).await.unwrap();
    assert_eq!(place.git("workspace", &["rev-list", "--count", "HEAD"]), "2");
    assert!(place.check_out(".", Options { depth: Some(0), ..options("main") }).await.is_err());
}

#[tokio::test]
async fn submodules_with_relative_addresses_also_the_second_time() {
    let place = Place::new();
    place.git("", &["init", "--quiet", "-b", "main", "library"]);
    place.commit("library", "lib.txt", "library");
    place.git("remote", &["submodule", "--quiet", "add", "../library", "deps/library"]);
    place.commit("remote", "other", "with a submodule");
    for _ in 0..2 {
        place.check_out(".", Options { submodules: true, ..options("main") }).await.unwrap();
        assert_eq!(place.read("deps/library/lib.txt"), "library");
    }
}

#[tokio::test]
async fn sparse_checks_out_some_directories() {
    let place = Place::new();
    place.commit("remote", "a/file", "a");
    place.commit("remote", "b/file", "b");
    place.check_out(".", Options { sparse: vec!["./a/".into()], ..options("main") }).await.unwrap();
    assert_eq!(place.read("a/file"), "a");
    assert!(!place.path("workspace/b").exists());
    for path in ["../x", "/etc", "--stdin", ""] {
        assert!(place.check_out(".", Options { sparse: vec![path.into()], ..options("main") }).await.is_err());
    }
}

#[tokio::test]
async fn what_an_earlier_step_left_is_overwritten_and_its_settings_are_not_obeyed() {
    let place = Place::new();
    let workspace = place.path("workspace");
    std::fs::write(workspace.join("README.md"), "changed").unwrap();
    std::fs::write(workspace.join("kept"), "untracked").unwrap();
    place.git("workspace", &["init", "--quiet"]);
    let evil = format!("touch {}", place.path("evil").display());
    place.git("workspace", &["config", "core.fsmonitor", &evil]);
    place.git("workspace", &["config", "core.sshCommand", &evil]);
    std::fs::write(workspace.join(".git/hooks/post-checkout"), format!("#!/bin/sh\n{evil}\n")).unwrap();
    Command::new("chmod").arg("+x").arg(workspace.join(".git/hooks/post-checkout")).status().unwrap();
    place.check_out(".", options("main")).await.unwrap();
    assert_eq!((place.read("README.md"), place.read("kept")), ("first".into(), "untracked".into()));
    assert!(!place.path("evil").exists());
}

#[tokio::test]
async fn no_path_leads_out_of_the_workspace() {
    let place = Place::new();
    std::os::unix::fs::symlink(place.home.path(), place.path("workspace/up")).unwrap();
    std::os::unix::fs::symlink("../outside", place.path("workspace/link")).unwrap();
    std::fs::create_dir(place.path("outside")).unwrap();
    for path in ["..", "../outside", "/tmp", "up/outside", "link"] {
        let error = place.check_out(path, options("main")).await.unwrap_err();
        assert!(matches!(error, CapabilityError::Denied(_)), "{path}: {error:?}");
    }
    assert_eq!(std::fs::read_dir(place.path("outside")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_git_directory_that_is_a_link_is_replaced_and_not_followed() {
    let place = Place::new();
    std::fs::create_dir(place.path("precious")).unwrap();
    std::fs::write(place.path("precious/file"), "").unwrap();
    std::os::unix::fs::symlink(place.path("precious"), place.path("workspace/.git")).unwrap();
    place.check_out(".", options("main")).await.unwrap();
    assert_eq!(std::fs::read_dir(place.path("precious")).unwrap().count(), 1);
    assert!(place.path("workspace/.git").symlink_metadata().unwrap().is_dir());
}

#[tokio::test]
async fn a_remote_that_is_not_there_says_so() {
    let place = Place::new();
    let nowhere = place.path("nowhere").to_str().unwrap().to_owned();
    let error = place.check_out_from(&nowhere, ".", options("main")).await.unwrap_err();
    assert!(matches!(error, CapabilityError::NotFound(_)), "{error:?}");
    place.git("", &["init", "--quiet", "empty"]);
    let empty = place.path("empty").to_str().unwrap().to_owned();
    let error = place.check_out_from(&empty, ".", options("HEAD")).await.unwrap_err();
    assert!(matches!(&error, CapabilityError::NotFound(text) if text.contains("no commits")), "{error:?}");
}

#[tokio::test]
async fn a_dropped_checkout_leaves_no_process() {
    // A server that accepts and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://user:secret@{}/hang.git", listener.local_addr().unwrap());
    let place = Place::new();
    let checkout = place.check_out_from(&url, ".", options("main"));
    let waited = tokio::time::timeout(std::time::Duration::from_millis(500), checkout).await;
    assert!(waited.is_err(), "it hangs");
    let address = listener.local_addr().unwrap().to_string();
    let began = std::time::Instant::now();
    loop {
        let commands = Command::new("ps").args(["-eo", "args"]).output().unwrap().stdout;
        let commands = String::from_utf8_lossy(&commands);
        if !commands.lines().any(|line| line.contains("git") && line.contains(&address)) {
            break;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{commands}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!place.log.text().contains("secret"), "{}", place.log.text());
}

#[test]
fn facts_are_taken_apart() {
    let facts = parse_facts("abc\0Ada L.\0ada@example.com\x001700000000\0a: b\n").unwrap();
    assert_eq!(
        (facts.author_name.as_str(), facts.committed_at, facts.subject.as_str()),
        ("Ada L.", 1_700_000_000, "a: b")
    );
    assert_eq!(parse_facts(""), None);
    assert_eq!(parse_facts("abc\0a\0b\0soon\0d"), None);
}

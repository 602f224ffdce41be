//! The stories of asking repositories, with real ones.

use std::{path::Path, process::Command};

use super::*;

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with a commit on `main`, an older one on `old/one`, and an annotated tag.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q", "-b", "main"]);
    git(folder.path(), &["commit", "-q", "--allow-empty", "-m", "first"]);
    git(folder.path(), &["branch", "old/one"]);
    git(folder.path(), &["tag", "-a", "v1", "-m", "one"]);
    git(folder.path(), &["commit", "-q", "--allow-empty", "-m", "second"]);
    folder
}

#[tokio::test]
async fn branches_tags_and_the_branch_of_the_repository_lead_to_commits() {
    let folder = repository();
    let url = format!("file://{}", folder.path().display());
    let (second, first) = (git(folder.path(), &["rev-parse", "main"]), git(folder.path(), &["rev-parse", "old/one"]));
    let find = async |wanted: Wanted| find_commit(&url, &wanted, &Reach::default()).await;

    let head = find(Wanted::default()).await.unwrap();
    assert_eq!((head.sha.as_str(), head.branch.as_deref()), (second.as_str(), Some("main")));
    assert_eq!(head.to_map()["ref"], "refs/heads/main");
    let branch = find(Wanted { branch: Some("old/one".into()), ..Wanted::default() }).await.unwrap();
    assert_eq!((branch.sha, branch.reference), (first.clone(), Some("refs/heads/old/one".into())));
    let tag = find(Wanted { tag: Some("v1".into()), ..Wanted::default() }).await.unwrap();
    assert_eq!((tag.sha, tag.reference, tag.branch), (first, Some("refs/tags/v1".into()), None));
    let unknown = find(Wanted { branch: Some("one".into()), ..Wanted::default() }).await.unwrap_err();
    assert_eq!(unknown.to_string(), format!("{url} has no branch `one`"));
}

#[tokio::test]
async fn a_commit_needs_no_answer() {
    let sha = "0123456789abcdef0123456789abcdef01234567".to_owned();
    let wanted = Wanted { branch: Some("main".into()), sha: Some(sha.clone()), tag: None };
    let facts = find_commit("https://git.invalid/a.git", &wanted, &Reach::default()).await.unwrap();
    assert_eq!((facts.sha, facts.repository.as_str()), (sha, "https://git.invalid/a.git"));
    assert_eq!(facts.branch.as_deref(), Some("main"));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_without_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/none", folder.path().display());
    let refused = find_commit(&url, &Wanted::default(), &Reach::default()).await.unwrap_err().to_string();
    assert!(
        refused.contains("cannot be read:") && refused.contains("does not appear to be a git repository"),
        "{refused}"
    );
    git(folder.path(), &["init", "-q"]);
    let empty = format!("file://{}", folder.path().display());
    assert!(matches!(find_commit(&empty, &Wanted::default(), &Reach::default()).await, Err(RemoteError::Empty(_))));
    let refused =
        find_commit("http://me:hunter22@127.0.0.1:1/a.git", &Wanted::default(), &Reach::default()).await.unwrap_err();
    assert!(matches!(refused, RemoteError::Address(_)) && !refused.to_string().contains("hunter22"), "{refused}");
}

#[tokio::test]
async fn private_hosts_and_folders_are_asked_only_if_they_are_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let closed = Reach { private_hosts: Some(Vec::new()), folders: false };
    for address in [
        format!("http://127.0.0.1:{port}/a.git"),
        format!("git://localhost:{port}/a.git"),
        format!("ssh://git@[::1]:{port}/a.git"),
        "git@127.0.0.1:a.git".to_owned(),
    ] {
        let refused = find_commit(&address, &Wanted::default(), &closed).await.unwrap_err();
        assert!(matches!(refused, RemoteError::NotReached(_)), "{address}: {refused}");
    }
    for address in ["http://127.0.0.1:/a.git", "http://127.0.0.1:x/a", "git://10.0.0.5:/a", "http://169.254.169.254:/x"]
    {
        let refused = find_commit(address, &Wanted::default(), &closed).await.unwrap_err();
        assert!(refused.to_string().contains("no usable host or port"), "{address}: {refused}");
    }
    for address in ["/srv/a.git", "file:///srv/a.git"] {
        let refused = find_commit(address, &Wanted::default(), &closed).await.unwrap_err();
        assert!(refused.to_string().contains("local_repositories"), "{refused}");
    }
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(200), listener.accept()).await;
    assert!(nobody.is_err(), "somebody was asked");
    let open = Reach { private_hosts: Some(vec![format!("127.0.0.1:{port}")]), folders: false };
    let asked = async {
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
    };
    let url = format!("http://127.0.0.1:{port}/a.git");
    let wanted = Wanted::default();
    let (answer, ()) = tokio::join!(find_commit(&url, &wanted, &open), asked);
    assert!(matches!(answer, Err(RemoteError::Refused { .. })), "{answer:?}");
}

#[test]
fn nothing_reaches_gits_command_line_as_an_option_or_a_helper() {
    for address in [
        "-u",
        "--upload-pack=touch x",
        "ext::sh -c x",
        "a\nb",
        "",
        "relative/path",
        "gopher://x",
        "https://",
        "https://me:secret@a/b.git",
        "https://token@a/b.git",
        "ssh://git:secret@a/b",
        "http://127.0.0.1:/a.git",
        "http://127.0.0.1:x/a",
        "http://127.0.0.1:65536/a",
        "git://10.0.0.5:/a",
        "http://a.example\\@127.0.0.1/b",
        "http://a.example#@127.0.0.1/b",
        "ssh://a.example#@127.0.0.1/b",
        "ssh://a.example?@127.0.0.1/b",
        "http://%31.0.0.1/b",
        "http://a./b",
        "[git@127.0.0.1:22]:b",
        "git@[::1:b",
    ] {
        assert!(check_address(address, &Reach::default()).is_err(), "{address:?}");
    }
    for address in [
        "https://a/b.git",
        "git@example.com:a/b.git",
        "git@[::1]:a/b.git",
        "/srv/a.git",
        "file:///srv/a.git",
        "ssh://git@a:22/b",
        "https://[::1]:8443/a@b.git?c#d",
    ] {
        assert!(check_address(address, &Reach::default()).is_ok(), "{address:?}");
    }
    for name in ["-x", "a..b", "a b", "a*", "a~1", "a/", "/a", "a.lock", "@{u}", "a^", ".a", "a."] {
        let wanted = Wanted { branch: Some(name.into()), ..Wanted::default() };
        assert!(matches!(named(&wanted), Err(RemoteError::Name { what: "branch", .. })), "{name:?}");
    }
    assert!(named(&Wanted { sha: Some("abc".into()), ..Wanted::default() }).is_err());
    assert!(named(&Wanted { branch: Some("feature/x-1".into()), ..Wanted::default() }).is_ok());
}

#[test]
fn the_host_and_port_of_an_address_are_those_that_git_asks() {
    for (address, host, port) in [
        ("https://git.lan/a.git", "git.lan", 443),
        ("http://git.lan:8080/a@b:1/c.git", "git.lan", 8080),
        ("ssh://git@git.lan/a", "git.lan", 22),
        ("ssh://git@[::1]:2222/a", "[::1]", 2222),
        ("git://git.lan/a?b@c", "git.lan", 9418),
        ("git@git.lan:a/b.git", "git.lan", 22),
        ("git@[::1]:a/b.git", "[::1]", 22),
    ] {
        assert_eq!(host_of(address), Some((host.to_owned(), port)), "{address}");
    }
}

#[test]
fn git_asks_the_address_that_was_found() {
    let pin = |repository: &str, found: &str| {
        let (host, port) = host_of(repository).unwrap();
        super::pin(repository, &host, port, &[SocketAddr::new(found.parse().unwrap(), port)])
    };
    let http = pin("https://git.lan/a.git", "2001:db8::1");
    assert_eq!(http.settings, ["http.followRedirects=false", "http.curloptResolve=git.lan:443:[2001:db8::1]"]);
    assert_eq!(http.address, "https://git.lan/a.git");
    let daemon = pin("git://git.lan/a/b", "192.0.2.1");
    assert_eq!(
        (daemon.address.as_str(), daemon.virtual_host.as_deref()),
        ("git://192.0.2.1:9418/a/b", Some("git.lan"))
    );
    assert_eq!(pin("git://git.lan:1/a", "2001:db8::1").address, "git://[2001:db8::1]:1/a");
    for (address, options) in [
        ("git@git.lan:a.git", " -o HostName=192.0.2.1 -o 'HostKeyAlias=git.lan'"),
        ("ssh://git@git.lan:2222/a", " -o HostName=192.0.2.1 -o 'HostKeyAlias=[git.lan]:2222'"),
        ("ssh://git@192.0.2.1/a", ""),
    ] {
        let pinned = pin(address, "192.0.2.1");
        assert_eq!((pinned.ssh_options.as_str(), pinned.address.as_str()), (options, address));
        assert!(pinned.settings.is_empty(), "{pinned:?}");
    }
    assert_eq!(pin("http://192.0.2.1/a", "192.0.2.1").settings, ["http.followRedirects=false"]);
}

#[test]
fn addresses_with_and_without_credentials_are_shown_alike() {
    assert_eq!(without_credentials("https://me:secret@example.com/a@b.git"), "https://example.com/a@b.git");
    assert_eq!(without_credentials("https://example.com/a.git"), "https://example.com/a.git");
    assert_eq!(without_credentials("git@example.com:a.git"), "git@example.com:a.git");
}

//! Stories of files below one directory, on a real disk.

use cap_std::ambient_authority;

use super::*;

/// A workspace in a directory with a secret beside it.
fn workspace() -> (tempfile::TempDir, Dir) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("secret"), "secret").unwrap();
    std::fs::create_dir(home.path().join("workspace")).unwrap();
    let dir = Dir::open_ambient_dir(home.path().join("workspace"), ambient_authority()).unwrap();
    (home, dir)
}

fn kind<T: std::fmt::Debug>(result: Result<T, CapabilityError>) -> &'static str {
    match result.unwrap_err() {
        CapabilityError::NotFound(_) => "not found",
        CapabilityError::Denied(_) => "denied",
        CapabilityError::Invalid(_) => "invalid",
        CapabilityError::Limit(_) => "limit",
        CapabilityError::Other(text) => panic!("other: {text}"),
        CapabilityError::Trap(error) => panic!("trap: {error}"),
    }
}

#[test]
fn a_file_is_written_read_appended_and_removed() {
    let (_home, dir) = workspace();
    write(&dir, "a/b/c.txt", b"one\n").unwrap();
    append(&dir, "a/b/c.txt", b"two\n").unwrap();
    assert_eq!(read(&dir, "a/b/c.txt").unwrap(), b"one\ntwo\n");
    assert_eq!(read_range(&dir, "./a/b/c.txt", 4, 3).unwrap(), b"two");
    assert_eq!(read_range(&dir, "a/b/c.txt", 4, 300).unwrap(), b"two\n");
    assert_eq!(read_range(&dir, "a/b/c.txt", 400, 3).unwrap(), b"");
    write(&dir, "a/b/c.txt", b"new").unwrap();
    assert_eq!(read(&dir, "a/b/c.txt").unwrap(), b"new");
    assert_eq!(list(&dir, "a/b").unwrap().len(), 1, "nothing is left beside it");
    let entry = stat(&dir, "a/b/c.txt").unwrap();
    assert_eq!((entry.kind, entry.size, entry.executable), (EntryKind::File, 3, false));
    remove(&dir, "a").unwrap();
    assert_eq!(kind(read(&dir, "a/b/c.txt")), "not found");
}

#[test]
fn no_path_leads_out() {
    let (home, dir) = workspace();
    let top = home.path().join("workspace");
    std::os::unix::fs::symlink("../secret", top.join("link")).unwrap();
    std::os::unix::fs::symlink(home.path(), top.join("up")).unwrap();
    std::os::unix::fs::symlink("/etc", top.join("etc")).unwrap();
    create_directory(&dir, "sub").unwrap();
    let absolute = home.path().join("secret").to_str().unwrap().to_owned();
    for path in ["../secret", "sub/../../secret", "link", "up/secret", "etc/passwd", "/etc/passwd", &absolute] {
        assert_eq!(kind(read(&dir, path)), "denied", "read {path}");
        assert_eq!(kind(append(&dir, path, b"x")), "denied", "append {path}");
    }
    for path in ["../new", "up/new", "/new", "up/deep/new"] {
        assert_eq!(kind(write(&dir, path, b"x")), "denied", "write {path}");
        assert_eq!(kind(create_directory(&dir, path)), "denied", "create {path}");
    }
    for path in ["..", "up", "etc", "/"] {
        assert_eq!(kind(list(&dir, path)), "denied", "list {path}");
        assert_eq!(kind(real_directory(&dir, path)), "denied", "open {path}");
    }
    assert_eq!(kind(remove(&dir, "up/secret")), "denied");
    assert_eq!(kind(remove(&dir, "../secret")), "denied");
    assert_eq!(std::fs::read(home.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn links_inside_are_followed_and_replaced_by_a_write() {
    let (home, dir) = workspace();
    write(&dir, "data/file", b"data").unwrap();
    std::os::unix::fs::symlink("data/file", home.path().join("workspace/link")).unwrap();
    assert_eq!(read(&dir, "link").unwrap(), b"data");
    assert_eq!(stat(&dir, "link").unwrap().kind, EntryKind::SymbolicLink);
    write(&dir, "link", b"new").unwrap();
    assert_eq!(stat(&dir, "link").unwrap().kind, EntryKind::File);
    assert_eq!(read(&dir, "data/file").unwrap(), b"data");
}

#[test]
fn a_link_that_is_removed_leaves_what_it_leads_to() {
    let (home, dir) = workspace();
    std::os::unix::fs::symlink("../secret", home.path().join("workspace/link")).unwrap();
    remove(&dir, "link").unwrap();
    assert!(home.path().join("secret").exists());
}

#[test]
fn a_pipe_does_not_make_anybody_wait() {
    let (home, dir) = workspace();
    let made = std::process::Command::new("mkfifo").arg(home.path().join("workspace/pipe")).status().unwrap();
    assert!(made.success());
    assert_eq!(kind(read(&dir, "pipe")), "invalid");
    assert!(append(&dir, "pipe", b"x").is_err());
    assert_eq!(stat(&dir, "pipe").unwrap().kind, EntryKind::Other);
}

#[test]
fn unusable_paths_are_errors() {
    let (_home, dir) = workspace();
    create_directory(&dir, "sub").unwrap();
    write(&dir, "file", b"").unwrap();
    for path in ["", "sub", "sub/", "."] {
        assert_eq!(kind(write(&dir, path, b"x")), "invalid", "write {path}");
    }
    assert_eq!(kind(read(&dir, "sub")), "invalid");
    assert_eq!(kind(read(&dir, "a\0b")), "invalid");
    assert_eq!(kind(read(&dir, "file/below")), "invalid");
    assert_eq!(kind(create_directory(&dir, "file")), "invalid");
    assert_eq!(kind(remove(&dir, ".")), "invalid");
    assert_eq!(kind(remove(&dir, "sub/..")), "invalid");
    create_directory(&dir, "sub").unwrap();
}

#[test]
fn a_large_file_is_read_in_parts() {
    let (home, dir) = workspace();
    let file = std::fs::File::create(home.path().join("workspace/large")).unwrap();
    file.set_len(READ_BYTES_MAX + 1).unwrap();
    assert_eq!(kind(read(&dir, "large")), "limit");
    assert_eq!(read_range(&dir, "large", READ_BYTES_MAX - 1, 10).unwrap(), [0, 0]);
}

#[test]
fn a_rewritten_script_stays_executable() {
    use std::os::unix::fs::PermissionsExt as _;

    let (home, dir) = workspace();
    let path = home.path().join("workspace/run.sh");
    std::fs::write(&path, "true").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    write(&dir, "run.sh", b"false").unwrap();
    assert!(stat(&dir, "run.sh").unwrap().executable);
}

#[test]
fn lists_are_sorted_and_their_paths_can_be_used() {
    let (_home, dir) = workspace();
    for name in ["b", "a", "c/d"] {
        write(&dir, name, b"").unwrap();
    }
    let names = |path: &str| list(&dir, path).unwrap().into_iter().map(|entry| entry.path).collect::<Vec<_>>();
    assert_eq!(names("."), ["a", "b", "c"]);
    assert_eq!(names("./c/"), ["c/d"]);
    assert_eq!(real_directory(&dir, "c/..").unwrap(), Path::new(""));
    assert_eq!(real_directory(&dir, "./c").unwrap(), Path::new("c"));
}

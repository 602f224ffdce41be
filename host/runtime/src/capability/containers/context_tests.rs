//! What of a directory gets into the archive.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use cap_std::ambient_authority;

use super::*;

/// The entries of the archive of a directory: kind, contents or target, mode.
fn packed(root: &Path, ignored: &str, dockerfile: &str) -> io::Result<BTreeMap<String, String>> {
    let dir = Dir::open_ambient_dir(root, ambient_authority())?;
    let ignored = Ignored::parse(ignored).unwrap();
    let (sender, mut receiver) = mpsc::channel(4);
    let dockerfile = dockerfile.to_owned();
    let sending = std::thread::spawn(move || send(&dir, &ignored, &dockerfile, sender));
    let mut bytes = Vec::new();
    while let Some(piece) = receiver.blocking_recv() {
        bytes.extend_from_slice(&piece?);
    }
    sending.join().unwrap()?;
    let mut entries = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let text = match entry.header().entry_type() {
            EntryType::Directory => "directory".to_owned(),
            EntryType::Symlink => format!("-> {}", entry.link_name()?.unwrap().display()),
            _ => {
                let mut text = format!("{:o} ", entry.header().mode()?);
                entry.read_to_string(&mut text)?;
                text
            }
        };
        entries.insert(path, text);
    }
    Ok(entries)
}

fn names(entries: &BTreeMap<String, String>) -> Vec<&str> {
    entries.keys().map(String::as_str).collect()
}

#[test]
fn files_keep_their_mode_and_links_stay_links() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    fs::create_dir_all(path.join("app/empty")).unwrap();
    fs::write(path.join("Dockerfile"), "FROM scratch").unwrap();
    fs::write(path.join("app/run"), "#!").unwrap();
    fs::set_permissions(path.join("app/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(path.join("Dockerfile"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("leak")).unwrap();
    std::os::unix::fs::symlink("app", path.join("again")).unwrap();
    std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    fs::create_dir(path.join("d".repeat(120))).unwrap();
    fs::write(path.join(&long), "long").unwrap();

    let entries = packed(path, "", "Dockerfile").unwrap();
    assert_eq!(entries["Dockerfile"], "640 FROM scratch");
    assert_eq!(entries["app/run"], "755 #!");
    assert_eq!((entries["leak"].as_str(), entries["again"].as_str()), ("-> /etc/passwd", "-> app"));
    assert_eq!(entries["app/empty"], "directory");
    assert!(entries[&long].ends_with(" long"));
    assert!(!entries.contains_key("socket") && !entries.contains_key("again/run"));
}

#[test]
fn what_is_left_out_is_not_packed_but_for_what_the_engine_reads() {
    let root = tempfile::tempdir().unwrap();
    for file in ["Dockerfile", ".dockerignore", "src/main.c", "src/key", "target/a/b", "docker/Prod"] {
        fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
        fs::write(root.path().join(file), file).unwrap();
    }
    let entries = packed(root.path(), "*\n!src\nsrc/key", "Dockerfile").unwrap();
    assert_eq!(names(&entries), [".dockerignore", "Dockerfile", "src", "src/main.c"]);
    let entries = packed(root.path(), "*", "./docker/Prod").unwrap();
    assert_eq!(names(&entries), [".dockerignore", "docker/Prod"]);
    let entries = packed(root.path(), "target\n**/key", "Dockerfile").unwrap();
    assert_eq!(names(&entries), [".dockerignore", "Dockerfile", "docker", "docker/Prod", "src", "src/main.c"]);
}

#[test]
fn nobody_who_wants_the_archive_ends_the_packing() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), vec![0; 4 << 20]).unwrap();
    let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let error = send(&dir, &Ignored::default(), "Dockerfile", sender).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

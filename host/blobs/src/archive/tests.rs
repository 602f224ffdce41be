//! Stories of packing and unpacking, with archives that nobody honest makes among them.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use cap_std::{ambient_authority, fs::Dir};
use proptest::prelude::*;
use tar::{EntryType, Header};
use tempfile::TempDir;

use super::{Pack, Unpack, pack::Packed};
use crate::{
    BlobError,
    stream::{ChunkSink, ChunkSource},
};

fn open(directory: &Path) -> Arc<Dir> {
    Arc::new(Dir::open_ambient_dir(directory, ambient_authority()).unwrap())
}

/// Packs paths of a directory; answers with the bytes, too.
fn pack(directory: &Path, paths: &[&str]) -> Result<(Packed, Vec<u8>), BlobError> {
    let pack = Pack { directory: open(directory), paths: paths.iter().map(|path| (*path).to_owned()).collect() };
    let (sink, mut chunks) = ChunkSink::new(1 << 30);
    std::thread::scope(|scope| {
        let packing = scope.spawn(|| pack.write(sink, 1 << 30));
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.blocking_recv() {
            bytes.extend_from_slice(&chunk);
        }
        packing.join().unwrap().map(|packed| (packed, bytes))
    })
}

fn unpack_into(directory: &Path, bytes: Vec<u8>, open_to_all: bool, archive_bytes: u64) -> Result<(), BlobError> {
    let unpack = Unpack { directory: open(directory), open_to_all };
    let (to, source) = ChunkSource::new();
    std::thread::scope(|scope| {
        let unpacking = scope.spawn(move || unpack.read(source, archive_bytes, &|| true));
        for chunk in bytes.chunks(1000) {
            if to.blocking_send(Bytes::copy_from_slice(chunk)).is_err() {
                break;
            }
        }
        drop(to);
        unpacking.join().unwrap()
    })
}

fn unpack(directory: &Path, bytes: Vec<u8>) -> Result<(), BlobError> {
    unpack_into(directory, bytes, false, 1 << 30)
}

/// A workspace with what projects have.
fn workspace() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    for (path, text) in
        [("target/debug/app", "binary"), ("target/debug/deps/a.d", "a: b"), ("src/lib.rs", "//!"), ("Cargo.lock", "")]
    {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
    fs::create_dir(root.join("target/empty")).unwrap();
    fs::set_permissions(root.join("target/debug/app"), fs::Permissions::from_mode(0o751)).unwrap();
    symlink("debug/app", root.join("target/latest")).unwrap();
    symlink("../../src", root.join("target/debug/sources")).unwrap();
    let old = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    fs::File::open(root.join("target/debug/deps/a.d")).unwrap().set_modified(old).unwrap();
    fs::File::open(root.join("target/empty")).unwrap().set_modified(old).unwrap();
    home
}

#[test]
fn files_come_back_with_modes_times_links_and_empty_directories() {
    let from = workspace();
    let (packed, bytes) = pack(from.path(), &["target"]).unwrap();
    assert_eq!((packed.files, packed.size), (4, 10), "directories are no files, and links have no size");
    let to = tempfile::tempdir().unwrap();
    unpack(to.path(), bytes).unwrap();
    let root = to.path();
    assert_eq!(fs::read_to_string(root.join("target/debug/app")).unwrap(), "binary");
    assert_eq!(fs::metadata(root.join("target/debug/app")).unwrap().mode() & 0o777, 0o751);
    assert_eq!(fs::read_link(root.join("target/latest")).unwrap(), Path::new("debug/app"));
    assert_eq!(fs::read_link(root.join("target/debug/sources")).unwrap(), Path::new("../../src"));
    for path in ["target/debug/deps/a.d", "target/empty"] {
        let metadata = fs::metadata(root.join(path)).unwrap();
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_700_000_000, 123_456_789), "{path}");
    }
    assert!(!root.join("src").exists(), "only what was named is packed");
}

#[test]
fn the_same_files_make_the_same_bytes_whatever_the_order_of_the_paths() {
    let from = workspace();
    let (one, first) = pack(from.path(), &["target", "src", "Cargo.lock"]).unwrap();
    let (other, second) = pack(from.path(), &["Cargo.lock", "src", "./target/", "target/debug/app"]).unwrap();
    assert_eq!((one.digest, first), (other.digest, second));
}

#[test]
fn patterns_and_exceptions_choose() {
    let from = workspace();
    let restored = |paths: &[&str]| -> Vec<String> {
        let to = tempfile::tempdir().unwrap();
        unpack(to.path(), pack(from.path(), paths).unwrap().1).unwrap();
        let found =
            std::process::Command::new("find").args([".", "-not", "-type", "d"]).current_dir(to.path()).output();
        let mut found: Vec<String> =
            String::from_utf8(found.unwrap().stdout).unwrap().lines().map(str::to_owned).collect();
        found.sort();
        found
    };
    assert_eq!(restored(&["**/*.rs", "nothing/here"]), ["./src/lib.rs"]);
    assert_eq!(restored(&["target/deb*/deps"]), ["./target/debug/deps/a.d"], "a directory that matches comes whole");
    assert_eq!(
        restored(&["target", "!target/debug/deps", "!**/latest"]),
        ["./target/debug/app", "./target/debug/sources"]
    );
    assert_eq!(restored(&["."]).len(), 6);
}

#[test]
fn paths_that_lead_out_or_match_nothing_are_refused() {
    let from = workspace();
    symlink("/etc", from.path().join("src/etc")).unwrap();
    symlink("target", from.path().join("out")).unwrap();
    let error = |paths: &[&str]| pack(from.path(), paths).err().unwrap();
    for paths in [["../x"], ["/etc/passwd"], ["target/../../x"], ["/**"], ["src"]] {
        assert!(matches!(error(&paths), BlobError::Denied(_)), "{paths:?}: {:?}", error(&paths));
    }
    assert!(error(&["src"]).to_string().contains("`src/etc` -> `/etc`"), "{}", error(&["src"]));
    assert!(matches!(error(&["dist", "build/*"]), BlobError::NotFound(_)));
    assert!(matches!(error(&["out/debug"]), BlobError::Invalid(_)), "through a link");
    assert!(matches!(error(&[]), BlobError::Invalid(_)));
    assert!(matches!(error(&["a["]), BlobError::Invalid(_)));
    assert!(pack(from.path(), &["out"]).is_ok(), "the link itself");
}

#[test]
fn a_socket_is_named_with_what_to_write() {
    let from = workspace();
    let _socket = std::os::unix::net::UnixListener::bind(from.path().join("target/agent.sock")).unwrap();
    let error = pack(from.path(), &["target"]).err().unwrap().to_string();
    assert!(error.contains("`target/agent.sock` is a socket") && error.contains("`!target/agent.sock`"), "{error}");
    assert!(pack(from.path(), &["target", "!target/agent.sock"]).is_ok());
}

#[test]
fn files_replace_what_is_there_and_links_are_never_written_through() {
    let from = workspace();
    let bytes = pack(from.path(), &["target"]).unwrap().1;
    let to = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("precious"), "mine").unwrap();
    fs::create_dir_all(to.path().join("target/debug")).unwrap();
    // A link in the place of a file is replaced, and what it leads to stays.
    symlink(elsewhere.path().join("precious"), to.path().join("target/debug/app")).unwrap();
    unpack(to.path(), bytes.clone()).unwrap();
    assert_eq!(fs::read_to_string(elsewhere.path().join("precious")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(to.path().join("target/debug/app")).unwrap(), "binary");
    // A link in the place of a directory is refused, inside of the workspace, too.
    let to = tempfile::tempdir().unwrap();
    fs::create_dir(to.path().join("other")).unwrap();
    symlink("other", to.path().join("target")).unwrap();
    let error = unpack(to.path(), bytes).unwrap_err();
    assert!(
        matches!(&error, BlobError::Invalid(text) if text.contains("nothing is written through links")),
        "{error:?}"
    );
    assert_eq!(fs::read_dir(to.path().join("other")).unwrap().count(), 0);
}

#[test]
fn where_commands_run_as_another_user_everybody_may_use_the_files() {
    let from = workspace();
    fs::set_permissions(from.path().join("target/debug"), fs::Permissions::from_mode(0o700)).unwrap();
    let bytes = pack(from.path(), &["target"]).unwrap().1;
    let to = tempfile::tempdir().unwrap();
    unpack_into(to.path(), bytes, true, 1 << 30).unwrap();
    let mode = |path: &str| fs::metadata(to.path().join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("target"), mode("target/debug"), mode("target/empty")), (0o777, 0o777, 0o777));
    assert_eq!(mode("target/debug/app"), 0o777, "executable for everybody");
    assert_eq!(mode("target/debug/deps/a.d"), 0o666);
}

#[test]
fn read_only_directories_come_back_read_only_and_can_be_restored_over() {
    let from = workspace();
    fs::set_permissions(from.path().join("target/debug/deps"), fs::Permissions::from_mode(0o555)).unwrap();
    let bytes = pack(from.path(), &["target"]).unwrap().1;
    let to = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        unpack(to.path(), bytes.clone()).unwrap();
        assert_eq!(fs::metadata(to.path().join("target/debug/deps")).unwrap().mode() & 0o777, 0o555);
    }
    for root in [from.path(), to.path()] {
        fs::set_permissions(root.join("target/debug/deps"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// An entry of an archive: path, kind, where a link leads, contents.
type Crafted<'a> = (&'a str, EntryType, &'a str, &'a str);

/// An archive with these entries, as somebody makes it who means harm.
fn crafted(entries: &[Crafted<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, kind, target, contents) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(contents.len() as u64);
        // The setters of the library refuse what we want.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        archive.append(&header, contents.as_bytes()).unwrap();
    }
    compressed(&archive.into_inner().unwrap())
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_archive_cannot_reach_out_of_the_workspace() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let outside = tempfile::tempdir().unwrap();
    let outside_path = outside.path().to_str().unwrap();
    let absolute = format!("{outside_path}/evil");
    let hostile: Vec<(&str, Vec<Crafted<'_>>)> = vec![
        ("climbing path", vec![("../evil", Regular, "", "x")]),
        ("climbing in the middle", vec![("a/../../evil", Regular, "", "x")]),
        ("absolute path", vec![(&absolute, Regular, "", "x")]),
        ("climbing directory", vec![("../evil", Directory, "", "")]),
        ("link to an absolute place", vec![("l", Symlink, outside_path, "")]),
        ("link that climbs", vec![("l", Symlink, "..", "")]),
        (
            "write through a link of the same archive",
            vec![("d", Directory, "", ""), ("l", Symlink, "d", ""), ("l/evil", Regular, "", "x")],
        ),
        (
            "directory over a link",
            vec![
                ("d", Directory, "", ""),
                ("l", Symlink, "d", ""),
                ("l", Directory, "", ""),
                ("l/evil", Regular, "", "x"),
            ],
        ),
        ("link by two steps", vec![("a/b/c", Directory, "", ""), ("a/l", Symlink, "b/c/../../../..", "")]),
        ("hard link out", vec![("h", Link, "/etc/passwd", "")]),
        ("hard link inside", vec![("f", Regular, "", "x"), ("h", Link, "f", "")]),
        ("device", vec![("d", Char, "", "")]),
        ("block device", vec![("d", Block, "", "")]),
        ("pipe", vec![("p", Fifo, "", "")]),
        ("the top", vec![(".", Regular, "", "x")]),
    ];
    for (story, entries) in hostile {
        // One level down, so that what climbs by one lands where we look.
        let parent = tempfile::tempdir().unwrap();
        let to = parent.path().join("workspace");
        fs::create_dir(&to).unwrap();
        let error = unpack(&to, crafted(&entries)).expect_err(story);
        assert!(matches!(error, BlobError::Invalid(_)), "{story}: {error:?}");
        assert!(!parent.path().join("evil").exists() && !to.join("d/evil").exists(), "{story}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{story}");
        let left = fs::read_dir(&to).unwrap().flatten().filter(|entry| !entry.file_type().unwrap().is_dir()).count();
        assert_eq!(left, 0, "{story}: nothing of a refused archive stays");
    }
}

#[test]
fn rights_to_become_somebody_else_are_not_restored() {
    let mut header = Header::new_gnu();
    header.set_path("su").unwrap();
    header.set_mode(0o4755);
    header.set_size(0);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, std::io::empty()).unwrap();
    let to = tempfile::tempdir().unwrap();
    unpack(to.path(), compressed(&archive.into_inner().unwrap())).unwrap();
    assert_eq!(fs::metadata(to.path().join("su")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn a_broken_or_endless_archive_is_damaged_and_leaves_nothing() {
    let from = workspace();
    let (packed, bytes) = pack(from.path(), &["target"]).unwrap();
    let damaged = |bytes: Vec<u8>, archive_bytes: u64| {
        let to = tempfile::tempdir().unwrap();
        let error = unpack_into(to.path(), bytes, false, archive_bytes).unwrap_err();
        assert!(matches!(error, BlobError::Damaged(_)), "{error:?}");
        assert!(!to.path().join("target/debug/app").exists());
    };
    damaged(bytes[..bytes.len() - 3].to_vec(), packed.archive_bytes);
    damaged(b"no archive".to_vec(), packed.archive_bytes);
    let mut flipped = bytes.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    damaged(flipped, packed.archive_bytes);
    damaged(bytes.clone(), packed.archive_bytes - 1);
    unpack_into(tempfile::tempdir().unwrap().path(), bytes, false, packed.archive_bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any tree of files comes back as it was, long names and odd ones included.
    #[test]
    fn any_tree_comes_back(
        files in proptest::collection::btree_map(
            "[a-cäé ']{1,3}(/[x-z\\\\*]{1,120}){1,2}", (proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..12,
        ),
    ) {
        let from = tempfile::tempdir().unwrap();
        let mut written = Vec::new();
        for (path, (contents, executable)) in &files {
            let file = from.path().join("d").join(path);
            // One name may be a directory of another.
            if fs::create_dir_all(file.parent().unwrap()).is_ok() && !file.is_dir() {
                fs::write(&file, contents).unwrap();
                let mode = if *executable { 0o755 } else { 0o640 };
                fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
                written.push((path, contents, mode));
            }
        }
        let to = tempfile::tempdir().unwrap();
        let (_, bytes) = pack(from.path(), &["d"]).unwrap();
        unpack(to.path(), bytes).unwrap();
        for (path, contents, mode) in written {
            let file = to.path().join("d").join(path);
            prop_assert_eq!(&fs::read(&file).unwrap(), contents);
            prop_assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, mode);
        }
    }
}

//! What runs leave is their owner's business: nobody else on the machine reads logs, outputs and artifacts.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::oxide::Project;

const PIPELINE: &str = "version: \"1\"\nname: private\nstages:\n  a:\n    environment: host\n    steps:\n      - run: echo private > file\n        artifacts: { name: file, paths: [file] }\n";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The files and folders directly in the data directory that others have rights on.
fn open_to_others(data: &Path) -> Vec<(PathBuf, u32)> {
    let entries = fs::read_dir(data).unwrap().flatten().map(|entry| entry.path());
    entries.map(|path| (path.clone(), mode(&path))).filter(|(_, mode)| mode & 0o077 != 0).collect()
}

#[test]
fn others_have_no_right_on_what_a_run_leaves() {
    let project = Project::with_pipeline(PIPELINE);
    project.oxide(&["run"]).expect(0);
    assert_eq!(mode(&project.data()), 0o700);
    assert_eq!(mode(&project.data().join("oxide.db")), 0o600);
    assert_eq!(open_to_others(&project.data()), []);
    let mut below = open_to_others(&project.data().join("blobs"));
    below.retain(|(path, _)| path.is_dir());
    assert_eq!(below, []);
}

#[test]
fn the_folders_of_a_store_are_closed_unless_it_is_shared_with_a_group() {
    let project = Project::with_pipeline(PIPELINE);
    let store = project.path("store");
    let store_is = |mode| {
        for folder in ["", "artifacts", "blobs", "cache"] {
            fs::create_dir_all(store.join(folder)).unwrap();
            fs::set_permissions(store.join(folder), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let run = || project.oxide(&["run", "--blobs", &store.display().to_string()]).expect(0);
    let modes = || ["", "artifacts", "blobs", "cache"].map(|folder| mode(&store.join(folder)));
    store_is(0o755);
    run();
    assert_eq!(modes(), [0o755, 0o700, 0o700, 0o700], "as an earlier version left it");
    store_is(0o775);
    run();
    assert_eq!(modes(), [0o775; 4]);
}

#[test]
fn a_directory_that_was_chosen_stays_as_it_is_and_our_files_in_it_are_closed() {
    let project = Project::with_pipeline(PIPELINE);
    fs::create_dir(project.data()).unwrap();
    fs::set_permissions(project.data(), fs::Permissions::from_mode(0o755)).unwrap();
    project.oxide(&["run"]).expect(0);
    // As an earlier version left it, with a file of somebody's own beside it.
    fs::set_permissions(project.data().join("oxide.db"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(project.data().join("notes"), "mine").unwrap();
    fs::set_permissions(project.data().join("notes"), fs::Permissions::from_mode(0o644)).unwrap();
    project.oxide(&["runs"]).expect(0);
    assert_eq!(mode(&project.data()), 0o755);
    assert_eq!(open_to_others(&project.data()), [(project.data().join("notes"), 0o644)]);
}

#[test]
fn the_usual_directory_is_closed_to_others_also_if_an_earlier_version_made_it() {
    let mut project = Project::with_pipeline(PIPELINE);
    project.set("OXIDE_DATA_DIR", "");
    let home = project.path("home");
    project.set("XDG_DATA_HOME", &home.display().to_string());
    let usual = home.join("oxide");
    fs::create_dir_all(&usual).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&usual, fs::Permissions::from_mode(0o755)).unwrap();
    project.oxide(&["run"]).expect(0);
    assert_eq!((mode(&home), mode(&usual)), (0o755, 0o700), "only what is ours is closed");
    assert_eq!(open_to_others(&usual), []);
}

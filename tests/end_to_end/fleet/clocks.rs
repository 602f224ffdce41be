//! The clocks of the servers are set by an hour while a job is at work.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    counter::Counter,
    deployment::{Fleet, Shape},
    on_both,
};

on_both!(the_clocks_of_the_servers_are_set);

/// Forward, far back, and right again: the job is neither given up nor run twice, and no agent is called silent.
fn the_clocks_of_the_servers_are_set(shape: Shape) {
    let Some(library) = library() else { return };
    let folder = TempDir::new().unwrap();
    let clock = folder.path().join("clock");
    set(&clock, "+0");
    let settings = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        // What is measured goes on as time does. Older versions of the library know the second name alone.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut fleet = Fleet::of_servers(shape, &settings);
    fleet.join_all();
    let (counter, text) = Counter::new(fleet.folder(), 300, "0.05");
    let run = fleet.run(fleet.pipeline(&text));
    for (to, counted) in [("+3600s", 20), ("-3600s", 90), ("+0", 160)] {
        counter.wait_until(&fleet, counted);
        let before = noticed(&fleet);
        set(&clock, to);
        fleet.wait_for("the server that leads to see its clock set", || noticed(&fleet) > before);
    }
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 1, "the attempt was given up although its agent lived");
    assert!(!fleet.logs().contains("was not heard of"), "an agent was called silent\n{}", fleet.logs());
    fleet.says("the clocks of the servers are set forward, far back and right again", &kept);
}

/// How often the servers saw that their clock was set.
fn noticed(fleet: &Fleet) -> usize {
    fleet.servers.iter().map(|server| server.log().matches("the clock was set").count()).sum()
}

/// Sets the clock, at once and whole.
fn set(clock: &Path, to: &str) {
    let new = clock.with_extension("new");
    fs::write(&new, format!("{to}\n")).unwrap();
    fs::rename(new, clock).unwrap();
}

/// The library that shows programs another time. None where it is not installed, which in CI is an error.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found =
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file());
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI, and faketime is missing");
        eprintln!("SKIPPED: clocks need `faketime`");
    }
    found
}

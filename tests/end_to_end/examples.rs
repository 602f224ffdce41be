//! The pipelines of `examples/` run as they stand.

use std::fs;

use crate::oxide::{Project, docker, root};

fn run(example: &str) {
    let project = Project::new();
    let path = root().join("examples").join(example).display().to_string();
    let ended = project.oxide(&["run", &path]).expect(0);
    assert!(ended.stdout.contains('✓'), "{}", ended.stdout);
}

#[test]
fn hello_says_hello() {
    run("hello");
}

#[test]
fn the_tour_ends_green() {
    run("tour");
}

#[test]
fn the_container_stage_runs_the_same_steps() {
    if docker().is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI");
        eprintln!("SKIPPED: the container example needs Docker");
        return;
    }
    run("container");
}

#[test]
fn every_example_is_run_by_a_test() {
    // The project in C is run by the module of its name, the changelog by `languages`.
    let known = ["container", "hello", "c-project", "changelog", "tour"];
    for entry in fs::read_dir(root().join("examples")).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().into_string().unwrap();
        assert!(known.contains(&name.as_str()), "examples/{name} is not run by any test");
    }
}

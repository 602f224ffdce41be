//! Compiling plugins: large ones start soon, hostile ones cost their step and nothing else.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::oxide::{Ended, Project};

/// A small component that keeps an optimising compiler busy for more than a minute: every one of its variables may have
/// another value at every one of its nested loops.
fn bomb() -> Vec<u8> {
    const VARIABLES: usize = 5_000;
    const LOOPS: usize = 6_000;
    let locals = "(local i32)".repeat(VARIABLES);
    let opening = "(loop (br_if 0 (i32.eqz (local.get 0)))".repeat(LOOPS);
    let uses: String = (0..VARIABLES)
        .map(|index| {
            format!("(local.set {index} (i32.add (local.get {index}) (local.get {})))", (index * 7) % VARIABLES)
        })
        .collect();
    let closing = ")".repeat(LOOPS);
    wat::parse_str(format!(
        r#"(component
            (type $failure' (variant (case "exit-code" s32) (case "invalid-input" string) (case "other" string)))
            (import "failure" (type $failure (eq $failure')))
            (core module $m (memory (export "memory") 1)
                (func (export "run") (result i32) {locals} {opening} {uses} {closing} (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $run (result (result (error $failure))) (canon lift (core func $i "run") (memory $i "memory")))
            (export "run" (func $run)))"#
    ))
    .unwrap()
}

fn project_with_bomb() -> Project {
    let project = Project::with_pipeline(
        "version: \"1\"\nname: bomb\nstages:\n  a:\n    environment: host\n    steps:\n      - uses: ./bomb.wasm\n        allow_failure: true\n      - run: echo still-alive\n",
    );
    let bomb = bomb();
    assert!(bomb.len() < 300 << 10, "it is meant for the optimising compiler: {} bytes", bomb.len());
    fs::write(project.path("bomb.wasm"), bomb).unwrap();
    project
}

/// The processes that compile into this project's cache.
fn compilers(project: &Project) -> usize {
    let cache = project.data().display().to_string();
    let of = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let lines = fs::read_dir("/proc").unwrap().flatten().map(of);
    lines
        .filter(|line| {
            let line = String::from_utf8_lossy(line);
            line.contains("compile-plugin") && line.contains(&cache)
        })
        .count()
}

#[test]
fn a_compile_bomb_costs_one_clear_failure_of_its_step() {
    let mut project = project_with_bomb();
    project.set("OXIDE_COMPILE_TIMEOUT", "3s");
    let begin = Instant::now();
    let ended = project.oxide(&["run", "--verbose"]).expect(0);
    let shown = ended.stdout + &ended.stderr;
    assert!(shown.contains("could not load plugin `./bomb.wasm`: compiling it took longer than 3 s"), "{shown}");
    assert!(shown.contains("compiling plugin `./bomb.wasm` ("), "{shown}");
    assert!(shown.contains("OXIDE_COMPILE_TIMEOUT") && shown.contains("still-alive"), "{shown}");
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert_eq!(compilers(&project), 0);

    project.set("OXIDE_COMPILE_TIMEOUT", "5m");
    project.set("OXIDE_COMPILE_MEMORY", "96MiB");
    let ended = project.oxide(&["run", "--verbose"]).expect(0);
    let shown = ended.stdout + &ended.stderr;
    assert!(shown.contains("`./bomb.wasm`: compiling it took more than 96 MiB of memory"), "{shown}");
    assert!(shown.contains("OXIDE_COMPILE_MEMORY") && shown.contains("still-alive"), "{shown}");
    assert_eq!(compilers(&project), 0);
}

#[test]
fn a_run_that_is_cancelled_while_it_compiles_ends_at_once_and_so_does_the_compiler() {
    let project = project_with_bomb();
    let child = project.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the compiler to begin", || compilers(&project) == 1);
    let begin = Instant::now();
    assert!(Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap().success());
    Ended::of(child.wait_with_output().unwrap()).expect(130);
    // Far less than the compiler would take.
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    wait_for("the compiler to end", || compilers(&project) == 0);
}

#[test]
fn settings_that_are_none_are_refused() {
    let mut project = project_with_bomb();
    project.set("OXIDE_COMPILE_TIMEOUT", "soon");
    let refused = project.oxide(&["run"]).expect(2);
    assert!(refused.stderr.contains("OXIDE_COMPILE_TIMEOUT is `soon`"), "{}", refused.stderr);
}

#[test]
fn a_javascript_plugin_runs_at_once_and_the_next_run_has_better_code() {
    let Some(project) = greetings_in("quickjs") else { return };
    // The process that makes better code outlives the run, and ends by itself.
    wait_for("the better code", || compiled(&project, ".wasm").is_empty() && compilers(&project) == 0);
    let files = compiled(&project, ".cwasm");
    let plugin = |name: &&String| files.iter().filter(|other| other[..64] == name[..64]).count() == 2;
    assert!(files.iter().any(|name| plugin(&name)), "no plugin has code of both compilers: {files:?}");
    let again = project.oxide(&["run", "--verbose"]).expect(0);
    let shown = again.stdout + &again.stderr;
    assert!(shown.contains("it said HELLO, ADA!") && !shown.contains("compiling plugin"), "{shown}");
}

#[test]
fn a_python_plugin_runs_and_its_compiler_does_not_outlive_the_cache() {
    let Some(project) = greetings_in("python") else { return };
    wait_for("the background", || compilers(&project) == 1);
    fs::remove_dir_all(project.data()).unwrap();
    wait_for("the compiler to end", || compilers(&project) == 0);
}

/// The files of the compile cache with this ending.
fn compiled(project: &Project, ending: &str) -> Vec<String> {
    let names = fs::read_dir(project.data().join("compiled")).unwrap().flatten().map(|entry| entry.file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(ending)).collect()
}

/// The same story for every language: a greeting, a failure of its own, a bug, a loop without end.
fn greetings_in(language: &str) -> Option<Project> {
    let component = component_in(language)?;
    let pipeline = "version: \"1\"\nname: greetings\nstages:\n  a:\n    environment: host\n    steps:\n      \
        - { id: greet, uses: ./greet.wasm, with: { name: Ada, shout: true } }\n      \
        - run: echo \"it said ${{ steps.greet.outputs.greeting }}\"\n      \
        - { uses: ./greet.wasm, with: { name: nobody }, allow_failure: true }\n      \
        - { uses: ./greet.wasm, with: { name: bug }, allow_failure: true }\n      \
        - { uses: ./greet.wasm, with: { name: forever }, timeout: 200ms, allow_failure: true }\n";
    let project = Project::with_pipeline(pipeline);
    fs::copy(component, project.path("greet.wasm")).unwrap();
    let ended = project.oxide(&["run", "--verbose"]).expect(0);
    let shown = ended.stdout + &ended.stderr;
    for expected in [
        "compiling plugin `./greet.wasm` (",
        "faster code follows in the background",
        "it said HELLO, ADA!",
        "there is nobody to greet",
        "a bug in this plugin",
        "the step took longer than 200 ms",
    ] {
        assert!(shown.contains(expected), "`{expected}` is not in\n{shown}");
    }
    Some(project)
}

/// A component that the test command built; none where its tools cannot be had.
pub fn component_in(language: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("OXIDE_TEST_LANGUAGES");
    let component = folder.map(|folder| Path::new(&folder).join(language).with_extension("wasm"));
    let component = component.filter(|component| component.exists());
    if component.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no {language} plugin, and nothing is skipped in CI");
        eprintln!("SKIPPED: a plugin in {language} needs tools that `cargo xtask test` could not install here");
    }
    component
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 120 s for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

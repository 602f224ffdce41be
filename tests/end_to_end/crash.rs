//! Ctrl-C, kill -9, and what the next run finds.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::oxide::{Ended, Project};

const SLEEPER: &str = "version: \"1\"\nname: sleeper\nstages:\n  a:\n    environment: host\n    steps:\n      - run: |\n          setsid sleep 3600 &\n          echo $! > $OXIDE_WORKSPACE/daemon\n          echo started\n          touch BEGUN\n          sleep 3600\n";

/// Starts the sleeper and waits until its step is under way.
fn start(project: &Project) -> Child {
    start_with(project, &["run"])
}

fn start_with(project: &Project, arguments: &[&str]) -> Child {
    let begun = project.path("begun");
    let pipeline = SLEEPER.replace("BEGUN", &begun.display().to_string());
    fs::write(project.path("oxide.yaml"), pipeline).unwrap();
    let child = project.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the step to begin", || begun.exists());
    fs::remove_file(&begun).unwrap();
    child
}

pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 120 s for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub fn signal(child: &Child, name: &str) {
    let status =
        std::process::Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
}

/// The processes that were started for a data directory: they carry its workspace in their environment.
fn processes_of(project: &Project) -> Vec<String> {
    let mark = project.data().display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&environment);
        if text.contains("OXIDE_ATTEMPT=") && text.contains(&mark) {
            found.push(String::from_utf8_lossy(&command).replace('\0', " "));
        }
    }
    found
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

fn nothing_is_left(project: &Project) {
    wait_for("processes to end", || processes_of(project).is_empty());
    assert!(is_empty(&project.data().join("work")), "a workspace was left behind");
}

#[test]
fn control_c_cancels_cleanly() {
    let project = Project::new();
    let child = start(&project);
    signal(&child, "INT");
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(130);
    let told = "stopping: cancelled with Ctrl-C; press again after a second to kill what still runs\n";
    assert!(ended.stdout.contains(told), "{}", ended.stdout);
    nothing_is_left(&project);
    let runs = project.oxide(&["runs"]).expect(0).stdout;
    assert!(runs.contains("cancelled"), "{runs}");
}

#[test]
fn a_signal_of_a_program_is_told_without_advice_for_people() {
    for name in ["TERM", "QUIT"] {
        let project = Project::new();
        let child = start(&project);
        signal(&child, name);
        let ended = Ended::of(child.wait_with_output().unwrap()).expect(130);
        assert!(ended.stdout.contains(&format!("stopping: cancelled by SIG{name}\n")), "{}", ended.stdout);
        nothing_is_left(&project);
    }
}

#[test]
fn control_c_is_answered_beside_the_events_too() {
    let project = Project::new();
    let child = start_with(&project, &["run", "--json"]);
    signal(&child, "INT");
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(130);
    assert!(ended.stderr.contains("press again after a second to kill"), "{}", ended.stderr);
    assert!(ended.stdout.lines().all(|line| line.starts_with('{')), "{}", ended.stdout);
    nothing_is_left(&project);
}

/// It ends within a second, and says so if it did not come to clean up by then, as on a busy machine: one of ten does.
#[test]
fn a_second_control_c_kills_what_does_not_want_to_end() {
    for _ in 0..10 {
        let project = Project::new();
        let ended = pressed_twice(&project);
        assert!(ended.stdout.contains("cancelled"), "{}", ended.stdout);
        if ended.stderr.contains("left without cleaning up") {
            project.oxide(&["runs"]).expect(0);
            nothing_is_left(&project);
            continue;
        }
        // Not the next command: this one has cleaned up.
        nothing_is_left(&project);
        let runs = project.oxide(&["runs"]).expect(0).stdout;
        assert!(runs.contains("cancelled") && !runs.contains("interrupted"), "{runs}");
        return;
    }
    panic!("none of ten runs has cleaned up after the second Ctrl-C");
}

/// Runs steps that end by no signal but SIGKILL, and presses Ctrl-C in each of them.
fn pressed_twice(project: &Project) -> Ended {
    let (begun, tidying) = (project.path("begun"), project.path("tidying"));
    let stubborn = |mark: &Path| format!("trap '' INT TERM; setsid sleep 3600 & touch {}; sleep 3600", mark.display());
    let pipeline = format!(
        "version: \"1\"\nname: stubborn\nstages:\n  a:\n    environment: host\n    steps:\n      - run: \"{}\"\n      - run: \"{}\"\n        if: always()\n",
        stubborn(&begun),
        stubborn(&tidying)
    );
    fs::write(project.path("oxide.yaml"), pipeline).unwrap();
    let child = project.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the step to begin", || begun.exists());
    signal(&child, "INT");
    wait_for("the step that runs always", || tidying.exists());
    signal(&child, "INT");
    let pressed = Instant::now();
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(130);
    // Without the second press the step has five minutes to end.
    assert!(pressed.elapsed() < Duration::from_secs(60), "{:?}", pressed.elapsed());
    ended
}

/// The processes without environment that sleep for so long.
fn bare_sleepers(seconds: &str) -> usize {
    let command = format!("sleep\0{seconds}\0");
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let read = |folder: &Path, file: &str| fs::read(folder.join(file)).unwrap_or_default();
    entries.filter(|it| read(it, "cmdline") == command.as_bytes() && read(it, "environ").is_empty()).count()
}

#[test]
fn a_process_without_session_and_environment_ends_with_its_job() {
    // A number that no other process sleeps for.
    let seconds = format!("3600.{}", std::process::id());
    let escape = |more: &str| format!("{{ run: \"setsid env -i sleep {seconds} > /dev/null 2>&1 & {more}\" }}");
    let pipeline = |more| {
        format!("version: \"1\"\nname: escape\nstages:\n  a: {{ environment: host, steps: [{}] }}\n", escape(more))
    };
    let project = Project::with_pipeline(&pipeline("sleep 0.5"));
    project.oxide(&["run"]).expect(0);
    assert_eq!(bare_sleepers(&seconds), 0, "after a job that ended by itself");

    let begun = project.path("begun");
    fs::write(project.path("oxide.yaml"), pipeline(&format!("touch {}; sleep 3600", begun.display()))).unwrap();
    let child = project.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the step to begin", || begun.exists() && bare_sleepers(&seconds) > 0);
    signal(&child, "INT");
    Ended::of(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(bare_sleepers(&seconds), 0, "after a job that was cancelled");
}

#[test]
fn what_has_ended_is_laid_to_rest_while_the_job_runs() {
    let project = Project::with_pipeline(
        "version: \"1\"\nname: zombies\nstages:\n  a:\n    environment: host\n    steps:\n      - run: |\n          \
         for i in 1 2 3 4 5; do (setsid sh -c \"sleep 0.1; touch ended-$i\" &); done\n          \
         until [ $(ls | grep -c ended-) = 5 ]; do sleep 0.1; done\n          \
         dead() { cat /proc/[0-9]*/stat 2>/dev/null | grep -c \"^[0-9]* (.*) Z $PPID \" || true; }\n          \
         for i in $(seq 60); do sleep 1; [ $(dead) != 0 ] || break; done\n          dead\n",
    );
    project.oxide(&["run"]).expect(0);
    let log = project.oxide(&["logs", "--plain"]).expect(0).stdout;
    assert_eq!(log, "0\n");
}

#[test]
fn a_workspace_that_cannot_be_removed_is_said_and_tried_again() {
    let project = Project::with_pipeline(
        "version: \"1\"\nname: kept\nstages:\n  a: { environment: host, steps: [{ run: mkdir kept; chattr +i kept }] }\n",
    );
    let may = std::process::Command::new("chattr").args(["+i", "."]).current_dir(project.path("plugins")).output();
    project.shell("chattr -i plugins || true");
    if !may.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "`chattr +i` does not work, and nothing is skipped in CI"
        );
        return eprintln!("SKIPPED: `chattr +i` does not work for this user on this file system");
    }
    let ended = project.oxide(&["run"]).expect(0);
    assert!(ended.stderr.contains("could not remove what a job left"), "{}", ended.stderr);
    let again = project.oxide(&["runs"]).expect(0);
    assert!(again.stderr.contains("could not remove what an earlier run left"), "{}", again.stderr);
    assert!(again.stdout.contains("success"), "{}", again.stdout);
    project.shell("chattr -R -i ../data/work");
    assert_eq!(project.oxide(&["runs"]).expect(0).stderr, "");
    nothing_is_left(&project);
}

#[test]
fn after_kill_9_the_next_run_cleans_up_and_tells_the_truth() {
    let project = Project::new();
    let mut child = start(&project);
    // What was stored must be there afterwards.
    wait_for("the line to be stored", || project.oxide(&["logs", "sleeper#1"]).stdout.contains("started"));
    signal(&child, "KILL");
    child.wait().unwrap();
    assert!(!processes_of(&project).is_empty(), "the test is wrong: nothing was left to clean up");
    // Before anything cleans up, the list already says that nobody works on it.
    let runs = project.oxide(&["runs"]).expect(0).stdout;
    assert!(runs.contains("interrupted"), "{runs}");
    fs::write(
        project.path("oxide.yaml"),
        "version: \"1\"\nname: next\nstages:\n  a: { environment: host, steps: [{ run: echo fine }] }\n",
    )
    .unwrap();
    project.oxide(&["run"]).expect(0);
    nothing_is_left(&project);
    let runs = project.oxide(&["runs"]).expect(0).stdout;
    let sleeper = runs.lines().find(|line| line.contains("sleeper")).unwrap();
    assert!(sleeper.contains("failure") && sleeper.contains("interrupted"), "{runs}");
    let log = project.oxide(&["logs", "sleeper#1"]).expect(0).stdout;
    assert!(log.contains("started"), "what was acknowledged is kept: {log}");
}

#[test]
fn two_runs_at_the_same_time_do_not_disturb_each_other() {
    let project = Project::new();
    let child = start(&project);
    fs::write(
        project.path("oxide.yaml"),
        "version: \"1\"\nname: other\nstages:\n  a: { environment: host, steps: [{ run: echo fine }] }\n",
    )
    .unwrap();
    project.oxide(&["run"]).expect(0);
    assert!(!processes_of(&project).is_empty(), "the living run lost its processes");
    let runs = project.oxide(&["runs"]).expect(0).stdout;
    assert!(runs.lines().any(|line| line.contains("sleeper") && line.contains("running")), "{runs}");
    signal(&child, "INT");
    Ended::of(child.wait_with_output().unwrap()).expect(130);
    nothing_is_left(&project);
}

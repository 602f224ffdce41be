//! `oxide plugin inspect`, `init`, `plan`, `logs` and `runs` as a user meets them.

use crate::oxide::{Project, root};

#[test]
fn inspect_reads_inputs_and_their_docs_from_the_component_alone() {
    let project = Project::new();
    // A copy without anything beside it: what is shown can only come from the bytes.
    std::fs::copy(root().join("examples/tour/plugins/greet/plugin.wasm"), project.path("copied.wasm")).unwrap();
    let shown = project.oxide(&["plugin", "inspect", "copied.wasm"]).expect(0).stdout;
    for expected in
        ["acme:greet@0.1.0", "name: string", "The name to greet", "shout: bool (optional)", "greeting: string"]
    {
        assert!(shown.contains(expected), "`{expected}` is not in\n{shown}");
    }
}

#[test]
fn inspect_shows_what_a_plugin_asks_for() {
    let project = Project::new();
    let shown = project.oxide(&["plugin", "inspect", "plugins/hostile.wasm"]).expect(0).stdout;
    assert!(shown.contains("workspace") && shown.contains("environment"), "{shown}");
    assert!(!shown.contains("git  "), "{shown}");
    let refused = project.oxide(&["plugin", "inspect", "oxide.yaml"]).expect(2);
    assert!(refused.stderr.contains("could not read"), "{}", refused.stderr);
}

#[test]
fn inspect_reads_files_only() {
    let project = Project::new();
    project.shell("mkfifo pipe.wasm");
    for place in ["/dev/zero", "pipe.wasm"] {
        let refused = project.oxide(&["plugin", "inspect", place]).expect(2).stderr;
        assert!(refused.contains(&format!("could not read `{place}`")), "{refused}");
        assert!(refused.contains("it is not a regular file"), "{refused}");
    }
}

#[test]
fn a_secret_that_is_no_text_is_told_as_that() {
    use std::os::unix::ffi::OsStrExt as _;
    let project = Project::with_pipeline(
        "version: \"1\"\nname: p\nstages:\n  a: { environment: host, steps: [{ run: echo hi }] }\n",
    );
    let mut command = project.command(&["run", "--secret", "TOKEN"]);
    let output = command.env("TOKEN", std::ffi::OsStr::from_bytes(b"hunter\xff\xfe")).output().unwrap();
    let refused = crate::oxide::Ended::of(output).expect(2).stderr;
    assert!(refused.contains("TOKEN is not UTF-8") && !refused.contains("hunter"), "{refused}");
}

#[test]
fn a_first_pipeline_runs_and_is_not_overwritten() {
    let project = Project::new();
    let said = project.oxide(&["init"]).expect(0).stdout;
    assert!(said.contains("git init && git add . && git commit -m first\nthen: oxide run .\n"), "{said}");
    project.shell("git init -q -b main . && rm oxide.yaml");
    let said = project.oxide(&["init"]).expect(0).stdout;
    assert!(said.contains("commit: git add . && git commit -m first\n"), "the repository is there: {said}");
    project.shell("git add oxide.yaml && git commit -q -m first");
    project.oxide(&["run"]).expect(0);
    let refused = project.oxide(&["init"]).expect(4);
    assert!(refused.stderr.contains("stays as it is"), "{}", refused.stderr);
}

#[test]
fn logs_and_runs_tell_what_happened() {
    let project = Project::with_pipeline(
        "version: \"1\"\nname: logged\nstages:\n  one:\n    environment: host\n    steps:\n      - run: |\n          seq 1 5\n          echo oops >&2\n      - run: exit 4\n",
    );
    project.oxide(&["run"]).expect(1);
    let log = project.oxide(&["logs", "--plain", "--step", "seq 1 5"]).expect(0).stdout;
    assert_eq!(log, "1\n2\n3\n4\n5\noops\n");
    let log = project.oxide(&["logs"]).expect(0).stdout;
    assert!(log.contains("exit code 4"), "{log}");
    let runs = project.oxide(&["runs"]).expect(0).stdout;
    assert!(runs.contains("logged") && runs.contains("failure"), "{runs}");
    let absent = project.oxide(&["logs", "77"]).expect(2);
    assert!(absent.stderr.contains("77"), "{}", absent.stderr);
}

#[test]
fn logs_say_why_nothing_ran() {
    let mut project = Project::with_pipeline(
        "version: \"1\"\nname: nothing\nstages:\n  a: { environment: { container: \"debian:12\" }, steps: [{ run: echo hi }] }\n  b: { environment: host, depends_on: [a], steps: [{ run: echo hi }] }\n",
    );
    project.set("DOCKER_HOST", "unix:///nonexistent.sock");
    project.oxide(&["run"]).expect(1);
    let log = project.oxide(&["logs"]).expect(0).stdout;
    assert!(log.contains("a  failure: could not reach Docker at unix:///nonexistent.sock"), "{log}");
    assert!(log.contains("b  skipped: stage `a` failed"), "{log}");
    assert!(log.contains("nothing #1  failure: "), "{log}");
    let log = project.oxide(&["logs", "--job", "a"]).expect(0).stdout;
    assert!(log.contains("could not reach Docker") && !log.contains("nothing #1"), "{log}");
    let refused = project.oxide(&["logs", "--job", "c"]).expect(2).stderr;
    assert!(refused.contains("there is no job `c`") && refused.contains("its jobs are: a, b"), "{refused}");
}

#[test]
fn a_number_means_the_run_of_this_directory() {
    let project = Project::new();
    for name in ["one", "two"] {
        std::fs::create_dir_all(project.path(name).join("below")).unwrap();
        let text = format!(
            "version: \"1\"\nname: {name}\nstages:\n  a: {{ environment: host, steps: [{{ run: echo in-{name} }}] }}\n"
        );
        std::fs::write(project.path(name).join("oxide.yaml"), text).unwrap();
        project.oxide(&["run", name]).expect(0);
    }
    let log_in = |directory: &str| {
        let output = project.command(&["logs", "1", "--plain"]).current_dir(project.path(directory)).output().unwrap();
        crate::oxide::Ended::of(output).expect(0).stdout
    };
    assert_eq!(log_in("one"), "in-one\n");
    assert_eq!(log_in("one/below"), "in-one\n");
    assert_eq!(log_in("."), "in-two\n", "the newest of all, where there is no project");
}

#[test]
fn in_a_directory_below_the_project_the_way_up_is_told() {
    let project = Project::with_pipeline("version: \"1\"\nname: up\nstages: {}\n");
    std::fs::create_dir_all(project.path("a/b")).unwrap();
    let output = project.command(&["run"]).current_dir(project.path("a/b")).output().unwrap();
    let refused = crate::oxide::Ended::of(output).expect(2).stderr;
    assert!(refused.contains("`oxide run ../..`"), "{refused}");
}

#[test]
fn only_runs_a_stage_with_what_it_needs() {
    let project = Project::with_pipeline(
        "version: \"1\"\nname: parts\nstages:\n  a: { environment: host, steps: [{ run: echo in-a }] }\n  b: { environment: host, depends_on: [a], steps: [{ run: echo in-b }] }\n  c: { environment: host, steps: [{ run: echo in-c }] }\n",
    );
    let shown = project.oxide(&["run", "--only", "b", "--verbose"]).expect(0).stdout;
    assert!(shown.contains("in-a") && shown.contains("in-b") && !shown.contains("in-c"), "{shown}");
    let refused = project.oxide(&["run", "--only", "d"]).expect(2);
    assert!(refused.stderr.contains("a, b, c"), "{}", refused.stderr);
}

#[test]
fn json_events_come_one_a_line_in_order() {
    let project = Project::with_pipeline(
        "version: \"1\"\nname: events\nstages:\n  a: { environment: host, steps: [{ run: echo hello }] }\n",
    );
    let shown = project.oxide(&["run", "--json"]).expect(0).stdout;
    let types: Vec<String> = shown
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types.first().map(String::as_str), Some("run.queued"));
    assert_eq!(types.last().map(String::as_str), Some("run.completed"));
    for expected in ["run.started", "stage.started", "job.started", "step.started", "step.output", "step.completed"] {
        assert!(types.iter().any(|found| found == expected), "{expected} is not in {types:?}");
    }
}

#[test]
fn a_million_lines_arrive_in_order() {
    let project = Project::with_pipeline(
        "version: \"1\"\nname: lines\nstages:\n  a: { environment: host, steps: [{ run: seq -f 'line %.0f ------------------------------------------------------------------------------------' 1 1000000 }] }\n",
    );
    project.oxide(&["run"]).expect(0);
    let log = project.oxide(&["logs", "--plain"]).expect(0).stdout;
    let mut expected = 1;
    for line in log.lines().filter(|line| line.starts_with("line ")) {
        let number: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(number, expected);
        expected += 1;
    }
    assert_eq!(expected, 1_000_001);
}

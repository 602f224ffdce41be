//! Services with a real engine, where `OXIDE_TEST_DOCKER_HOST` says how to reach it: no container is left behind, jobs do not
//! meet each other's services, and those of a fork reach nothing.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    crash::{signal, wait_for},
    docker_proxy::DockerProxy,
    oxide::{Ended, Project, docker},
};

/// What a container of `oxide` is found by.
const LABEL: &str = "oxide.agent";

/// Less than the 20 s that the program gives Docker to remove containers, and more than a busy machine needs to end it.
const AT_ONCE: Duration = Duration::from_secs(15);

/// The engine of the tests.
struct Engine {
    host: String,
}

impl Engine {
    /// None where there is none, which nobody may skip in CI.
    fn of_tests() -> Option<Engine> {
        let Some(host) = docker() else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI");
            eprintln!("SKIPPED: services need Docker");
            return None;
        };
        Some(Engine { host })
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker").args(["--host", &self.host]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// An image whose containers run this script, under a name that no other test uses.
    fn image(&self, name: &str, script: &str) -> String {
        let name = format!("oxide-test/{name}:{}", std::process::id());
        let base = self.docker(&["create", "oxide-test/busybox:1", "true"]);
        let command = serde_json::json!(["sh", "-c", script]);
        self.docker(&["commit", "--change", &format!("CMD {command}"), &base, &name]);
        self.docker(&["rm", &base]);
        name
    }

    /// The containers made for jobs from this image, one in each line: id, network, state.
    fn containers(&self, image: &str) -> Vec<String> {
        let filters = [format!("ancestor={image}"), format!("label={LABEL}")];
        let found =
            self.docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filters[0], "--filter", &filters[1]]);
        found.lines().map(str::to_owned).collect()
    }

    /// The network of a container, as Docker names it.
    fn network(&self, container: &str) -> String {
        self.docker(&["inspect", "--format", "{{.HostConfig.NetworkMode}}", container])
    }
}

/// The files of this name that steps have made in their workspaces.
fn in_workspaces(project: &Project, name: &str) -> Vec<PathBuf> {
    let found = Command::new("find").arg(project.data()).args(["-name", name]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(PathBuf::from).collect()
}

/// Has a step made this file in its workspace?
fn is_in_workspace(project: &Project, name: &str) -> bool {
    !in_workspaces(project, name).is_empty()
}

fn start(project: &Project) -> Child {
    project.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Presses Ctrl-C again and again. Presses within a second count as one, by the time when the program hears them.
fn press_until_it_ends(mut child: Child) -> Ended {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        signal(&child, "INT");
        std::thread::sleep(Duration::from_millis(1200));
    }
    Ended::of(child.wait_with_output().unwrap())
}

/// A stage in a container beside one service that would take ten minutes until it is given up.
fn never_ready(job_image: &str, service_image: &str) -> Project {
    Project::with_pipeline(&format!(
        "version: \"1\"\nname: waiting\nstages:\n  a:\n    environment: {{ container: \"{job_image}\" }}\n    services:\n      \
         deaf:\n        image: \"{service_image}\"\n        healthcheck: {{ run: \"exit 1\", interval: 1s, retries: 600 }}\n    \
         steps: [{{ run: echo never }}]\n"
    ))
}

#[test]
fn control_c_while_a_service_gets_ready_leaves_no_container() {
    let Some(engine) = Engine::of_tests() else { return };
    let service = engine.image("deaf", "sleep 1000");
    let job = engine.image("beside-deaf", "true");
    let left = || [engine.containers(&service), engine.containers(&job)].concat();
    // Also while the containers are just being made.
    for press in ["early", "late"] {
        let project = never_ready(&job, &service);
        let child = start(&project);
        match press {
            "early" => wait_for("the first container", || !left().is_empty()),
            _ => wait_for("the service", || !engine.containers(&service).is_empty()),
        }
        let pressed = Instant::now();
        signal(&child, "INT");
        let ended = Ended::of(child.wait_with_output().unwrap()).expect(130);
        assert_eq!(left(), [""; 0], "{press}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().find(|line| line.contains("could not remove")), None, "{}", ended.stderr);
        // The service would get ready for ten minutes.
        assert!(pressed.elapsed() < Duration::from_secs(120), "{press}: {:?}", pressed.elapsed());
        assert!(ended.stdout.contains("cancelled"), "{}", ended.stdout);
        assert_eq!(fs::read_dir(project.data().join("sessions")).unwrap().count(), 0, "nothing is left to a sweep");
    }
}

#[test]
fn a_second_control_c_beside_a_service_leaves_no_container_behind_the_next_command() {
    let Some(engine) = Engine::of_tests() else { return };
    let (service, job) = (engine.image("running", "sleep 1000"), engine.image("stubborn", "true"));
    let stubborn = |mark: &str| format!("trap '' INT TERM; touch {mark}; sleep 1000");
    let project = Project::with_pipeline(&format!(
        "version: \"1\"\nname: stubborn\nstages:\n  a:\n    environment: {{ container: \"{job}\" }}\n    services: {{ it: {{ image: \
         \"{service}\" }} }}\n    steps:\n      - run: \"{}\"\n      - run: \"{}\"\n        if: always()\n",
        stubborn("begun"),
        stubborn("tidying")
    ));
    let child = start(&project);
    wait_for("the step to begin", || is_in_workspace(&project, "begun"));
    signal(&child, "INT");
    wait_for("the step that runs always", || is_in_workspace(&project, "tidying"));
    signal(&child, "INT");
    let pressed = Instant::now();
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(130);
    assert!(pressed.elapsed() < AT_ONCE, "{:?}", pressed.elapsed());
    // Docker may have been too slow to remove them in that time.
    project.oxide(&["runs"]).expect(0);
    assert_eq!([engine.containers(&service), engine.containers(&job)].concat(), [""; 0], "{}", ended.stderr);
}

#[test]
fn a_second_control_c_ends_the_program_although_docker_hangs() {
    let Some(engine) = Engine::of_tests() else { return };
    let (service, job) = (engine.image("hung", "sleep 1000"), engine.image("beside-hung", "true"));
    let left = || engine.containers(&service).len() + engine.containers(&job).len();
    let in_a_step = Project::with_pipeline(&format!(
        "version: \"1\"\nname: hung\nstages:\n  a:\n    environment: {{ container: \"{job}\" }}\n    services: {{ it: {{ image: \
         \"{service}\" }} }}\n    steps: [{{ run: touch begun; sleep 1000 }}]\n"
    ));
    for (mut project, begun) in [(in_a_step, "begun"), (never_ready(&job, &service), "")] {
        let socket = project.path("docker.sock");
        let proxy = DockerProxy::listen(&socket, engine.host.trim_start_matches("unix://"));
        project.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
        let child = start(&project);
        match begun {
            "" => wait_for("the service", || !engine.containers(&service).is_empty()),
            file => wait_for("the step to begin", || is_in_workspace(&project, file)),
        }
        proxy.hang(true);
        let pressed = Instant::now();
        let ended = press_until_it_ends(child).expect(130);
        assert!(pressed.elapsed() < AT_ONCE, "{:?}", pressed.elapsed());
        assert!(
            ended.stderr.contains("left without cleaning up: the next `oxide` command does it"),
            "{}",
            ended.stderr
        );
        assert_eq!(left(), 2, "the test is wrong: nothing was left to clean up");

        proxy.hang(false);
        let runs = project.oxide(&["runs"]).expect(0);
        assert!(runs.stderr.is_empty() && runs.stdout.contains("cancelled"), "{}{}", runs.stdout, runs.stderr);
        assert_eq!(left(), 0);
        assert_eq!(fs::read_dir(project.data().join("sessions")).unwrap().count(), 0);
    }
}

#[test]
fn a_health_check_that_takes_too_long_is_ended() {
    let Some(engine) = Engine::of_tests() else { return };
    let service = engine.image("slow", "until test -e /asked; do sleep 0.1; done; sleep 1; touch /ready; sleep 1000");
    let project = Project::with_pipeline(&format!(
        "version: \"1\"\nname: slow\nstages:\n  a:\n    environment: {{ container: \"oxide-test/busybox:1\" }}\n    services:\n      \
         it:\n        image: \"{service}\"\n        healthcheck: {{ run: \"test -e /ready || {{ touch /asked; (sleep 777); }}\", \
         timeout: 500ms, interval: 100ms, retries: 1000 }}\n    steps: [{{ run: touch begun; sleep 1000 }}]\n"
    ));
    let child = start(&project);
    wait_for("the step to begin", || is_in_workspace(&project, "begun"));
    let processes = engine.docker(&["top", &engine.containers(&service)[0]]);
    assert!(processes.contains("sleep 1000") && !processes.contains("777"), "{processes}");
    signal(&child, "INT");
    Ended::of(child.wait_with_output().unwrap()).expect(130);
}

#[test]
fn a_service_that_gives_up_takes_the_container_of_the_job_with_it() {
    let Some(engine) = Engine::of_tests() else { return };
    let service = engine.image("gives-up", "exit 3");
    let job = engine.image("beside-gives-up", "true");
    let project = never_ready(&job, &service);
    let ended = project.oxide(&["run"]).expect(1);
    assert!(ended.stdout.contains("it ended with exit code 3"), "{}", ended.stdout);
    assert_eq!([engine.containers(&service), engine.containers(&job)].concat(), [""; 0]);
}

#[test]
fn a_killed_run_is_not_forgotten_while_docker_is_away() {
    let Some(engine) = Engine::of_tests() else { return };
    let (service, job) = (engine.image("survivor", "sleep 1000"), engine.image("beside-survivor", "true"));
    let left = || engine.containers(&service).len() + engine.containers(&job).len();
    let mut project = Project::with_pipeline(&format!(
        "version: \"1\"\nname: killed\nstages:\n  a:\n    environment: {{ container: \"{job}\" }}\n    services: {{ it: {{ image: \
         \"{service}\" }} }}\n    steps: [{{ run: touch begun; sleep 1000 }}]\n"
    ));
    let socket = project.path("docker.sock");
    let (real, address) =
        (engine.host.trim_start_matches("unix://").to_owned(), format!("unix://{}", socket.display()));
    symlink(&real, &socket).unwrap();
    project.set("DOCKER_HOST", &address);
    let mut child = start(&project);
    wait_for("the step to begin", || is_in_workspace(&project, "begun"));
    signal(&child, "KILL");
    child.wait().unwrap();
    assert_eq!(left(), 2, "the test is wrong: nothing was left to clean up");

    fs::remove_file(&socket).unwrap();
    for _ in 0..2 {
        let runs = project.oxide(&["runs"]).expect(0);
        let notes: Vec<&str> = runs.stderr.lines().collect();
        assert!(matches!(notes[..], [_]), "one line: {notes:?}");
        assert!(notes[0].contains("could not remove what an earlier run left: its containers"), "{notes:?}");
        assert!(notes[0].contains(&format!("could not reach Docker at {address}")), "{notes:?}");
        assert!(runs.stdout.contains("interrupted"), "{}", runs.stdout);
    }
    assert_eq!(left(), 2);

    symlink(&real, &socket).unwrap();
    // Where this command would look for Docker does not matter: the containers are where they were made.
    project.set("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    assert_eq!(project.oxide(&["runs"]).expect(0).stderr, "");
    assert_eq!(left(), 0);
    assert_eq!(fs::read_dir(project.data().join("sessions")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(project.data().join("work")).unwrap().count(), 0);
}

#[test]
fn services_of_a_fork_reach_no_network_unless_the_pipeline_says_so() {
    let Some(engine) = Engine::of_tests() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let calls = format!("ls /sys/class/net; nc 127.0.0.1 {port} < /dev/null && echo reached; echo asked; sleep 1000");
    let service = engine.image("of-a-fork", &calls);
    let pipeline = |forks: &str, environment: &str| {
        Project::with_pipeline(&format!(
            "version: \"1\"\nname: fork\n{forks}stages:\n  a:\n    environment: {environment}\n    services: {{ it: {{ image: \
             \"{service}\" }} }}\n    steps: [{{ run: touch begun; sleep 1000 }}]\n"
        ))
    };
    let (told, reached) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
            if told.send(()).is_err() {
                return;
            }
        }
    });
    let container = "{ container: \"oxide-test/busybox:1\" }";
    let network_of_service = |project: &Project| {
        wait_for("the run before to have left nothing", || engine.containers(&service).is_empty());
        let child = project.command(&["run", "--trust", "fork"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap();
        wait_for("the service", || !engine.containers(&service).is_empty());
        let id = engine.containers(&service).remove(0);
        let joined = engine.network(&id);
        let network = match joined.strip_prefix("container:") {
            Some(job) => engine.network(job),
            None => joined,
        };
        wait_for("it to have asked", || engine.docker(&["logs", &id]).contains("asked"));
        let log = engine.docker(&["logs", &id]);
        signal(&child, "INT");
        Ended::of(child.wait_with_output().unwrap()).expect(130);
        (network, log)
    };

    let (network, log) = network_of_service(&pipeline("", container));
    assert_eq!((network.as_str(), log.as_str()), ("none", "lo\nasked"));
    let (network, _) = network_of_service(&pipeline("forks: { network: true }\n", container));
    assert_ne!(network, "none");
    for rights in ["", "forks: { host: true }\n"] {
        let refused = pipeline(rights, "host").oxide(&["run", "--trust", "fork"]).expect(3);
        assert!(refused.stderr.contains("which the run of a fork may not"), "{}", refused.stderr);
    }
    reached.try_iter().for_each(drop);
    let (network, log) = network_of_service(&pipeline("forks: { network: true, host: true }\n", "host"));
    assert!(network == "host" && log.contains("reached"), "{network}: {log}");
    assert!(reached.recv_timeout(Duration::from_secs(120)).is_ok(), "nobody has called");
}

#[test]
fn what_a_service_tells_of_a_secret_is_masked() {
    let Some(engine) = Engine::of_tests() else { return };
    let service = engine.image("talker", "echo \"the key is $KEY\"; touch /ready; sleep 1000");
    let stage = |name: &str, check: &str| {
        format!(
            "  {name}:\n    environment: {{ container: \"oxide-test/busybox:1\" }}\n    services:\n      talker:\n        image: \
             \"{service}\"\n        env: {{ KEY: \"${{{{ secrets.KEY }}}}\" }}\n        healthcheck: {{ run: '{check}', interval: 10ms, \
             retries: 1 }}\n    steps: [{{ run: exit 1 }}]\n"
        )
    };
    let ready = "until test -e /ready; do sleep 0.1; done";
    let mut project = Project::with_pipeline(&format!(
        "version: \"1\"\nname: talk\nstages:\n{}{}",
        stage("ready", ready),
        stage("never", &format!("{ready}; printf \"%393s\" | tr \" \" .; echo \" $KEY\"; exit 1"))
    ));
    // Two spaces, of which the line that tells of a health check makes one; and it stands where that line is cut.
    project.set("KEY", "zyxopen  sesame!");
    let ended = project.oxide(&["run", "--verbose"]).expect(1);
    assert!(
        ended.stdout.contains("service `talker`: runs; the end of its log:\n    │   the key is ***\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains(".. ***; its log ends with `the key is ***`"), "{}", ended.stdout);
    let json = project.oxide(&["run", "--json"]).expect(1);
    for text in [&ended.stdout, &ended.stderr, &json.stdout, &json.stderr] {
        assert!(!text.contains("zyx") && !text.contains("sesame"), "{text}");
    }
}

#[test]
fn jobs_that_run_at_the_same_time_have_services_of_their_own() {
    let Some(engine) = Engine::of_tests() else { return };
    let service = engine.image("own", "mkdir /www; echo \"of $WHO\" > /www/index.html; httpd -f -p 8080 -h /www");
    // Each job goes on only when both have begun, and looks often: whoever met the other's service would tell. None ends before
    // both have looked.
    let project = Project::with_pipeline(&format!(
        "version: \"1\"\nname: own\nstages:\n  a:\n    environment: {{ container: \"oxide-test/busybox:1\" }}\n    matrix: {{ who: [Ada, \
         Grace] }}\n    services:\n      web:\n        image: \"{service}\"\n        env: {{ WHO: \"${{{{ matrix.who }}}}\" }}\n        \
         healthcheck: {{ run: \"wget -q -O /dev/null http://127.0.0.1:8080/\", interval: 100ms, retries: 1000 }}\n    steps:\n      - run: |\n          \
         touch begun; until test -e go-on; do sleep 0.1; done\n          \
         for i in $(seq 20); do wget -q -O - http://web:8080/; done | sort | uniq -c\n          \
         touch looked; until test -e end; do sleep 0.1; done\n"
    ));
    let child = project.command(&["run", "--verbose"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for (has, then) in [("begun", "go-on"), ("looked", "end")] {
        wait_for("both jobs", || in_workspaces(&project, has).len() == 2);
        assert_eq!(engine.containers(&service).len(), 2);
        for mark in in_workspaces(&project, has) {
            fs::write(mark.with_file_name(then), "").unwrap();
        }
    }
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(0);
    for who in ["Ada", "Grace"] {
        let (_, of_job) = ended.stdout.split_once(&format!("(who={who}) › ")).unwrap();
        let line = of_job.lines().find(|line| line.contains("of ")).unwrap();
        assert!(line.ends_with(&format!(" 20 of {who}")), "{}", ended.stdout);
    }
    assert_eq!(ended.stdout.matches(" of ").count(), 2, "{}", ended.stdout);
    assert_eq!(engine.containers(&service), [""; 0]);
}

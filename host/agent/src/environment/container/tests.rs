//! Real containers, where `OXIDE_TEST_DOCKER_HOST` says how to reach Docker.

use std::{path::PathBuf, time::Instant};

use oxide_core::{
    id::{AttemptId, StepIndex},
    outcome::FailureCause,
};
use oxide_runtime::environment::OutputTo;

use super::*;
use crate::{
    Session,
    docker::{containers::Removals, count_containers_of},
    log::LogWriter,
    report::Reporter,
    testing::{IMAGE, MemoryLink, agent_id, attempt_id, docker_host, need_test_image, reporter, still_clock, until},
};

/// A job in a container with its log.
struct Job {
    _data: tempfile::TempDir,
    directory: JobDirectory,
    agent: AgentId,
    host: String,
    environment: ContainerEnvironment,
    removals: Removals,
    link: Arc<MemoryLink>,
    reporter: Reporter,
    log: LogWriter,
}

const PATIENCE: Duration = Duration::from_secs(120);

fn containers(data: &Path, agent: AgentId, attempt: AttemptId, host: &str) -> (Containers, Removals) {
    let session = Arc::new(Session::begin(data, agent).unwrap());
    Containers::of(agent, attempt, Some(host.to_owned()), session)
}

fn wish(image: &str) -> Wish<'_> {
    Wish { image, cpus: None, memory_bytes: Some(256 << 20), pids: 100, network: true, services: &[] }
}

impl Job {
    async fn new() -> Option<Job> {
        let host = docker_host()?;
        need_test_image(&host);
        let data = tempfile::tempdir().unwrap();
        let (agent, attempt) = (agent_id(), attempt_id());
        let directory = JobDirectory::of(data.path(), agent, attempt);
        directory.create().unwrap();
        let (containers, removals) = containers(data.path(), agent, attempt, &host);
        let started = ContainerEnvironment::start(wish(IMAGE), &containers, &directory).await;
        let environment = started.unwrap_or_else(|failure| panic!("{failure:?}"));
        let link = Arc::new(MemoryLink::default());
        let reporter = reporter(&link);
        let log = LogWriter::new(StepIndex(0), 1 << 30, reporter.clone(), still_clock());
        Some(Job { _data: data, directory, agent, host, environment, removals, link, reporter, log })
    }

    async fn spawn(&self, spec: CommandSpec) -> Result<Box<dyn Process>, EnvironmentError> {
        self.environment.for_step(vec![("A".into(), "step".into())]).spawn(spec, Arc::new(self.log.clone())).await
    }

    async fn shell(&self, script: &str) -> Exit {
        self.spawn(shell(script)).await.unwrap().wait().await.unwrap()
    }

    async fn printed(&self) -> Vec<(LogStream, String)> {
        self.log.finish().await;
        self.reporter.flush().await;
        self.link.lines(StepIndex(0))
    }

    async fn containers(&self) -> usize {
        count_containers_of(&self.host, self.agent).await
    }
}

fn shell(script: &str) -> CommandSpec {
    CommandSpec {
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![],
        working_directory: PathBuf::new(),
        stdin: vec![],
        stdout: OutputTo::Log,
        stderr: OutputTo::Log,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_in_the_container_on_the_workspace_of_the_job() {
    let Some(job) = Job::new().await else { return };
    assert_eq!(
        job.shell("echo \"$A $PWD $CI\"; sleep 0.2; echo oops >&2; echo made > file; exit 3").await,
        Exit::Code(3)
    );
    assert_eq!(std::fs::read_to_string(job.directory.workspace().join("file")).unwrap(), "made\n");
    let expected = [(LogStream::Stdout, "step /workspace true"), (LogStream::Stderr, "oops")];
    assert_eq!(job.printed().await, expected.map(|(stream, line)| (stream, line.to_owned())));
    assert_eq!(job.shell("kill -9 $$").await, Exit::Code(137));

    let step = job.environment.for_step(vec![]);
    assert_eq!(step.find_program("sh").await.unwrap().unwrap(), "/bin/sh");
    assert_eq!(step.find_program("no-such-program").await, Ok(None));
    let missing = job.spawn(CommandSpec { program: "no-such-program".into(), ..shell("") }).await;
    let error = match missing {
        Ok(mut process) => process.wait().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(&error, EnvironmentError::NotFound(text) if text.contains("`no-such-program`")), "{error:?}");

    let echo = CommandSpec { stdin: b"typed".to_vec(), stdout: OutputTo::Piped, ..shell("cat; echo !") };
    let mut process = job.spawn(echo).await.unwrap();
    let mut read = Vec::new();
    while let piece = process.read(LogStream::Stdout, 100).await.unwrap()
        && !piece.is_empty()
    {
        read.extend_from_slice(&piece);
    }
    assert_eq!((String::from_utf8_lossy(&read).as_ref(), process.wait().await), ("typed!\n", Ok(Exit::Code(0))));

    assert_eq!(job.containers().await, 1);
    job.environment.end().await;
    assert_eq!(job.removals.wait(PATIENCE).await, [""; 0]);
    assert_eq!(count_containers_of(&job.host, job.agent).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_command_ends_and_so_does_one_that_left_a_child() {
    let Some(job) = Job::new().await else { return };
    let step = job.environment.for_step(vec![]);
    let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut process = step.spawn(shell(script), Arc::new(job.log.clone())).await.unwrap();
    until("it is ready", || job.link.text(StepIndex(0)).iter().any(|line| line == "ready")).await;
    assert!(step.terminate().await);
    assert_eq!(process.wait().await, Ok(Exit::Code(7)));

    let dropped = job.spawn(shell("exec sleep 4321")).await.unwrap();
    let runs = async || job.shell("ps | grep -q '[s]leep 4321'").await == Exit::Code(0);
    let began = Instant::now();
    while !runs().await {
        assert!(began.elapsed() < PATIENCE, "the command does not begin");
    }
    drop(dropped);
    let began = Instant::now();
    while runs().await {
        assert!(began.elapsed() < PATIENCE, "the dropped command still runs");
    }

    let began = Instant::now();
    assert_eq!(job.shell("sleep 300 & echo started").await, Exit::Code(0));
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    // The sweep of a later process finds the container by its label.
    assert_eq!(job.containers().await, 1);
    remove_containers_of(job.agent, &job.host).await.unwrap();
    assert_eq!(job.containers().await, 0);
    let lost = job.spawn(shell("true")).await.err().unwrap();
    assert!(matches!(lost, EnvironmentError::Other(_)), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_lines_come_out_of_a_container() {
    let Some(job) = Job::new().await else { return };
    let began = Instant::now();
    let line = "all work and no play makes jack a dull boy and so on and on until the line has its hundred characters";
    assert_eq!(job.shell(&format!("yes '{line}' | head -n 1000000")).await, Exit::Code(0));
    job.log.finish().await;
    job.reporter.flush().await;
    println!("1,000,000 lines from a container in {:?}", began.elapsed());
    assert_eq!(job.link.chunks().iter().map(|chunk| u64::from(chunk.line_count)).sum::<u64>(), 1_000_000);
    job.environment.end().await;
    assert_eq!(job.removals.wait(PATIENCE).await, [""; 0]);
}

async fn refusal(image: &str, host: &str) -> Failure {
    let data = tempfile::tempdir().unwrap();
    let (agent, attempt) = (agent_id(), attempt_id());
    let directory = JobDirectory::of(data.path(), agent, attempt);
    directory.create().unwrap();
    let (containers, _removals) = containers(data.path(), agent, attempt, host);
    let started = ContainerEnvironment::start(wish(image), &containers, &directory).await;
    started.err().expect("it cannot start")
}

#[tokio::test]
async fn an_image_that_is_not_to_be_had_is_named() {
    let Some(host) = docker_host() else { return };
    let failure = refusal("127.0.0.1:1/no/such-image:9", &host).await;
    assert_eq!(failure.cause, FailureCause::Environment);
    assert!(failure.message.contains("`127.0.0.1:1/no/such-image:9`"), "{}", failure.message);
    assert!(failure.message.contains("could not be pulled"), "{}", failure.message);
}

#[tokio::test]
async fn without_docker_the_message_says_what_to_do() {
    let failure = refusal("debian:12", "unix:///nonexistent/docker.sock").await;
    assert_eq!(
        failure.message,
        "could not reach Docker at unix:///nonexistent/docker.sock: there is no socket /nonexistent/docker.sock"
    );
    assert!(failure.hint.unwrap().contains("environment: host"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_nobody_waits_for_any_more_is_removed() {
    let Some(host) = docker_host() else { return };
    need_test_image(&host);
    let data = tempfile::tempdir().unwrap();
    let (agent, attempt) = (agent_id(), attempt_id());
    let directory = JobDirectory::of(data.path(), agent, attempt);
    directory.create().unwrap();
    let (containers, removals) = containers(data.path(), agent, attempt, &host);
    for patience in [1, 20, 60, 150, 400] {
        let starting = ContainerEnvironment::start(wish(IMAGE), &containers, &directory);
        drop(tokio::time::timeout(Duration::from_millis(patience), starting).await);
    }
    drop(containers);
    assert_eq!(removals.wait(PATIENCE).await, [""; 0]);
    assert_eq!(count_containers_of(&host, agent).await, 0, "whoever has waited finds none");
}

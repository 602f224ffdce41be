//! Real commands on this machine.

use std::time::Instant;

use oxide_core::id::StepIndex;

use super::*;
use crate::{
    log::LogWriter,
    report::Reporter,
    testing::{MemoryLink, agent_id, attempt_id, reporter, still_clock, until},
};

/// A job on the host with one step and its log.
struct Job {
    _data: tempfile::TempDir,
    directory: JobDirectory,
    attempt: AttemptId,
    environment: HostEnvironment,
    link: Arc<MemoryLink>,
    reporter: Reporter,
    log: LogWriter,
}

impl Job {
    fn new() -> Job {
        let data = tempfile::tempdir().unwrap();
        let (agent, attempt) = (agent_id(), attempt_id());
        let directory = JobDirectory::of(data.path(), agent, attempt);
        directory.create().unwrap();
        let environment = HostEnvironment::new(agent, attempt, &directory);
        let link = Arc::new(MemoryLink::default());
        let reporter = reporter(&link);
        let log = LogWriter::new(StepIndex(0), 1 << 30, reporter.clone(), still_clock());
        Job { _data: data, directory, attempt, environment, link, reporter, log }
    }

    fn step(&self, variables: &[(&str, &str)]) -> Arc<dyn StepEnvironment> {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        self.environment.for_step(variables.collect())
    }

    async fn spawn(&self, spec: CommandSpec) -> Box<dyn Process> {
        self.step(&[]).spawn(spec, Arc::new(self.log.clone())).await.unwrap()
    }

    async fn shell(&self, script: &str) -> Exit {
        self.spawn(shell(script)).await.wait().await.unwrap()
    }

    async fn printed(&self) -> Vec<String> {
        self.log.finish().await;
        self.reporter.flush().await;
        self.link.text(StepIndex(0))
    }

    /// How many processes of this attempt there are.
    fn processes(&self) -> usize {
        let cookies = Cookies::new([(ATTEMPT_COOKIE, self.attempt.to_string().as_str())]);
        // A signal that everybody ignores: SIGCONT wakes whoever was stopped, and none was.
        signal_by_cookies(&cookies, rustix::process::Signal::CONT)
    }

    async fn wait_for_processes(&self, count: usize) {
        until(&format!("there are {count} processes"), || self.processes() == count).await;
    }

    async fn until_printed(&self, lines: &[&str]) {
        let has_all = || {
            let printed = self.link.text(StepIndex(0));
            lines.iter().all(|line| printed.iter().any(|printed| printed == line))
        };
        until(&format!("{lines:?} is printed"), has_all).await;
    }
}

fn command(program: &str, args: &[&str]) -> CommandSpec {
    CommandSpec {
        program: program.to_owned(),
        args: args.iter().map(|arg| arg.to_string()).collect(),
        env: vec![],
        working_directory: PathBuf::new(),
        stdin: vec![],
        stdout: OutputTo::Log,
        stderr: OutputTo::Log,
    }
}

fn shell(script: &str) -> CommandSpec {
    command("sh", &["-c", script])
}

#[tokio::test]
async fn exit_code_and_signal_are_told_apart() {
    let job = Job::new();
    assert_eq!(job.shell("exit 3").await, Exit::Code(3));
    assert_eq!(job.shell("kill -9 $$").await, Exit::Signalled(9));
    let mut process = job.spawn(shell("exit 4")).await;
    assert_eq!(process.wait().await, Ok(Exit::Code(4)));
    assert_eq!(process.wait().await, Ok(Exit::Code(4)), "may be asked again");
}

#[tokio::test]
async fn output_and_error_stand_in_the_log_in_the_order_in_which_they_were_written() {
    let job = Job::new();
    job.shell("for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done; printf unfinished").await;
    job.printed().await;
    let lines: Vec<String> = job.link.lines(StepIndex(0)).into_iter().map(|(_, line)| line).collect();
    let mut expected: Vec<String> = (1..=9).flat_map(|i| [format!("out {i}"), format!("err {i}")]).collect();
    expected.push("unfinished".to_owned());
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn the_environment_is_clean() {
    let job = Job::new();
    let spec = CommandSpec { env: vec![("B".into(), "command".into())], ..command("env", &[]) };
    let step = job.step(&[("A", "step"), ("B", "step"), ("OXIDE_AGENT", "forged")]);
    step.spawn(spec, Arc::new(job.log.clone())).await.unwrap().wait().await.unwrap();
    let printed = job.printed().await;
    let mut names: Vec<_> = printed.iter().map(|line| line.split('=').next().unwrap()).collect();
    names.sort_unstable();
    let expected = [
        "A",
        "B",
        "CI",
        "HOME",
        "LANG",
        "OXIDE_AGENT",
        "OXIDE_ATTEMPT",
        "OXIDE_CI",
        "OXIDE_PROCESS",
        "OXIDE_WORKSPACE",
        "PATH",
        "TMPDIR",
    ];
    assert_eq!(names, expected);
    assert!(printed.contains(&"A=step".to_owned()) && printed.contains(&"B=command".to_owned()));
    assert!(printed.contains(&format!("HOME={}", job.directory.home().display())));
    assert!(!printed.iter().any(|line| line.contains("forged")));
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let job = Job::new();
    let error = job.step(&[]).spawn(command("no-such-program", &[]), Arc::new(job.log.clone())).await.err().unwrap();
    assert!(matches!(&error, EnvironmentError::NotFound(text) if text.contains("`no-such-program`")), "{error}");
    assert_eq!(job.step(&[]).find_program("no-such-program").await, Ok(None));
    assert!(job.step(&[]).find_program("sh").await.unwrap().unwrap().starts_with('/'));
}

#[tokio::test]
async fn a_program_of_the_workspace_is_found_by_its_path() {
    let job = Job::new();
    let script = job.directory.workspace().join("lint.sh");
    job.shell("printf '#!/bin/sh\\necho \"lint: $PWD\"\\n' > lint.sh; chmod +x lint.sh; mkdir sub").await;
    assert!(script.exists());
    let spec = CommandSpec { working_directory: "sub".into(), ..command("./lint.sh", &[]) };
    assert_eq!(job.spawn(spec).await.wait().await, Ok(Exit::Code(0)));
    let printed = job.printed().await;
    assert!(printed[0].ends_with("/workspace/sub"), "{printed:?}");
}

#[tokio::test]
async fn input_and_piped_output_pass_through() {
    let job = Job::new();
    let stdin = "line\n".repeat(50_000).into_bytes();
    let spec = CommandSpec { stdin: stdin.clone(), stdout: OutputTo::Piped, ..command("cat", &[]) };
    let mut process = job.spawn(spec).await;
    let mut read = Vec::new();
    loop {
        let piece = process.read(LogStream::Stdout, 1000).await.unwrap();
        if piece.is_empty() {
            break;
        }
        assert!(piece.len() <= 1000);
        read.extend_from_slice(&piece);
    }
    assert!(read == stdin);
    assert_eq!(process.wait().await, Ok(Exit::Code(0)));
    assert!(job.printed().await.is_empty());
}

#[tokio::test]
async fn a_child_that_keeps_the_pipe_open_does_not_hold_up_the_step() {
    let job = Job::new();
    let began = Instant::now();
    assert_eq!(job.shell("sleep 300 & echo started").await, Exit::Code(0));
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
    assert_eq!(job.printed().await, ["started"]);
    // It goes on while the job does.
    job.wait_for_processes(1).await;
    job.environment.end().await;
    job.wait_for_processes(0).await;
}

#[tokio::test]
async fn what_a_step_leaves_may_go_on_printing() {
    let job = Job::new();
    let file = job.directory.workspace().join("alive");
    assert_eq!(job.shell("(while sleep 0.1; do echo tick; echo x >> alive; done) &").await, Exit::Code(0));
    let bytes = || std::fs::read_to_string(&file).unwrap_or_default().len();
    let at_the_end = bytes();
    until("it goes on writing", || bytes() > at_the_end + 3).await;
    job.environment.end().await;
    job.wait_for_processes(0).await;
}

#[tokio::test]
async fn a_dropped_process_is_killed_with_all_that_it_started() {
    let job = Job::new();
    let process = job.spawn(shell("setsid sleep 310 & sleep 320 & sleep 330")).await;
    job.wait_for_processes(4).await;
    drop(process);
    job.wait_for_processes(0).await;
}

#[tokio::test]
async fn terminate_reaches_a_child_in_another_session() {
    let job = Job::new();
    let step = job.step(&[]);
    let script = "setsid sh -c 'trap \"echo bye; exit 0\" TERM; echo ready; while :; do sleep 0.02; done' & wait";
    let mut process = step.spawn(shell(script), Arc::new(job.log.clone())).await.unwrap();
    job.until_printed(&["ready"]).await;
    assert!(step.terminate().await);
    assert_eq!(process.wait().await, Ok(Exit::Signalled(15)));
    job.wait_for_processes(0).await;
    assert!(!step.terminate().await, "nothing runs any more");
}

#[tokio::test]
async fn parallel_commands_are_not_hit_by_each_others_signals() {
    let job = Job::new();
    let mut first = job.spawn(shell("echo first; sleep 300")).await;
    let mut second = job.spawn(shell("echo second; until [ -e go ]; do sleep 0.02; done; exit 5")).await;
    job.until_printed(&["first", "second"]).await;
    first.signal(Signal::Kill).await.unwrap();
    assert_eq!(first.wait().await, Ok(Exit::Signalled(9)));
    std::fs::write(job.directory.workspace().join("go"), "").unwrap();
    assert_eq!(second.wait().await, Ok(Exit::Code(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_lines_pass_without_loss() {
    let job = Job::new();
    let began = Instant::now();
    let line = "all work and no play makes jack a dull boy and so on and on until the line has its hundred characters";
    job.shell(&format!("yes '{line}' | head -n 1000000")).await;
    job.log.finish().await;
    job.reporter.flush().await;
    println!("1,000,000 lines in {:?}", began.elapsed());
    let count: u64 = job.link.chunks().iter().map(|chunk| u64::from(chunk.line_count)).sum();
    assert_eq!(count, 1_000_000);
}

#[tokio::test]
async fn a_small_command_is_quick() {
    let job = Job::new();
    let began = Instant::now();
    for _ in 0..100 {
        job.shell("true").await;
    }
    println!("one `sh -c true` takes {:?}", began.elapsed() / 100);
}

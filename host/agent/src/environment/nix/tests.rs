//! Real Nix with flakes that need no network.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    processes::{ATTEMPT_COOKIE, Cookies, signal_by_cookies},
    testing::{agent_id, attempt_id},
};

/// A log in memory.
#[derive(Default)]
struct MemoryLog(Mutex<Vec<(LogStream, String)>>);

#[async_trait]
impl LogSink for MemoryLog {
    async fn write(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        self.0.lock().unwrap().push((stream, String::from_utf8_lossy(&bytes).into_owned()));
        Ok(())
    }
}

impl MemoryLog {
    fn text(&self) -> String {
        self.0.lock().unwrap().iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// A development shell that is one file, made by the shell of this machine.
fn flake(attributes: &str) -> String {
    let system = format!("{}-linux", std::env::consts::ARCH);
    format!(
        r#"{{
  description = "a shell without nixpkgs";
  outputs = {{ self }}: {{
    devShells.{system} = let shell = extra: derivation ({{
      name = "shell";
      system = "{system}";
      builder = "/bin/bash";
      args = [ "-c" "echo > $out" ];
      outputs = [ "out" ];
    }} // extra); in {{
      default = shell {{ {attributes} }};
      ci = shell {{ WHICH = "the one for machines"; }};
    }};
  }};
}}"#
    )
}

/// A job in a Nix shell. None, unless in CI, if there is no Nix here.
struct Job {
    _data: tempfile::TempDir,
    store: tempfile::TempDir,
    directory: JobDirectory,
    attempt: AttemptId,
    environment: NixEnvironment,
    log: Arc<MemoryLog>,
}

impl Job {
    fn new(reference: &str) -> Option<Job> {
        if look_up(NIX, &std::env::var("PATH").unwrap_or_default(), Path::new("/")).is_none() {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "CI=true allows no skipped test: `nix` is not installed"
            );
            eprintln!("SKIPPED: `nix` is not installed");
            return None;
        }
        let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (agent, attempt) = (agent_id(), attempt_id());
        let directory = JobDirectory::of(data.path(), agent, attempt);
        directory.create().unwrap();
        let set = |name: &str, value: String| (name.to_owned(), value);
        let settings = vec![
            set("NIX_CONFIG", "sandbox = false\nsubstituters =\nbuild-users-group =\n".to_owned()),
            set("NIX_STATE_DIR", store.path().join("state").to_string_lossy().into_owned()),
        ];
        let path = std::env::var("PATH").unwrap();
        let environment = NixEnvironment::with(reference, agent, attempt, &directory, &path, settings).unwrap();
        Some(Job { _data: data, store, directory, attempt, environment, log: Arc::default() })
    }

    fn with(reference: &str, attributes: &str) -> Option<Job> {
        let job = Job::new(reference)?;
        job.write("flake.nix", &flake(attributes));
        Some(job)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.workspace().join(name), text).unwrap();
    }

    fn step(&self, variables: &[(&str, &str)]) -> Arc<dyn StepEnvironment> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.environment.for_step(variables.collect())
    }

    fn log(&self) -> Arc<dyn LogSink> {
        let log: Arc<MemoryLog> = Arc::clone(&self.log);
        log
    }

    async fn shell_in(&self, step: &Arc<dyn StepEnvironment>, script: &str) -> Result<Exit, EnvironmentError> {
        step.spawn(shell(script), self.log()).await?.wait().await
    }

    async fn shell(&self, script: &str) -> Result<Exit, EnvironmentError> {
        self.shell_in(&self.step(&[]), script).await
    }

    fn processes(&self) -> usize {
        let cookies = Cookies::new([(ATTEMPT_COOKIE, self.attempt.to_string().as_str())]);
        signal_by_cookies(&cookies, rustix::process::Signal::CONT)
    }
}

fn shell(script: &str) -> CommandSpec {
    command("sh", vec!["-c".to_owned(), script.to_owned()], OutputTo::Log)
}

#[tokio::test]
async fn commands_see_what_the_shell_brings_and_what_is_ours() {
    let attributes = r#"GREETING = "hello"; TMPDIR = "/nowhere"; OXIDE_ATTEMPT = "forged"; CI = "no";
        shellHook = "echo the hook speaks; export HOOKED=$PWD PATH=$PWD/bin:$PATH";"#;
    let Some(job) = Job::with("path:.", attributes) else { return };
    std::fs::create_dir(job.directory.workspace().join("bin")).unwrap();
    job.write("bin/own", "#!/bin/sh\necho own program\n");
    job.shell("chmod +x bin/own; mkdir sub").await.unwrap();
    let step = job.step(&[("STEP", "one")]);
    let script = r#"echo "$GREETING|$HOOKED|$STEP|$CI|$OXIDE_ATTEMPT|$TMPDIR|$TMP|$HOME|${NIX_CONFIG-none}|${OLDPWD-none}"; own"#;
    assert_eq!(job.shell_in(&step, script).await, Ok(Exit::Code(0)));
    let workspace = job.directory.workspace();
    let (tmp, home) = (job.directory.tmp(), job.directory.home());
    let expected = format!(
        "hello|{}|one|true|{}|{}|{}|{}|none|none\nown program\n",
        workspace.display(),
        job.attempt,
        tmp.display(),
        tmp.display(),
        home.display()
    );
    let text = job.log.text();
    assert!(text.ends_with(&expected), "{text}\ninstead of\n{expected}");
    assert_eq!(
        text.matches("entering the development shell of the flake `path:.`\n").count(),
        1,
        "once for a job: {text}"
    );
    assert_eq!(text.matches("the hook speaks").count(), 1);
    assert_eq!(step.find_program("own").await.unwrap(), Some(workspace.join("bin/own").to_string_lossy().into_owned()));
    assert_eq!(step.kind(), EnvironmentKind::Nix);
    assert_eq!(step.workspace_path(), workspace.to_string_lossy());
    assert!(!workspace.join("flake.lock").exists(), "the workspace is as it was");
    assert!(job.store.path().join("state").is_dir(), "Nix was set up as the agent says");
}

#[tokio::test]
async fn a_flake_has_shells_with_names() {
    let Some(job) = Job::with("path:.#ci", "") else { return };
    job.shell("echo \"it is $WHICH\"").await.unwrap();
    assert!(job.log.text().ends_with("it is the one for machines\n"), "{}", job.log.text());
}

#[tokio::test]
async fn steps_at_the_same_time_enter_it_once() {
    let Some(job) = Job::with("path:.", r#"shellHook = "echo the hook speaks; sleep 0.3";"#) else { return };
    let steps: Vec<_> = (0..4).map(|number| job.step(&[("NUMBER", &number.to_string())])).collect();
    let all = steps.iter().map(|step| job.shell_in(step, "echo \"step $NUMBER\""));
    assert!(futures_util::future::join_all(all).await.into_iter().all(|exit| exit == Ok(Exit::Code(0))));
    let text = job.log.text();
    assert_eq!(text.matches("the hook speaks").count(), 1, "{text}");
    assert!((0..4).all(|number| text.contains(&format!("step {number}\n"))), "{text}");
}

#[tokio::test]
async fn a_flake_that_is_not_there_yet_or_wrong_says_so_and_is_tried_again() {
    let Some(job) = Job::new("path:.") else { return };
    let error = job.shell("true").await.unwrap_err().to_string();
    assert!(error.contains("Nix could not make the development shell of the flake `path:.`"), "{error}");
    assert!(error.contains("the checkout must be an earlier step"), "{error}");
    job.write("flake.nix", "{ outputs = ; }");
    job.shell("true").await.unwrap_err();
    assert!(job.log.text().contains("syntax error"), "Nix says what is wrong: {}", job.log.text());
    job.write("flake.nix", &flake(""));
    assert_eq!(job.shell("true").await, Ok(Exit::Code(0)));
}

#[tokio::test]
async fn a_hook_that_ends_the_shell_is_a_failure_and_one_that_fails_is_none() {
    let Some(job) = Job::with("path:.", r#"shellHook = "exit 3";"#) else { return };
    let error = job.shell("true").await.unwrap_err().to_string();
    assert!(error.contains("(exit code 3); look at its `shellHook`"), "{error}");
    let Some(job) = Job::with("path:.", r#"shellHook = "export A=1; false";"#) else { return };
    assert_eq!(job.shell("test \"$A\" = 1").await, Ok(Exit::Code(0)));
}

#[tokio::test]
async fn nothing_is_left_when_a_step_is_stopped_while_it_enters_or_later() {
    let Some(job) = Job::with("path:.", r#"shellHook = "setsid sleep 300 & sleep 310";"#) else { return };
    let step = job.step(&[]);
    let log = job.log();
    let entering = Arc::clone(&step);
    let task = tokio::spawn(async move { entering.spawn(shell("true"), log).await.map(drop) });
    let began = Instant::now();
    // The shell, and both that it has started.
    while job.processes() < 3 {
        assert!(began.elapsed() < Duration::from_secs(120) && !task.is_finished(), "{}", job.log.text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(step.terminate().await, "what enters is asked to end, too");
    let _ = task.await.unwrap();
    job.environment.end().await;
    assert_eq!(job.processes(), 0);
    let Some(job) = Job::with("path:.", "") else { return };
    let step = job.step(&[]);
    let mut sleeping = step.spawn(shell("sleep 60"), job.log()).await.unwrap();
    assert!(step.terminate().await);
    assert_eq!(sleeping.wait().await, Ok(Exit::Signalled(15)));
    let mut dropped = step.spawn(shell("sleep 62 & sleep 63"), job.log()).await;
    dropped.as_mut().unwrap();
    drop(dropped);
    job.environment.end().await;
    assert_eq!(job.processes(), 0);
}

#[test]
fn an_agent_without_nix_says_what_to_install() {
    let data = tempfile::tempdir().unwrap();
    let (agent, attempt) = (agent_id(), attempt_id());
    let directory = JobDirectory::of(data.path(), agent, attempt);
    let make = |flake: &str| NixEnvironment::with(flake, agent, attempt, &directory, "/nonexistent", Vec::new()).err();
    let missing = make(".").unwrap();
    assert_eq!(missing.message, "the stage runs in a Nix shell, but there is no program `nix` on this agent");
    assert!(missing.hint.unwrap().contains("https://nixos.org/download"));
    assert!(make("--impure").unwrap().message.contains("cannot be a flake"), "no option is smuggled in");
}

#[test]
fn our_variables_win_but_for_the_search_path() {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let ours = pairs(&[("CI", "true"), ("PATH", "/bin"), ("TMPDIR", "/job/tmp"), ("OXIDE_ATTEMPT", "1")]);
    let exported =
        exported_variables(b"A=x=y\nz\0CI=no\0PATH=/nix:/bin\0TMP=/gone\0SHLVL=1\0OXIDE_PROCESS=3\0bad\0\xff=1\0");
    let mut all = merged(&ours, exported, Path::new("/job/tmp"));
    all.sort();
    let mut expected = pairs(&[
        ("A", "x=y\nz"),
        ("CI", "true"),
        ("OXIDE_ATTEMPT", "1"),
        ("PATH", "/nix:/bin"),
        ("TMPDIR", "/job/tmp"),
        ("TMP", "/job/tmp"),
        ("TEMP", "/job/tmp"),
        ("TEMPDIR", "/job/tmp"),
        ("NIX_BUILD_TOP", "/job/tmp"),
    ]);
    expected.sort();
    assert_eq!(all, expected);
}

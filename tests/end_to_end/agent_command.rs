//! `oxide agent` before it has a job: what it needs, whom it trusts, and what it says when something is wrong.
//!
//! The server is one of the test that only knows how to answer: what an agent does with a real one is told elsewhere.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    certificates::Certificates,
    oxide::Project,
    web_server::{Answers, WebServer},
};

/// The id that the server of the tests gives to whoever joins.
const ID: &str = "019aa7f0-0000-7000-8000-000000000001";

fn failed(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// An agent in the background, with what it says. Killed at the end.
struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, into) = (child.stderr.take().unwrap(), Arc::clone(&said));
        thread::spawn(move || {
            for line in std::io::BufRead::lines(std::io::BufReader::new(stderr)).map_while(Result::ok) {
                into.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Running { child, said }
    }

    fn until_it_says(&self, words: &str) {
        let began = Instant::now();
        while !self.said.lock().unwrap().contains(words) {
            assert!(began.elapsed() < Duration::from_secs(120), "no `{words}` in\n{}", self.said.lock().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < Duration::from_secs(120), "it does not end\n{}", self.said.lock().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error says that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers that takes everybody, and has no jobs.
fn welcoming() -> Answers {
    Answers::of(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path.rsplit('/').next().unwrap_or_default() {
            "join" if request.contains("\"oxide_reg_good\"") => {
                (201, format!("{{\"id\":\"{ID}\",\"credential\":\"oxide_agt_credential\"}}"))
            }
            "join" => (403, "{\"error\":\"forbidden\",\"message\":\"the token was used\"}".to_owned()),
            _ if !request.contains("Bearer oxide_agt_credential") => {
                (401, "{\"error\":\"unauthorized\",\"message\":\"the credential is not known\"}".to_owned())
            }
            "register" => (200, "null".to_owned()),
            "lease" => {
                thread::sleep(Duration::from_millis(500));
                (200, "null".to_owned())
            }
            "heartbeat" => {
                thread::sleep(Duration::from_millis(500));
                (200, "{\"cancel\":[],\"drain\":false}".to_owned())
            }
            _ => (404, "{\"message\":\"there is nothing here\"}".to_owned()),
        }
    })
}

#[test]
fn an_agent_joins_over_tls_and_goes_on_without_the_token() {
    let certificates = Certificates::new();
    let server = WebServer::start_encrypted_with(&certificates, welcoming());
    let (project, url) = (Project::new(), format!("https://localhost:{}", server.port));
    let authority = certificates.file("authority.pem").display().to_string();
    let arguments = ["agent", "--server", &url, "--ca-file", &authority, "--label", "gpu", "--slots", "3"];
    let mut command = project.command(&arguments);
    command.env("OXIDE_AGENT_TOKEN", "oxide_reg_good").env("OXIDE_AGENT_NAME", "box 7");
    let mut agent = Running::start(command);
    agent.until_it_says("is known to its orchestrator");
    let seen = server.seen();
    let join = seen.split("---").find(|request| request.contains("/api/v1/agent/join")).unwrap();
    for part in ["\"name\":\"box 7\"", "\"slots\":3", "\"linux\"", "\"gpu\"", "\"token\":\"oxide_reg_good\""] {
        assert!(join.contains(part), "no {part} in\n{join}");
    }
    agent.signal(Signal::TERM);
    assert_eq!(agent.exit_code(), Some(0));
    assert!(!agent.said.lock().unwrap().contains("oxide_"), "neither token nor credential is told");

    let kept = project.data().join("agent.json");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let mut again = Running::start(project.command(&["agent", "--ca-file", &authority]));
    again.until_it_says("is known to its orchestrator");
    assert_eq!(server.seen().matches("/api/v1/agent/join").count(), 1, "nobody joins twice");
    // Two agents in one place would take each other's work.
    let second = project.command(&["agent", "--ca-file", &authority]).output().unwrap();
    let (code, told) = failed(&second);
    assert_eq!(code, Some(4));
    assert!(told.contains(&format!("another process runs as agent {ID}")) && told.contains("--data-dir"), "{told}");
    again.signal(Signal::INT);
    assert_eq!(again.exit_code(), Some(0));
}

#[test]
fn a_server_that_nobody_vouches_for_gets_no_token() {
    let certificates = Certificates::new();
    let server = WebServer::start_encrypted_with(&certificates, welcoming());
    let (project, url) = (Project::new(), format!("https://localhost:{}", server.port));
    let agent = Running::start(project.command(&["agent", "--server", &url, "--token", "oxide_reg_good"]));
    agent.until_it_says("trying again until it answers");
    assert!(agent.said.lock().unwrap().contains("certificate"), "{}", agent.said.lock().unwrap());
    assert_eq!(server.seen(), "");
    agent.signal(Signal::TERM);
    let mut agent = agent;
    assert_eq!(agent.exit_code(), Some(0));
}

#[test]
fn what_is_missing_or_wrong_is_told_with_what_to_type() {
    let server = WebServer::start_with(welcoming());
    let (project, url) = (Project::new(), format!("http://127.0.0.1:{}", server.port));
    let told = |arguments: &[&str]| failed(&project.command(arguments).output().unwrap());
    let (code, words) = told(&["agent"]);
    assert!(code == Some(2) && words.contains("no server is named") && words.contains("--token TOKEN"), "{words}");
    let (code, words) = told(&["agent", "--server", "ci.example.com", "--token", "x"]);
    assert!(code == Some(2) && words.contains("write it as `https://ci.example.com`"), "{words}");
    let (code, words) = told(&["agent", "--server", &url]);
    assert!(code == Some(2) && words.contains("has not joined") && words.contains("`oxide agents token`"), "{words}");
    let (code, words) = told(&["agent", "--server", &url, "--token", "oxide_reg_used"]);
    assert!(code == Some(4) && words.contains("the token was used"), "{words}");
    assert!(words.contains("`oxide agents token` makes another"), "{words}");
    let (code, words) = told(&["agent", "--server", &url, "--slots", "0", "--token", "x"]);
    assert!(code == Some(2) && words.contains("`--slots N` takes 1 to 10000"), "{words}");
    let (code, words) = told(&["agent", "--server", &url, "--ca-file", "/nonexistent.pem", "--token", "x"]);
    assert!(code == Some(2) && words.contains("could not read the certificates in /nonexistent.pem"), "{words}");

    let identity = format!("{{\"server\":\"{url}\",\"id\":\"{ID}\",\"credential\":\"oxide_agt_old\"}}");
    fs::write(project.data().join("agent.json"), identity).unwrap();
    let (code, words) = told(&["agent"]);
    assert!(code == Some(4) && words.contains("refuses: the credential is not known"), "{words}");
    let (code, words) = told(&["agent", "--server", "https://ci.example.com"]);
    assert!(code == Some(2) && words.contains("this agent has joined http://127.0.0.1"), "{words}");
    // Who was removed joins again with a new token.
    let mut agent = Running::start(project.command(&["agent", "--token", "oxide_reg_good"]));
    agent.until_it_says("joining anew");
    agent.until_it_says("is known to its orchestrator");
    agent.signal(Signal::TERM);
    assert_eq!(agent.exit_code(), Some(0));
}

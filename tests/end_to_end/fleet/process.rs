//! A program that can be killed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A program that can be killed and started again as it was.
pub struct Process {
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Does not start it yet. Its log is in the folder.
    pub fn new(folder: &Path, name: &str, arguments: Vec<String>, environment: Vec<(String, String)>) -> Process {
        let log = folder.join(format!("{name}.log"));
        Process { name: name.to_owned(), arguments, environment, log, child: None }
    }

    /// Sets a variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Gives an option of its command line another value for the next start.
    pub fn set_option(&mut self, option: &str, value: &str) {
        let at = self.arguments.iter().position(|argument| argument == option).expect("it has this option");
        value.clone_into(&mut self.arguments[at + 1]);
    }

    /// Starts it. What it says goes to the end of its log.
    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxide"));
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("NO_COLOR", "1")
            .env_remove("OXIDE_BLOBS")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if let Some(host) = crate::oxide::docker() {
            command.env("DOCKER_HOST", host);
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// kill -9: no word of farewell.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits until it has ended.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
            let deadline = Instant::now() + Duration::from_secs(120);
            while child.try_wait().unwrap().is_none() {
                assert!(Instant::now() < deadline, "{} does not stop; its log:\n{}", self.name, self.log());
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The code to sign in with, once a server has printed it whole.
    pub fn setup_code(&self) -> Option<String> {
        let log = self.log();
        let (lines, _) = log.rsplit_once('\n')?;
        lines.split_whitespace().find(|word| word.starts_with("oxide_set_")).map(str::to_owned)
    }

    /// The last that it said, under its name.
    pub fn tail(&self) -> String {
        let log = self.log();
        let from = log.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
        format!("--- {}\n{}\n", self.name, &log[from..])
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

//! Runs `git` with an environment of its own. It ends with the future that waits for it, and so does what it started.

use std::{io, process::Stdio, sync::Arc};

use oxide_core::protocol::LogStream;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::Command,
};

use super::{super::CapabilityError, remote::Remote};
use crate::{environment::LogSink as _, step_log::StepLog};

/// What git inherits of the agent's environment: how to find programs, keys and the way to the network.
const INHERITED: [&str; 16] = [
    "PATH",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// No answer of git that we read is longer.
const STDOUT_BYTES_MAX: u64 = 1 << 20;

/// A longer line of progress is cut.
const LINE_BYTES_MAX: u64 = 8 << 10;

/// `git` in one directory, for one remote.
pub(super) struct Git {
    /// The working directory, held open so that it cannot be exchanged for a link.
    directory: WorkingDirectory,
    /// The only configuration beside that of the new repository itself.
    home: tempfile::TempDir,
    credentials: Option<(String, String)>,
    log: Arc<StepLog>,
}

/// A directory that git works in.
pub(super) struct WorkingDirectory {
    /// How a child process reaches it.
    pub path: std::path::PathBuf,
    /// Keeps it open.
    pub handle: Arc<cap_std::fs::Dir>,
}

impl Git {
    /// Prepares the configuration.
    pub fn new(directory: WorkingDirectory, remote: &Remote, log: Arc<StepLog>) -> io::Result<Git> {
        let home = tempfile::Builder::new().prefix("oxide-git-").tempdir()?;
        std::fs::write(home.path().join(".gitconfig"), configuration(remote))?;
        Ok(Git { directory, home, credentials: remote.credentials.clone(), log })
    }

    /// The directory that git works in.
    pub fn directory(&self) -> &Arc<cap_std::fs::Dir> {
        &self.directory.handle
    }

    /// Runs git and returns what it printed. Its messages go to the log of the step.
    ///
    /// # Errors
    /// [`Failed::Git`] with its last words if it ended with another code than 0.
    pub async fn run(&self, arguments: &[&str]) -> Result<String, Failed> {
        let mut child = self.command(arguments).spawn().map_err(|error| Failed::Other(not_started(&error)))?;
        let group = KillGroup::of(&child);
        let stdout = child.stdout.take().expect("it was asked for");
        let stderr = child.stderr.take().expect("it was asked for");
        let (text, words) = tokio::join!(read_all(stdout), self.forward(stderr));
        let status = child.wait().await.map_err(|error| Failed::Other(wait_failed(&error)))?;
        group.disarm();
        let words = words.map_err(Failed::Other)?;
        let text = text.map_err(|error| Failed::Other(wait_failed(&error)))?;
        if status.success() { Ok(text) } else { Err(Failed::Git(words.message(arguments))) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(&self.directory.path)
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.home.path().join(".gitconfig"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
            // Nothing above the workspace is ever taken for the repository.
            .env("GIT_CEILING_DIRECTORIES", "/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0);
        if let Some((key, value)) = &self.credentials {
            command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", key).env("GIT_CONFIG_VALUE_0", value);
        }
        command
    }

    /// Writes the lines that git prints to the log, and keeps those that tell why it failed.
    async fn forward(&self, stderr: impl AsyncRead + Unpin) -> Result<LastWords, CapabilityError> {
        let mut words = LastWords::default();
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
            if read.map_err(|error| wait_failed(&error))? == 0 {
                return Ok(words);
            }
            if !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            words.hear(&String::from_utf8_lossy(&line));
            self.log.write(LogStream::Host, line.clone().into()).await?;
        }
    }
}

/// Why git did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failed {
    /// It ran and failed; the message has its own words.
    Git(CapabilityError),
    /// It could not be run, or the step has reached a limit.
    Other(CapabilityError),
}

impl From<Failed> for CapabilityError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Git(error) | Failed::Other(error) => error,
        }
    }
}

/// The lines of git that tell why it failed.
#[derive(Default)]
struct LastWords {
    last: String,
    fatal: Vec<String>,
}

impl LastWords {
    fn hear(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        let said = ["fatal: ", "error: ", "remote: "].iter().find_map(|prefix| line.strip_prefix(prefix));
        if let Some(said) = said
            && self.fatal.len() < 4
        {
            self.fatal.push(said.to_owned());
        }
        line.clone_into(&mut self.last);
    }

    fn message(&self, arguments: &[&str]) -> CapabilityError {
        let command = arguments.first().copied().unwrap_or_default();
        let said = if self.fatal.is_empty() { self.last.clone() } else { self.fatal.join("; ") };
        if said.contains("could not read Username") || said.contains("Authentication failed") {
            return CapabilityError::Denied(format!(
                "the remote wants credentials that the step does not have ({said})"
            ));
        }
        if said.contains("does not appear to be a git repository") || said.contains("not found") {
            return CapabilityError::NotFound(format!("there is no such repository ({said})"));
        }
        CapabilityError::Other(format!("`git {command}` failed: {said}"))
    }
}

/// The settings of git for this one checkout.
fn configuration(remote: &Remote) -> String {
    // A repository from the network must not reach into this machine through a submodule.
    let file = if remote.is_local { "always" } else { "never" };
    format!(
        "[safe]\n\tdirectory = *\n\
         [core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n\tpager = cat\n\taskPass =\n\
         [credential]\n\thelper =\n\
         [init]\n\tdefaultBranch = main\n\
         [advice]\n\tdetachedHead = false\n\
         [gc]\n\tauto = 0\n\
         [maintenance]\n\tauto = false\n\
         [submodule]\n\trecurse = false\n\
         [protocol]\n\tallow = never\n\
         [protocol \"https\"]\n\tallow = always\n\
         [protocol \"http\"]\n\tallow = always\n\
         [protocol \"ssh\"]\n\tallow = always\n\
         [protocol \"git\"]\n\tallow = always\n\
         [protocol \"file\"]\n\tallow = {file}\n"
    )
}

async fn read_all(stdout: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut reader = stdout;
    (&mut reader).take(STDOUT_BYTES_MAX).read_to_end(&mut bytes).await?;
    // What is longer is thrown away, so that git does not wait for us.
    tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn not_started(error: &io::Error) -> CapabilityError {
    match error.kind() {
        io::ErrorKind::NotFound => CapabilityError::NotFound("`git` is not installed on the agent's machine".into()),
        _ => CapabilityError::Other(format!("`git` could not be started: {error}")),
    }
}

fn wait_failed(error: &io::Error) -> CapabilityError {
    CapabilityError::Other(format!("the answer of `git` could not be read: {error}"))
}

/// Kills a process group when it is dropped before it is disarmed.
struct KillGroup(Option<rustix::process::Pid>);

impl KillGroup {
    /// The group of a child that leads one.
    fn of(child: &tokio::process::Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        KillGroup(id.and_then(rustix::process::Pid::from_raw))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for KillGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
    }
}

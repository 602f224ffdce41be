//! Where commands run, as the runtime sees it. The agent implements it for hosts, containers and what comes later.

use std::{path::PathBuf, sync::Arc};

/// For those who implement the traits.
pub use async_trait::async_trait;
/// For those who implement the traits.
pub use bytes::Bytes;
use oxide_core::protocol::LogStream;

/// Takes what a step writes. Cloned freely; calls from one task keep their order.
#[async_trait]
pub trait LogSink: Send + Sync {
    /// Adds bytes, which need not end at a line break. Waits while the log cannot be stored fast enough.
    ///
    /// # Errors
    /// [`LogLimitReached`] once the step has written more than it may; what came before is kept.
    async fn write(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached>;
}

/// The step has written more to its log than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the step has written more than {allowed} bytes to its log")]
pub struct LogLimitReached {
    /// The limit in bytes.
    pub allowed: u64,
}

/// What kind of place an environment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentKind {
    /// Directly on the machine of the agent.
    Host,
    /// In a container.
    Container,
    /// On the machine of the agent, in the development shell of a flake.
    Nix,
    /// In a virtual machine.
    Firecracker,
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSpec {
    /// A name on the search path, or an absolute path.
    pub program: String,
    /// The arguments.
    pub args: Vec<String>,
    /// Variables on top of those of the environment; later ones win.
    pub env: Vec<(String, String)>,
    /// Relative to the workspace; already checked not to leave it by its text.
    pub working_directory: PathBuf,
    /// The standard input; empty if none.
    pub stdin: Vec<u8>,
    /// Where the standard output goes.
    pub stdout: OutputTo,
    /// Where the standard error goes.
    pub stderr: OutputTo,
}

/// Where a process's bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputTo {
    /// To the log sink of the step.
    Log,
    /// To [`Process::read`].
    Piped,
    /// Nowhere.
    Discarded,
}

/// A signal for a process and what it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
    /// SIGHUP.
    Hangup,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signalled(i32),
}

/// Why an environment could not do what it was asked. The text is for people and says what to do where that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// The program is not there.
    #[error("{0}")]
    NotFound(String),
    /// An argument cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The step has reached a limit.
    #[error("{0}")]
    Limit(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The environment of one step: that of its job, with the step's own variables set.
#[async_trait]
pub trait Environment: Send + Sync {
    /// What kind of place it is.
    fn kind(&self) -> EnvironmentKind;
    /// The path of the workspace as commands see it.
    fn workspace_path(&self) -> String;
    /// The path of a program, if it is on the search path.
    async fn find_program(&self, name: &str) -> Result<Option<String>, EnvironmentError>;
    /// Starts a process. What it prints and is to be logged goes to `log`.
    async fn spawn(&self, command: CommandSpec, log: Arc<dyn LogSink>) -> Result<Box<dyn Process>, EnvironmentError>;
}

/// A process. Dropping it kills it and everything that it started.
#[async_trait]
pub trait Process: Send + Sync {
    /// Waits until it has ended and its output is in the log. May be called again.
    async fn wait(&mut self) -> Result<Exit, EnvironmentError>;
    /// Sends a signal to it and to what it started.
    async fn signal(&mut self, signal: Signal) -> Result<(), EnvironmentError>;
    /// Waits for bytes of a piped output, at most `length`; none at its end or if it is not piped.
    async fn read(&mut self, stream: LogStream, length: usize) -> Result<Bytes, EnvironmentError>;
}

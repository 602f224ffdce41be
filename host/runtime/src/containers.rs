//! Container images, as the runtime sees their engine. The agent implements it, for it alone knows Docker.

use std::{io, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::environment::LogSink;

/// A build context on its way to the engine: a tar archive in pieces. An error in it ends the build.
pub type ContextPieces = mpsc::Receiver<io::Result<Bytes>>;

/// What to build. Holds no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildSpec {
    /// The Dockerfile, relative to the context.
    pub dockerfile: String,
    /// The stage to build; none is the last one.
    pub target: Option<String>,
    /// Names and values for `ARG`.
    pub build_args: Vec<(String, String)>,
    /// Labels of the image.
    pub labels: Vec<(String, String)>,
    /// Names with tags that the image gets.
    pub tags: Vec<String>,
    /// Do not use layers of earlier builds.
    pub no_cache: bool,
    /// The commands of the build reach the network.
    pub network: bool,
}

/// The account that an image is pushed with. Not shown by `Debug`.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The name of the user.
    pub username: Account,
    /// The password or token.
    pub password: Account,
}

/// A part of an account, which may be a secret.
#[derive(Clone)]
pub struct Account(String);

impl Account {
    /// Takes a text with the values of secrets in it.
    pub fn new(text: impl Into<String>) -> Account {
        Account(text.into())
    }

    /// The text. Every use of this function is a place where it leaves the host's keeping.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(***)")
    }
}

/// Why an engine could not do what it was asked. The text is for people and says what to do where that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// There is no such image, or no engine.
    #[error("{0}")]
    NotFound(String),
    /// The registry refuses the account.
    #[error("{0}")]
    Denied(String),
    /// An argument cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The step may not write any more to its log.
    #[error(transparent)]
    Log(#[from] crate::environment::LogLimitReached),
    /// Anything else, a build that failed among it.
    #[error("{0}")]
    Other(String),
}

/// Builds, names and pushes images. Dropping one of its futures ends what it does and removes what was half done.
#[async_trait]
pub trait ContainerEngine: Send + Sync {
    /// Is there an engine? Makes sure that it answers.
    async fn reach(&self) -> Result<(), ContainerError>;
    /// Builds an image; answers with its id. What the build prints goes to `log`.
    async fn build(
        &self,
        spec: BuildSpec,
        context: ContextPieces,
        log: Arc<dyn LogSink>,
    ) -> Result<String, ContainerError>;
    /// The id of an image that the engine has.
    async fn find(&self, reference: &str) -> Result<String, ContainerError>;
    /// Gives an image another name.
    async fn tag(&self, image: &str, reference: &str) -> Result<(), ContainerError>;
    /// Pushes what has this name; answers with the digest of the manifest. Progress goes to `log`.
    async fn push(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
        log: Arc<dyn LogSink>,
    ) -> Result<String, ContainerError>;
}

/// The engine of an agent that has none.
pub struct NoContainerEngine;

impl NoContainerEngine {
    fn error() -> ContainerError {
        ContainerError::NotFound("this agent has no engine for containers".to_owned())
    }
}

#[async_trait]
impl ContainerEngine for NoContainerEngine {
    async fn reach(&self) -> Result<(), ContainerError> {
        Err(Self::error())
    }

    async fn build(&self, _: BuildSpec, _: ContextPieces, _: Arc<dyn LogSink>) -> Result<String, ContainerError> {
        Err(Self::error())
    }

    async fn find(&self, _: &str) -> Result<String, ContainerError> {
        Err(Self::error())
    }

    async fn tag(&self, _: &str, _: &str) -> Result<(), ContainerError> {
        Err(Self::error())
    }

    async fn push(&self, _: &str, _: Option<Credentials>, _: Arc<dyn LogSink>) -> Result<String, ContainerError> {
        Err(Self::error())
    }
}

//! Why a cache or an artifact could not be saved, found or put back.

/// Why something could not be done. The kinds are those of the contract's `error`.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such file, entry or artifact.
    #[error("{0}")]
    NotFound(String),
    /// A path leads where it may not.
    #[error("{0}")]
    Denied(String),
    /// A name, a path or a file cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// More than is allowed.
    #[error("{0}")]
    Limit(String),
    /// What is stored is not what was saved.
    #[error("{0}")]
    Damaged(String),
    /// A file could not be read or written.
    #[error("could not {operation} `{path}`")]
    File {
        /// What was to be done, such as `read`.
        operation: &'static str,
        /// The path below the workspace.
        path: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The store refused, or could not be reached.
    #[error("could not {operation} in the store of caches and artifacts")]
    Store {
        /// What was to be done, such as `list entries`.
        operation: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody waits for the result any more.
    #[error("it was stopped")]
    Stopped,
}

impl BlobError {
    pub(crate) fn store(operation: &'static str) -> impl Fn(object_store::Error) -> BlobError {
        move |error| BlobError::Store { operation, cause: error.into() }
    }

    /// The error with its causes on one line.
    pub fn in_one_line(&self) -> String {
        oxide_core::cause::in_one_line(self)
    }
}

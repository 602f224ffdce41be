//! What can go wrong with the store.

use std::path::PathBuf;

/// A store that could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory of the file could not be made, or the file beside it that guards opening not be locked.
    #[error("could not prepare {path} for the store")]
    Prepare {
        /// The directory or the lock file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: std::io::Error,
    },
    /// SQLite could not open the file.
    #[error("could not open the store {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        cause: sqlx::Error,
    },
    /// The file is something else than a SQLite database, or is damaged.
    #[error(
        "{path} is not a database, or it is damaged; move it away to begin with an empty one (its runs are lost), or put \
         a good copy in its place"
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        cause: sqlx::Error,
    },
    /// A newer program has changed the tables.
    #[error(
        "the store {path} was written by a newer version of oxide (its schema is {found}, this one knows up to {known})"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The newest migration in the file.
        found: i64,
        /// The newest migration of this program.
        known: i64,
    },
    /// The tables could not be brought up to date.
    #[error("could not bring the tables of the store {path} up to date")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Which migration failed, and how.
        #[source]
        cause: Box<sqlx::migrate::MigrateError>,
    },
    /// A statement failed.
    #[error("the store could not {what}")]
    Query {
        /// What it was to do.
        what: &'static str,
        /// What SQLite said.
        #[source]
        cause: sqlx::Error,
    },
    /// A stored value cannot be read back.
    #[error("the store holds a {what} that cannot be read")]
    Value {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such run.
    #[error("there is no run `{reference}`")]
    NoSuchRun {
        /// As it was asked for.
        reference: String,
    },
    /// Several runs fit.
    #[error("`{reference}` may mean several runs: {}", candidates.join(", "))]
    AmbiguousRun {
        /// As it was asked for.
        reference: String,
        /// Some of the runs, as `pipeline #number (id)`.
        candidates: Vec<String>,
    },
}

impl StoreError {
    pub(crate) fn query(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
        move |cause| StoreError::Query { what, cause }
    }

    pub(crate) fn value<E>(what: &'static str) -> impl FnOnce(E) -> StoreError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |cause| StoreError::Value { what, cause: cause.into() }
    }
}

//! What can go wrong with the store.

use std::path::PathBuf;

use crate::Location;

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
    /// The file or the database could not be opened.
    #[error("could not open the store {location}{}", hint(location, cause))]
    Open {
        /// Where it is.
        location: Location,
        /// What the database said.
        #[source]
        cause: sqlx::Error,
    },
    /// Another server uses the file.
    #[error(
        "{} is used by another server{}; stop that one first, or give this one its own data directory",
        path.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process of the other server.
        pid: Option<u32>,
    },
    /// The connection that made this server the leader is lost: another one may lead by now.
    #[error("this server leads no more")]
    LeadershipLost {
        /// What happened to the connection; none if it was lost before.
        #[source]
        cause: Option<sqlx::Error>,
    },
    /// A transaction was to be committed after one of its statements had failed.
    #[error("the store undid a transaction, for one of its statements had failed")]
    Undone,
    /// A copy of the store could not be made, or put in its place.
    #[error("could not {what}")]
    Copy {
        /// What was to be done, with which file.
        what: String,
        /// What the operating system said.
        #[source]
        cause: Option<std::io::Error>,
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
        "the store {location} was written by a newer version of oxide (its schema is {found}, this one knows up to {known})"
    )]
    NewerSchema {
        /// Where it is.
        location: Location,
        /// The newest migration that was made.
        found: i64,
        /// The newest migration of this program.
        known: i64,
    },
    /// The tables could not be brought up to date.
    #[error("could not bring the tables of the store {location} up to date")]
    Migrate {
        /// Where it is.
        location: Location,
        /// Which migration failed, and how.
        #[source]
        cause: Box<sqlx::migrate::MigrateError>,
    },
    /// A statement failed.
    #[error("the store could not {what}")]
    Query {
        /// What it was to do.
        what: &'static str,
        /// What the database said.
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
    /// Something else has the name already.
    #[error("there is already a {kind} `{name}`; choose another name")]
    Taken {
        /// What it is.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// What should be the place in a list is something else.
    #[error("`{cursor}` is no place in this list; give the `next_cursor` of the page before, or none")]
    BadCursor {
        /// As it was given.
        cursor: String,
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
    /// Does this server lead no more? Then it is to stop deciding at once, and to stand by.
    pub fn is_leadership_lost(&self) -> bool {
        matches!(self, StoreError::LeadershipLost { .. })
    }

    /// Is there a row already with what must be unique, such as a name?
    pub fn is_unique_violation(&self) -> bool {
        let StoreError::Query { cause, .. } = self else { return false };
        cause.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }

    /// Does the database refuse what is to be written? It would do so again. All else may pass: no connection, no space, no time.
    pub fn is_about_content(&self) -> bool {
        match self {
            StoreError::Query { cause: sqlx::Error::Encode(_), .. } => true,
            StoreError::Query { cause, .. } => cause.as_database_error().is_some_and(|error| {
                let code = error.code().unwrap_or_default();
                // PostgreSQL: what is wrong with data, and too much of it. SQLite: a value too large, or of another type.
                error.kind() != sqlx::error::ErrorKind::Other
                    || code.len() == 5 && (code.starts_with("22") || code.starts_with("54"))
                    || matches!(&*code, "18" | "20")
            }),
            _ => false,
        }
    }

    /// Makes it say that a name is taken, if it is that.
    pub(crate) fn taken(kind: &'static str, name: &str) -> impl FnOnce(StoreError) -> StoreError {
        move |error| match error.is_unique_violation() {
            true => StoreError::Taken { kind, name: name.to_owned() },
            false => error,
        }
    }

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

/// What to do about a database that cannot be opened.
fn hint(location: &Location, cause: &sqlx::Error) -> String {
    const NO_SUCH_DATABASE: &str = "3D000";
    const WRONG_PASSWORD: [&str; 2] = ["28P01", "28000"];
    if location.path().is_some() {
        return String::new();
    }
    let code = cause.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    match &*code {
        NO_SUCH_DATABASE => "; make the database first, with `createdb`".into(),
        code if WRONG_PASSWORD.contains(&code) => "; check user and password of its address".into(),
        "" => "; check that PostgreSQL runs there, with `pg_isready`".into(),
        _ => String::new(),
    }
}

//! Where a store is.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A file of SQLite, or a database of PostgreSQL.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// The file.
    Sqlite(PathBuf),
    /// A URL such as `postgres://user:password@host/database`.
    Postgres(String),
}

/// What is no place of a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{shown}` is no place of a store; type the path of a file, such as `/var/lib/oxide/oxide.db`, or \
     `postgres://USER:PASSWORD@HOST/DATABASE`"
)]
pub struct LocationError {
    shown: String,
}

impl Location {
    /// A path, `sqlite:` and a path, or a URL that begins with `postgres://` or `postgresql://`.
    ///
    /// # Errors
    /// It is empty, or a URL of something else.
    pub fn parse(text: &str) -> Result<Location, LocationError> {
        let wrong = || LocationError { shown: without_password(text) };
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Location::Postgres(text.to_owned()));
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(path) => path.strip_prefix("//").unwrap_or(path),
            None if text.contains("://") => return Err(wrong()),
            None => text,
        };
        if path.is_empty() { Err(wrong()) } else { Ok(Location::Sqlite(path.into())) }
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Location::Sqlite(path) => Some(path),
            Location::Postgres(_) => None,
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Location {
        Location::Sqlite(path.to_owned())
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Location {
        Location::Sqlite(path)
    }
}

impl fmt::Display for Location {
    /// For people, without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sqlite(path) => path.display().fmt(f),
            Location::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// The address without what stands between `:` and `@`, and without parameters, which can hold a password, too.
fn without_password(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // A password may hold an `@` that its writer forgot to escape: the last one ends it.
    let Some((account, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = account.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{host}")
}

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn a_place_is_a_file_or_a_database() {
        let file = |text: &str| Location::parse(text).unwrap().path().unwrap().display().to_string();
        assert_eq!(file("data/oxide.db"), "data/oxide.db");
        assert_eq!(file("sqlite:data/oxide.db"), "data/oxide.db");
        assert_eq!(file("sqlite:///var/oxide.db"), "/var/oxide.db");
        assert!(matches!(Location::parse("postgres://localhost/oxide"), Ok(Location::Postgres(_))));
        assert!(matches!(Location::parse("postgresql://localhost/oxide"), Ok(Location::Postgres(_))));
        for wrong in ["", "sqlite:", "mysql://root:hidden@localhost/oxide"] {
            let error = Location::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("postgres://") && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = "postgres://me:s3cr@t@db.example:5432/oxide?sslmode=require&password=s3cr";
        let place = Location::parse(url).unwrap();
        assert_eq!(place.to_string(), "postgres://me@db.example:5432/oxide");
        assert!(!format!("{place:?}").contains("s3cr"));
    }
}

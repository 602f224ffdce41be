//! Every change of the tables, oldest first: number, name, text. A change that was released is never edited.
//!
//! Listed by hand: the macro that reads the folder would have SQLite and sqlx compiled a second time.

use sqlx::{
    SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::Location;
use crate::StoreError;

macro_rules! migrations {
    ($($number:literal $name:literal),* $(,)?) => {
        pub(crate) const SQLITE: &[(i64, &str, &str)] =
            &[$(($number, $name, include_str!(concat!("../../migrations/sqlite/", $name, ".sql")))),*];
        pub(crate) const POSTGRES: &[(i64, &str, &str)] =
            &[$(($number, $name, include_str!(concat!("../../migrations/postgres/", $name, ".sql")))),*];
    };
}
migrations! {
    1 "0001_runs",
    2 "0002_runs_of_servers",
    3 "0003_server",
    4 "0004_bounds",
}

pub(crate) fn migrator(migrations: &'static [(i64, &str, &str)]) -> Migrator {
    let migration = |(version, name, text): &(i64, &'static str, &'static str)| {
        // The name of the first one as it stands in stores that were made before.
        let name = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        Migration::new(*version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(migrations.iter().map(migration).collect())
}

/// The number of the newest one.
pub(crate) fn newest() -> i64 {
    SQLITE.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}

/// What it means that the tables could not be brought up to date.
pub(super) fn failed(location: &Location, error: MigrateError) -> StoreError {
    let known = newest();
    let location = location.clone();
    match error {
        MigrateError::VersionMissing(found) => StoreError::NewerSchema { location, found, known },
        cause => StoreError::Migrate { location, cause: Box::new(cause) },
    }
}

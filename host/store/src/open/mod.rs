//! Opens a store: settings of the connections, and the tables brought up to date.

mod location;
mod migrations;
mod postgres;
mod sqlite;

pub use location::{Location, LocationError};
pub(crate) use migrations::newest as newest_migration;
#[cfg(test)]
pub(crate) use migrations::{SQLITE as SQLITE_MIGRATIONS, migrator};
pub(crate) use postgres::leader_session;
pub(crate) use sqlite::failed as sqlite_failed;

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, SqlitePool, postgres::PgConnectOptions};

use crate::{Store, StoreError, changes::Changes};

/// How long a writer waits for a writer of another process. Each transaction takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the clones of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub location: Location,
    pub pools: Pools,
    pub changes: Changes,
}

#[derive(Debug)]
pub(crate) enum Pools {
    Sqlite {
        /// One connection: SQLite has one writer at a time, and waiting for each other in the process is quicker than there.
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres {
        pool: PgPool,
        options: Box<PgConnectOptions>,
    },
}

impl Store {
    /// Opens the store at this place. A file is made if it is not there, with its directory; a database of PostgreSQL must be
    /// there. The tables are made, or brought up to date.
    ///
    /// # Errors
    /// The file or database cannot be made or opened, is no store or a damaged one, or was written by a newer program.
    pub async fn open(location: &Location) -> Result<Store, StoreError> {
        let pools = match location {
            Location::Sqlite(path) => sqlite::open(path).await?,
            Location::Postgres(url) => postgres::open(url, location).await?,
        };
        let shared = Shared { location: location.clone(), pools, changes: Changes::default() };
        Ok(Store { shared: Arc::new(shared) })
    }
}

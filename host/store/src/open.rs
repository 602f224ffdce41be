//! Opens the file: settings of the connections, and the tables brought up to date.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Connection, SqlSafeStr, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    Store, StoreError,
    private::{beside, keep_to_owner},
};

/// Every change of the tables, oldest first: number, name, text. A change that was released is never edited.
///
/// Listed by hand: the macro that reads the folder would have SQLite and sqlx compiled a second time.
const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "runs", include_str!("../migrations/0001_runs.sql"))];

fn migrator() -> Migrator {
    let migration = |(version, name, text): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.into_iter().map(migration).collect())
}

/// How long a writer waits for a writer of another process. Each transaction takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
const READERS: u32 = 4;

impl Store {
    /// Opens the store in this file, which is made if it is not there, with its directory.
    ///
    /// # Errors
    /// The file cannot be made or opened, is no database or a damaged one, or was written by a newer program.
    pub async fn open(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref().to_owned();
        // Two processes that open a new file at the same time would both make its tables.
        let _guard = lock(&path).await?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(200);
        let writer = SqlitePoolOptions::new()
            .min_connections(0)
            .max_connections(1)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(BUSY_TIMEOUT)
            .after_release(|connection, _| Box::pin(is_usable(connection)))
            .connect_with(options.clone())
            .await
            .map_err(|cause| open_error(&path, cause))?;
        if let Err(error) = migrate(&writer, &path).await {
            writer.close().await;
            return Err(error);
        }
        let readers = SqlitePoolOptions::new()
            .min_connections(0)
            .max_connections(READERS)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Store { path: Arc::new(path), writer, readers })
    }
}

/// Can the next transaction begin on a connection that was given back? When the disk is full SQLite ends the transaction by
/// itself; the rollback that follows then fails, and sqlx takes the connection for one within a transaction for ever.
async fn is_usable(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    if connection.is_in_transaction() {
        // Waits for a rollback that is on its way.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

async fn lock(path: &Path) -> Result<File, StoreError> {
    let (store, name) = (path.to_owned(), beside(path, ".lock"));
    let shown = name.clone();
    let attempt = tokio::task::spawn_blocking(move || {
        if let Some(directory) = name.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&name)?;
        file.lock()?;
        keep_to_owner(&store)?;
        Ok(file)
    });
    let opened = attempt.await.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
    opened.map_err(|cause| StoreError::Prepare { path: shown, cause })
}

async fn migrate(writer: &sqlx::SqlitePool, path: &Path) -> Result<(), StoreError> {
    let known = MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0);
    match migrator().run(writer).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) => {
            Err(StoreError::NewerSchema { path: path.to_owned(), found, known })
        }
        Err(MigrateError::Execute(cause)) => Err(open_error(path, cause)),
        Err(cause) => Err(StoreError::Migrate { path: path.to_owned(), cause: Box::new(cause) }),
    }
}

fn open_error(path: &Path, cause: sqlx::Error) -> StoreError {
    const CORRUPT: &str = "11";
    const NOT_A_DATABASE: &str = "26";
    let path = path.to_owned();
    let code = cause.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some(CORRUPT | NOT_A_DATABASE) => StoreError::NotADatabase { path, cause },
        _ => StoreError::Open { path, cause },
    }
}

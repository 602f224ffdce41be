//! Opens a file of SQLite.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use sqlx::{
    Connection as _, SqliteConnection, SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{BUSY_TIMEOUT, Pools, migrations};
use crate::{
    StoreError,
    private::{beside, keep_to_owner},
};

const READERS: u32 = 4;

pub(super) async fn open(path: &Path) -> Result<Pools, StoreError> {
    // Two processes that open a new file at the same time would both make its tables.
    let _guard = lock(path).await?;
    let options = SqliteConnectOptions::new()
        .filename(path)
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
        .map_err(|cause| failed(path, cause))?;
    if let Err(error) = migrate(&writer, path).await {
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
    Ok(Pools::Sqlite { writer, readers })
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

/// Brings the tables up to date, without looking at references: a table that is made anew under its old name would take
/// everything that refers to it with it. The setting can only be changed outside of a transaction.
async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let mut connection = writer.acquire().await.map_err(|cause| failed(path, cause))?;
    let set = |on: bool| if on { "PRAGMA foreign_keys = ON" } else { "PRAGMA foreign_keys = OFF" };
    sqlx::raw_sql(set(false)).execute(&mut *connection).await.map_err(|cause| failed(path, cause))?;
    match migrations::migrator(migrations::SQLITE).run_direct(None, &mut *connection, false).await {
        Ok(()) => {}
        Err(MigrateError::Execute(cause)) => return Err(failed(path, cause)),
        Err(error) => return Err(migrations::failed(&path.into(), error)),
    }
    sqlx::raw_sql(set(true)).execute(&mut *connection).await.map_err(|cause| failed(path, cause))?;
    Ok(())
}

/// What it means that a file cannot be opened.
pub(crate) fn failed(path: &Path, cause: sqlx::Error) -> StoreError {
    const CORRUPT: &str = "11";
    const NOT_A_DATABASE: &str = "26";
    let code = cause.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some(CORRUPT | NOT_A_DATABASE) => StoreError::NotADatabase { path: path.to_owned(), cause },
        _ => StoreError::Open { location: path.into(), cause },
    }
}

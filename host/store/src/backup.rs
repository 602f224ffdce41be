//! A copy of a store while it is used, and a store made of a copy. For files of SQLite; PostgreSQL has its own tools.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{Location, Store, StoreError, open, private::beside, writer};

impl Store {
    /// Writes a copy of the store to a new file. The store can be used meanwhile: the copy is what was stored when it began.
    /// The copy is checked before it gets its name.
    ///
    /// # Errors
    /// There is a file of that name, it cannot be written, or the store is damaged or in PostgreSQL.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let Some(path) = self.path() else {
            return Err(for_postgres("copied", "pg_dump --format=custom --file=FILE URL"));
        };
        let partial = beside(to, ".partial");
        let refused = |what: &str| format!("write the copy {}: {what}", to.display());
        if fs::symlink_metadata(to).is_ok() {
            return Err(failed(refused("there is a file of this name; choose another one, or remove it first"), None));
        }
        // Empty, for its owner only: SQLite writes into it.
        let _ = fs::remove_file(&partial);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        made.map_err(|cause| failed(refused("the file cannot be made"), Some(cause)))?;
        let written = write_copy(path, &partial).await;
        let finished = match written {
            Ok(()) => finish(&partial, to).map_err(|cause| failed(refused("its name cannot be given"), Some(cause))),
            Err(error) => Err(error),
        };
        if finished.is_err() {
            let _ = fs::remove_file(&partial);
        }
        finished
    }

    /// Puts a copy in the place of a store, which must not be in use. The store that was there is kept beside it, with
    /// `.before-restore` behind its name.
    ///
    /// # Errors
    /// The copy is none, is damaged or of a newer program; a server uses the store; or files cannot be written.
    pub async fn restore(from: &Path, location: &Location) -> Result<(), StoreError> {
        let Some(to) = location.path() else {
            return Err(for_postgres("restored", "pg_restore --clean --if-exists --dbname=URL FILE"));
        };
        // Held to the end, so that no server begins.
        let _server = if to.exists() { Some(writer::lock(to)?) } else { None };
        let kept = beside(to, ".before-restore");
        let refused = |what: String| format!("restore {}: {what}", to.display());
        if fs::symlink_metadata(&kept).is_ok() {
            let what = format!("{} is there from an earlier time; move it away first", kept.display());
            return Err(failed(refused(what), None));
        }
        check(from).await?;
        let partial = beside(to, ".partial");
        copy(from, &partial)
            .map_err(|cause| failed(refused(format!("{} cannot be copied", from.display())), Some(cause)))?;
        // Opened under its new name, it is brought up to date there, too.
        check(&partial).await?;
        put_in_place(to, &kept, &partial)
            .map_err(|cause| failed(refused("the files beside it cannot be changed".into()), Some(cause)))?;
        Store::open(location).await?.close().await;
        Ok(())
    }
}

async fn write_copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    // Not one of the readers, which may write nowhere.
    let mut connection = connect(from, true).await?;
    let text = to.to_str().ok_or_else(|| failed(format!("write {}: the name is no text", to.display()), None))?;
    let written = sqlx::query("VACUUM INTO $1").bind(text).execute(&mut connection).await;
    let _ = connection.close().await;
    written.map_err(|cause| StoreError::Query { what: "write a copy of itself", cause })?;
    check(to).await
}

/// Is this a whole store that this program can read?
async fn check(path: &Path) -> Result<(), StoreError> {
    let mut connection = connect(path, false).await?;
    let answers: Result<Vec<String>, _> =
        sqlx::query_scalar("PRAGMA integrity_check(5)").fetch_all(&mut connection).await;
    let version: Result<i64, _> =
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&mut connection).await;
    let _ = connection.close().await;
    let damaged = |cause| StoreError::NotADatabase { path: path.to_owned(), cause };
    let answers = answers.map_err(damaged)?;
    if answers != ["ok"] {
        return Err(damaged(sqlx::Error::Protocol(answers.join("; "))));
    }
    let (found, known) = (version.map_err(damaged)?, open::newest_migration());
    if found > known {
        return Err(StoreError::NewerSchema { location: path.into(), found, known });
    }
    Ok(())
}

/// For reading. A copy has no log beside it, and gets none; a store in use has one.
async fn connect(path: &Path, is_in_use: bool) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
    let options = if is_in_use { options } else { options.immutable(true) };
    options.connect().await.map_err(|cause| open::sqlite_failed(path, cause))
}

/// Makes the copy last, then gives it its name, unless that is taken by now.
fn finish(partial: &Path, to: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::hard_link(partial, to)?;
    fs::remove_file(partial)?;
    sync_directory(to)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let _ = fs::remove_file(to);
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()
}

/// The old store goes with the files beside it, for a log of the old one would damage the new one.
fn put_in_place(to: &Path, kept: &Path, partial: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let (old, new): (PathBuf, PathBuf) = (beside(to, suffix), beside(kept, suffix));
        if old.exists() {
            fs::rename(old, new)?;
        }
    }
    fs::rename(partial, to)?;
    sync_directory(to)
}

fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn for_postgres(done: &str, command: &str) -> StoreError {
    failed(format!("do this: a store in PostgreSQL is {done} by its own tools; type `{command}`"), None)
}

fn failed(what: String, cause: Option<io::Error>) -> StoreError {
    StoreError::Copy { what, cause }
}

//! What is true of files of SQLite only.

use std::path::PathBuf;

use oxide_core::time::Timestamp;
use tempfile::TempDir;

use super::{FIRST, OWNER, SECOND, insert, run};
use crate::{Location, NewRun, Store, StoreError, open::Pools};

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/oxide.db");
    (directory, path)
}

async fn open(path: &std::path::Path) -> Result<Store, StoreError> {
    Store::open(&Location::from(path)).await
}

/// The connection that writes.
fn writer(store: &Store) -> &sqlx::SqlitePool {
    match &store.shared.pools {
        Pools::Sqlite { writer, .. } => writer,
        Pools::Postgres { .. } => panic!("not a file"),
    }
}

#[tokio::test]
async fn many_may_open_a_new_file_at_the_same_time() {
    let (_directory, path) = file();
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { open(&path).await })
        })
        .collect();
    for store in opened {
        store.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let (directory, _) = file();
    let path = directory.path().join("oxide.db");
    std::fs::write(&path, "this is a text file, and a long one at that\n".repeat(100)).unwrap();
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    assert!(error.to_string().contains(&path.display().to_string()));
    assert!(matches!(open(directory.path()).await.unwrap_err(), StoreError::Open { .. }));
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let (_directory, path) = file();
    let store = open(&path).await.unwrap();
    insert(&store, &run(FIRST, "build")).await;
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..64].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(open(&path).await.unwrap_err(), StoreError::NotADatabase { .. }));
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_left_alone() {
    let (_directory, path) = file();
    let store = open(&path).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
         SELECT 9999, 'future', installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1",
    )
    .execute(writer(&store))
    .await
    .unwrap();
    store.close().await;
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("newer version"));
}

#[tokio::test]
async fn after_the_disk_was_full_it_writes_again() {
    let (_directory, path) = file();
    let store = open(&path).await.unwrap();
    // As if the disk had no more room.
    sqlx::query("PRAGMA max_page_count = 30").execute(writer(&store)).await.unwrap();
    let large = NewRun { source_text: "x".repeat(4 << 20), ..run(FIRST, "build") };
    let mut transaction = store.begin().await.unwrap();
    let refused = transaction.insert_run(&large, OWNER, Timestamp(5)).await;
    assert!(refused.is_err(), "it was meant to find no room");
    drop(transaction);
    assert_eq!(insert(&store, &run(SECOND, "build")).await, 1, "what failed has left nothing");
}

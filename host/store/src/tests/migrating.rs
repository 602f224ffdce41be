//! Tables are made and brought up to date, by several at the same time, too.

use std::str::FromStr as _;

use oxide_core::{
    event::{Event, EventKind},
    id::{JobIndex, RunId, StageIndex},
    plan::Plan,
    time::Timestamp,
};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use super::{FIRST, SECOND, databases, insert, run};
use crate::{Location, Store, StoreError, WriteBatch};

/// The tables as the first version made them, and what it wrote down about that.
async fn store_of_the_first_version(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::from_str("sqlite:").unwrap().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let migrations = &crate::open::SQLITE_MIGRATIONS[..1];
    crate::open::migrator(migrations).run_direct(None, &mut connection, false).await.unwrap();
    connection
}

#[tokio::test]
async fn a_file_of_the_first_version_keeps_its_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("oxide.db");
    let mut old = store_of_the_first_version(&path).await;
    let plan: Plan = (*run(FIRST, "build").plan).clone();
    let packed = zstd::bulk::compress(&serde_json::to_vec(&plan).unwrap(), 1).unwrap();
    let (id, owner) = (Uuid::from_u128(FIRST).to_string(), Uuid::from_u128(1).to_string());
    sqlx::query(
        "INSERT INTO runs (id, pipeline, number, status, plan, source, project, owner, created_at) \
         VALUES ($1, 'build', 41, 'pending', $2, 'source', '/project', $3, 5)",
    )
    .bind(&id)
    .bind(packed)
    .bind(owner)
    .execute(&mut old)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO stages (run, stage, name, status, blocked, outputs) VALUES ($1, 0, 'test', 'pending', 0, '{}')",
    )
    .bind(&id)
    .execute(&mut old)
    .await
    .unwrap();
    sqlx::query("INSERT INTO jobs (run, job, stage, name, status, attempt) VALUES ($1, 0, 0, 'test', 'pending', 0)")
        .bind(&id)
        .execute(&mut old)
        .await
        .unwrap();
    let event = format!(r#"{{"run":"{id}","at":5,"type":"run.started"}}"#);
    sqlx::query("INSERT INTO outbox (seq, run, at, subject, body) VALUES (90, $1, 5, 'run', $2)")
        .bind(&id)
        .bind(event)
        .execute(&mut old)
        .await
        .unwrap();
    old.close().await.unwrap();

    let store = Store::open(&Location::from(path)).await.unwrap();
    let run_id = RunId(Uuid::from_u128(FIRST));
    let stored = store.run(run_id).await.unwrap().unwrap();
    assert_eq!((stored.number, stored.project_dir.as_str(), stored.origin.priority), (41, "/project", 0));
    assert_eq!(store.plan(run_id).await.unwrap(), plan);
    assert_eq!(store.stages(run_id).await.unwrap()[0].stage, StageIndex(0), "what refers to a run stayed");
    assert_eq!(store.jobs(run_id).await.unwrap()[0].job, JobIndex(0));
    let event = &store.events_after(0, 10).await.unwrap()[0];
    assert_eq!((event.seq, event.event.run), (90, Some(run_id)));
    assert_eq!(insert(&store, &run(SECOND, "build")).await, 42, "numbers go on");
    let mut batch = WriteBatch::default();
    batch.event(Event::of_server(Timestamp(6), EventKind::RunStarted));
    let mut transaction = store.begin().await.unwrap();
    assert_eq!(transaction.write(&batch).await.unwrap(), 91);
    transaction.commit().await.unwrap();
    // References are watched again, and those to the tables that were made anew are whole.
    let orphan = crate::StageRow { run: RunId(Uuid::from_u128(99)), ..store.stages(run_id).await.unwrap().remove(0) };
    let mut batch = WriteBatch::default();
    batch.stage(orphan);
    assert!(store.begin().await.unwrap().write(&batch).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_servers_may_start_on_a_new_database_at_the_same_time() {
    let Some(location) = databases::empty_database().await else { return };
    let opened: Vec<_> = (0..8)
        .map(|_| {
            let location = location.clone();
            tokio::spawn(async move { Store::open(&location).await })
        })
        .collect();
    for store in opened {
        store.await.unwrap().unwrap().close().await;
    }
    drop_database(&location).await;
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let Some(location) = databases::empty_database().await else { return };
    Store::open(&location).await.unwrap().close().await;
    let Location::Postgres(url) = &location else { panic!("not in PostgreSQL") };
    let mut connection = PgConnection::connect(url).await.unwrap();
    let future = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
                  SELECT 9999, 'future', installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1";
    sqlx::raw_sql(future).execute(&mut connection).await.unwrap();
    let error = Store::open(&location).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }), "{error:?}");
    drop_database(&location).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named_with_what_to_do() {
    let Some(address) = databases::server() else { return };
    let (host, _) = address.rsplit_once('/').unwrap();
    let missing = Location::parse(&format!("{host}/no_such_database")).unwrap();
    let error = Store::open(&missing).await.unwrap_err().to_string();
    assert!(error.contains("no_such_database") && error.contains("createdb"), "{error}");
    let nobody = Location::parse("postgres://me:hidden@127.0.0.1:1/oxide").unwrap();
    let error = Store::open(&nobody).await.unwrap_err().to_string();
    assert!(error.contains("pg_isready") && !error.contains("hidden"), "{error}");
}

async fn drop_database(location: &Location) {
    let Location::Postgres(url) = location else { panic!("not in PostgreSQL") };
    let name = url.rsplit('/').next().unwrap();
    let mut server = PgConnection::connect(&databases::server().unwrap()).await.unwrap();
    databases::run_on(&mut server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

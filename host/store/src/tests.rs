//! Stories of a store in a real file.

use std::{path::PathBuf, sync::Arc};

use oxide_core::{
    event::{Event, EventKind},
    id::{AttemptId, JobIndex, RunId, StepIndex},
    outcome::Status,
    plan::{JobContext, Plan},
    protocol::{LogChunk, LogMark, LogStream},
    run::RunState,
    time::Timestamp,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{NewRun, Owner, OwnerId, RunStatus, Store, StoreError, WriteBatch};

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/oxide.db");
    (directory, path)
}

const OWNER: OwnerId = OwnerId(Uuid::from_u128(1));

fn run(id: u128, pipeline: &str) -> NewRun {
    let plan = Plan {
        pipeline: pipeline.into(),
        file: "oxide.yaml".into(),
        timeout_ms: 1000,
        stages: Vec::new(),
        jobs: Vec::new(),
        context: JobContext::default(),
    };
    NewRun {
        id: RunId(Uuid::from_u128(id)),
        plan: Arc::new(plan),
        source_text: "version: \"1\"\n".into(),
        project_dir: "project".into(),
    }
}

async fn insert(store: &Store, run: &NewRun) -> u64 {
    let mut transaction = store.begin().await.unwrap();
    let number = transaction.insert_run(run, OWNER, Timestamp(5)).await.unwrap();
    transaction.commit().await.unwrap();
    number
}

/// Ids whose first digits differ.
const FIRST: u128 = 0x1111_aaaa << 96;
const SECOND: u128 = 0x1111_bbbb << 96;
const THIRD: u128 = 0x2222_cccc << 96;
const FOURTH: u128 = 0x3333_dddd << 96;

#[tokio::test]
async fn runs_are_numbered_by_pipeline_and_found_as_people_name_them() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    assert_eq!(insert(&store, &run(FIRST, "build")).await, 1);
    assert_eq!(insert(&store, &run(SECOND, "build")).await, 2);
    assert_eq!(insert(&store, &run(THIRD, "deploy")).await, 1);
    let found = |reference: &'static str, pipeline: Option<&'static str>| {
        let store = store.clone();
        async move { store.find_run(reference, pipeline, None).await.map(|run| run.id.0.as_u128()) }
    };
    assert_eq!(found("latest", None).await.unwrap(), THIRD);
    assert_eq!(found("latest", Some("build")).await.unwrap(), SECOND);
    assert_eq!(found("2", None).await.unwrap(), SECOND);
    assert_eq!(found("#1", Some("build")).await.unwrap(), FIRST);
    assert_eq!(found("1111bbbb", None).await.unwrap(), SECOND);
    assert_eq!(found("2222CCCC-0000", None).await.unwrap(), THIRD);
    assert_eq!(found("1111b", None).await.unwrap(), SECOND);
    insert(&store, &NewRun { project_dir: "elsewhere".into(), ..run(FOURTH, "release") }).await;
    let here = store.find_run("1", None, Some("elsewhere")).await.unwrap();
    assert_eq!((here.pipeline.as_str(), found("1", None).await.unwrap()), ("release", FOURTH));
    let here = store.find_run("1", None, Some("project")).await.unwrap();
    assert_eq!(here.pipeline, "deploy", "the newest of this directory");
    let here = store.find_run("latest", None, Some("project")).await.unwrap();
    assert_eq!(here.pipeline, "deploy", "not the one that another directory has run since");
    assert_eq!(store.find_run("latest", None, Some("nowhere")).await.unwrap().pipeline, "release");
    assert!(matches!(found("99", None).await, Err(StoreError::NoSuchRun { .. })));
    assert!(matches!(found("x' OR 1=1", None).await, Err(StoreError::NoSuchRun { .. })));
    let newest = store.list_runs(None, 2).await.unwrap();
    assert_eq!(newest.iter().map(|run| run.id.0.as_u128()).collect::<Vec<_>>(), [FOURTH, THIRD]);
    let older = store.list_runs(Some(RunId(Uuid::from_u128(SECOND))), 2).await.unwrap();
    assert_eq!(older.len(), 1);
    assert_eq!(store.plan(older[0].id).await.unwrap().pipeline, "build");
    assert_eq!(store.source_text(older[0].id).await.unwrap(), "version: \"1\"\n");
}

#[tokio::test]
async fn a_beginning_that_several_ids_have_names_them() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    insert(&store, &run(0xabcd_1111 << 96, "build")).await;
    insert(&store, &run(0xabcd_2222 << 96, "build")).await;
    let error = store.find_run("abcd", None, None).await.unwrap_err().to_string();
    assert!(error.contains("build #1") && error.contains("build #2"), "{error}");
}

#[tokio::test]
async fn what_is_not_committed_is_not_there() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_run(&run(FIRST, "build"), OWNER, Timestamp(5)).await.unwrap();
    drop(transaction);
    assert_eq!(store.list_runs(None, 10).await.unwrap(), []);
    assert_eq!(insert(&store, &run(FIRST, "build")).await, 1, "the writer is free again");
}

#[tokio::test]
async fn rows_and_events_are_written_together_and_events_are_in_order() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    let new = run(FIRST, "build");
    insert(&store, &new).await;
    let mut batch = WriteBatch::default();
    let mut state = RunState::of(&new.plan);
    state.status = Status::Failure;
    state.reason = Some("because".into());
    state.ended_at = Some(Timestamp(9));
    batch.run(new.id, RunStatus::from(&state));
    // More than one statement's worth, in every size of statement.
    for at in 0..200 {
        batch.event(Event { run: new.id, at: Timestamp(at), kind: EventKind::RunStarted });
    }
    let mut transaction = store.begin().await.unwrap();
    assert_eq!(transaction.write(&batch).await.unwrap(), 1);
    transaction.commit().await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    assert_eq!(transaction.write(&batch).await.unwrap(), 201);
    transaction.commit().await.unwrap();
    let events = store.events_after(150, 100).await.unwrap();
    assert_eq!(events.len(), 100);
    assert_eq!((events[0].seq, events[0].event.at), (151, Timestamp(150)));
    assert_eq!((events[50].seq, events[50].event.at), (201, Timestamp(0)));
    assert_eq!(store.last_event().await.unwrap(), 400);
    let stored = store.run(new.id).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.reason.as_deref()), (Status::Failure, Some("because")));
    assert_eq!(store.run_state(new.id).await.unwrap(), ((*new.plan).clone(), state));
    assert_eq!(store.open_runs(OWNER).await.unwrap(), []);
    let mut transaction = store.begin().await.unwrap();
    transaction.prune_events(Timestamp(150)).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(store.events_after(0, 1).await.unwrap()[0].seq, 151);
}

#[tokio::test]
async fn a_log_is_read_from_any_line_on() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    let new = run(FIRST, "build");
    insert(&store, &new).await;
    let attempt = AttemptId { run: new.id, job: JobIndex(0), number: 1 };
    let mut batch = WriteBatch::default();
    for chunk in 0..10u64 {
        let text: String = (0..100).map(|line| format!("line {}\n", chunk * 100 + line + 1)).collect();
        let mark = |line, stream| LogMark { line, at: Timestamp(i64::from(line)), stream };
        let chunk = LogChunk {
            step: StepIndex(0),
            first_line: chunk * 100 + 1,
            line_count: 100,
            raw_bytes: text.len() as u32,
            marks: vec![mark(0, LogStream::Stdout), mark(50, LogStream::Stderr)],
            body: zstd::bulk::compress(text.as_bytes(), 1).unwrap().into(),
        };
        batch.log(attempt, chunk);
    }
    let mut transaction = store.begin().await.unwrap();
    transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();
    let page = store.log_page(attempt, StepIndex(0), 195, 120).await.unwrap();
    assert_eq!((page.lines.len(), page.next), (120, Some(315)));
    assert_eq!((page.lines[0].number, page.lines[0].text.as_slice()), (195, b"line 195".as_slice()));
    assert_eq!((page.lines[0].stream, page.lines[6].stream), (LogStream::Stderr, LogStream::Stdout));
    assert_eq!(page.lines[119].text, b"line 314");
    let end = store.log_page(attempt, StepIndex(0), 991, 100).await.unwrap();
    assert_eq!((end.lines.len(), end.next), (10, None));
    let exact = store.log_page(attempt, StepIndex(0), 901, 100).await.unwrap();
    assert_eq!((exact.lines.len(), exact.next), (100, None));
    assert_eq!(store.log_page(attempt, StepIndex(0), 5000, 10).await.unwrap().lines, []);
    assert_eq!(store.log_page(attempt, StepIndex(3), 1, 10).await.unwrap().next, None);
    assert_eq!(store.log_line_count(attempt, StepIndex(0)).await.unwrap(), 1000);
}

#[tokio::test]
async fn owners_come_and_go() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    let owner = Owner { id: OwnerId(Uuid::from_u128(9)), pid: 42, host: "box".into(), started_at: Timestamp(3) };
    let mut transaction = store.begin().await.unwrap();
    transaction.put_owner(&owner).await.unwrap();
    transaction.put_owner(&owner).await.unwrap();
    assert_eq!(transaction.owners().await.unwrap(), std::slice::from_ref(&owner));
    transaction.remove_owner(owner.id).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(store.owners().await.unwrap(), []);
}

#[tokio::test]
async fn many_may_open_a_new_file_at_the_same_time() {
    let (_directory, path) = file();
    let opened: Vec<_> = (0..8).map(|_| tokio::spawn(Store::open(path.clone()))).collect();
    for store in opened {
        store.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let (directory, _) = file();
    let path = directory.path().join("oxide.db");
    std::fs::write(&path, "this is a text file, and a long one at that\n".repeat(100)).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    assert!(error.to_string().contains(&path.display().to_string()));
    assert!(matches!(Store::open(directory.path()).await.unwrap_err(), StoreError::Open { .. }));
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    insert(&store, &run(FIRST, "build")).await;
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..64].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(Store::open(&path).await.unwrap_err(), StoreError::NotADatabase { .. }));
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_left_alone() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
         SELECT 9999, 'future', installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1",
    )
    .execute(&store.writer)
    .await
    .unwrap();
    store.close().await;
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("newer version"));
}

#[tokio::test]
async fn after_the_disk_was_full_it_writes_again() {
    let (_directory, path) = file();
    let store = Store::open(&path).await.unwrap();
    // As if the disk had no more room.
    sqlx::query("PRAGMA max_page_count = 30").execute(&store.writer).await.unwrap();
    let large = NewRun { source_text: "x".repeat(4 << 20), ..run(FIRST, "build") };
    let mut transaction = store.begin().await.unwrap();
    let refused = transaction.insert_run(&large, OWNER, Timestamp(5)).await;
    assert!(refused.is_err(), "it was meant to find no room");
    drop(transaction);
    assert_eq!(insert(&store, &run(SECOND, "build")).await, 1, "what failed has left nothing");
}

//! Old runs go, and copies come back.

use std::{fs, os::unix::fs::MetadataExt as _};

use oxide_core::{
    id::{AttemptId, JobIndex, RunId, StepIndex},
    protocol::LogChunk,
    time::Timestamp,
};
use uuid::Uuid;

use super::{FIRST, OWNER, SECOND, databases::on_each_database, insert, run};
use crate::{LeaderInfo, Location, LogLine, LogOf, Retention, Store, StoreError, WriteBatch, sql::query};

/// Runs 1 to `count` of a pipeline, created in that order, all of them ended but the last one.
async fn insert_ended(store: &Store, pipeline: &str, ids: std::ops::RangeInclusive<u128>) {
    let last = *ids.end();
    for id in ids {
        let mut transaction = store.begin().await.unwrap();
        let created_at = Timestamp(i64::try_from(id).unwrap());
        transaction.insert_run(&run(id, pipeline), OWNER, created_at).await.unwrap();
        if id != last {
            let ended = query("end", "UPDATE runs SET ended_at = 1000 WHERE id = $1").bind(RunId(Uuid::from_u128(id)));
            ended.execute(transaction.connection()).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
}

fn chunk(step: u32, first_line: u64, text: &str) -> LogChunk {
    LogChunk {
        step: StepIndex(step),
        first_line,
        line_count: text.lines().count() as u32,
        raw_bytes: text.len() as u32,
        marks: Vec::new(),
        body: zstd::bulk::compress(text.as_bytes(), 1).unwrap().into(),
    }
}

async fn log(store: &Store, run: u128, chunks: &[(u32, u32, LogChunk)]) {
    let mut batch = WriteBatch::default();
    for (job, attempt, chunk) in chunks {
        let id = AttemptId { run: RunId(Uuid::from_u128(run)), job: JobIndex(*job), number: *attempt };
        batch.log(id, chunk.clone());
    }
    let mut transaction = store.begin().await.unwrap();
    transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn ids(store: &Store) -> Vec<u128> {
    let mut ids: Vec<u128> = store.list_runs(None, 1000).await.unwrap().iter().map(|run| run.id.0.as_u128()).collect();
    ids.sort_unstable();
    ids
}

on_each_database! {
    async fn old_runs_go_and_the_newest_of_each_pipeline_stay(store: TestStore) {
        insert_ended(&store, "build", 1..=60).await;
        insert_ended(&store, "deploy", 61..=62).await;
        let writer = store.writer();
        assert_eq!(writer.delete_expired_runs(&Retention::default()).await.unwrap(), [], "no rule, nothing goes");
        log(&store, 3, &[(0, 1, chunk(0, 1, "a\nb\n"))]).await;
        let before = Retention { created_before: Some(Timestamp(11)), newest: None };
        let gone = writer.delete_expired_runs(&before).await.unwrap();
        assert_eq!(gone.iter().map(|run| run.0.as_u128()).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        assert_eq!(ids(&store).await, (11..=62).collect::<Vec<_>>());
        assert_eq!(store.log_chunks_after(&LogOf::run(RunId(Uuid::from_u128(3))), None, 10).await.unwrap(), []);
        let newest = Retention { created_before: None, newest: Some(3) };
        while !writer.delete_expired_runs(&newest).await.unwrap().is_empty() {}
        assert_eq!(ids(&store).await, [58, 59, 60, 61, 62]);
        let all = Retention { created_before: Some(Timestamp(5000)), newest: Some(0) };
        while !writer.delete_expired_runs(&all).await.unwrap().is_empty() {}
        assert_eq!(ids(&store).await, [60, 62], "the newest stay, so that their numbers go on");
        assert_eq!(insert(&store, &run(FIRST, "build")).await, 61);
    }

    async fn a_whole_log_is_read_in_its_order_and_from_any_place_on(store: TestStore) {
        insert(&store, &run(FIRST, "build")).await;
        let parts = [
            (0, 1, chunk(0, 1, "1\n2\n")),
            (0, 1, chunk(0, 3, "3\n")),
            (0, 1, chunk(1, 1, "4\n")),
            (0, 2, chunk(0, 1, "5\n")),
            (1, 1, chunk(0, 1, "6\n7\n")),
        ];
        let mut mixed = parts.to_vec();
        mixed.rotate_left(2);
        log(&store, FIRST, &mixed).await;
        let run = RunId(Uuid::from_u128(FIRST));
        let whole = store.log_chunks_after(&LogOf::run(run), None, 100).await.unwrap();
        let text: Vec<u8> = whole.iter().flat_map(|chunk| chunk.text()).collect();
        assert_eq!(String::from_utf8(text).unwrap(), "1\n2\n3\n4\n5\n6\n7\n");
        // Chunk by chunk, from the place of the one before.
        let (mut place, mut lines) = (None, Vec::new());
        while let [stored] = store.log_chunks_after(&LogOf::run(run), place, 1).await.unwrap().as_slice() {
            place = Some(stored.place());
            lines.extend(stored.lines().into_iter().map(|line| String::from_utf8(line.text).unwrap()));
        }
        assert_eq!(lines.concat(), "1234567");
        let second = LogOf { attempt: Some(2), job: Some(JobIndex(0)), ..LogOf::run(run) };
        assert_eq!(store.log_chunks_after(&second, None, 9).await.unwrap()[0].text(), b"5\n");
        let step = LogOf::step(AttemptId { run, job: JobIndex(0), number: 1 }, StepIndex(1));
        assert_eq!(store.log_chunks_after(&step, None, 9).await.unwrap()[0].text(), b"4\n");
        let sizes: Vec<_> = store.log_sizes(run).await.unwrap().iter().map(|size| (size.lines, size.bytes)).collect();
        assert_eq!(sizes, [(3, 6), (1, 2), (1, 2), (2, 4)]);
    }

    async fn a_damaged_chunk_is_one_line_of_the_log(store: TestStore) {
        insert(&store, &run(FIRST, "build")).await;
        let damaged = LogChunk { body: b"rotten".as_slice().into(), ..chunk(0, 3, "3\n4\n") };
        // Of a text that is shorter than it says the lines that are there are told.
        let short = LogChunk { line_count: u32::MAX, ..chunk(0, 5, "5\n") };
        log(&store, FIRST, &[(0, 1, chunk(0, 1, "1\n2\n")), (0, 1, damaged), (0, 1, short)]).await;
        let attempt = AttemptId { run: RunId(Uuid::from_u128(FIRST)), job: JobIndex(0), number: 1 };
        let read = async |from| {
            let page = store.log_page(attempt, StepIndex(0), from, 10).await.unwrap();
            assert_eq!(page.next, None);
            let text = |line: LogLine| (line.number, String::from_utf8(line.text).unwrap());
            page.lines.into_iter().map(text).collect::<Vec<_>>()
        };
        let line = |number, text: &str| (number, text.to_owned());
        let instead = "[lines 3 to 4 are damaged in the store]";
        assert_eq!(read(1).await, [line(1, "1"), line(2, "2"), line(3, instead), line(5, "5")]);
        assert_eq!(read(4).await, [line(4, instead), line(5, "5")]);
        let whole = store.log_chunks_after(&LogOf::run(attempt.run), None, 9).await.unwrap();
        let text: Vec<u8> = whole.iter().flat_map(|chunk| chunk.text()).collect();
        assert_eq!(String::from_utf8(text).unwrap(), format!("1\n2\n{instead}\n5\n"));
        assert_eq!(whole.iter().map(|chunk| chunk.lines().len()).sum::<usize>(), 4);
    }

    async fn a_store_in_use_is_copied_and_the_copy_restored(store: TestStore) {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("copy.db");
        if store.is_postgres() {
            let error = store.backup(&copy).await.unwrap_err().to_string();
            assert!(error.contains("pg_dump"), "{error}");
            let error = Store::restore(&copy, store.location()).await.unwrap_err().to_string();
            assert!(error.contains("pg_restore"), "{error}");
            return;
        }
        insert(&store, &run(FIRST, "build")).await;
        // Somebody writes all the time.
        let writing = tokio::spawn({
            let store = (*store).clone();
            async move {
                for id in 1..=50 {
                    insert(&store, &run(id, "other")).await;
                }
            }
        });
        store.backup(&copy).await.unwrap();
        assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o077, 0, "for its owner only");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        let again = store.backup(&copy).await.unwrap_err().to_string();
        assert!(again.contains("choose another"), "{again}");
        writing.await.unwrap();
        insert(&store, &run(SECOND, "build")).await;
        let server = LeaderInfo { server: "one".into(), url: None, since: Timestamp(0) };
        let leader = store.try_lead(&server).await.unwrap().unwrap();
        assert!(matches!(Store::restore(&copy, store.location()).await, Err(StoreError::InUse { .. })));
        leader.step_down().await;
        store.close().await;
        Store::restore(&copy, store.location()).await.unwrap();
        let restored = store.opened_again().await;
        let first = restored.run(RunId(Uuid::from_u128(FIRST))).await.unwrap();
        assert!(first.is_some() && restored.run(RunId(Uuid::from_u128(SECOND))).await.unwrap().is_none());
        restored.close().await;
        let kept = store.path().unwrap().with_extension("db.before-restore");
        let former = Store::open(&Location::from(kept)).await.unwrap();
        assert!(former.run(RunId(Uuid::from_u128(SECOND))).await.unwrap().is_some(), "what was there is kept");
        former.close().await;
        let error = Store::restore(&copy, store.location()).await.unwrap_err().to_string();
        assert!(error.contains("before-restore"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_or_strange_copy_is_not_restored() {
    let directory = tempfile::tempdir().unwrap();
    let (place, copy) = (directory.path().join("oxide.db"), directory.path().join("copy.db"));
    let location = Location::from(place.clone());
    let store = Store::open(&location).await.unwrap();
    for id in 1..=200 {
        insert(&store, &run(id, "build")).await;
    }
    store.backup(&copy).await.unwrap();
    store.close().await;
    let before = fs::read(&place).unwrap();
    let mut bytes = fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0x5a);
    fs::write(&copy, bytes).unwrap();
    assert!(matches!(Store::restore(&copy, &location).await, Err(StoreError::NotADatabase { .. })));
    fs::write(&copy, "some text that is no database, but long enough to be looked at\n".repeat(100)).unwrap();
    assert!(matches!(Store::restore(&copy, &location).await, Err(StoreError::NotADatabase { .. })));
    fs::remove_file(&copy).unwrap();
    assert!(matches!(Store::restore(&copy, &location).await, Err(StoreError::Open { .. })));
    assert_eq!(fs::read(&place).unwrap(), before, "the store is as it was");
}

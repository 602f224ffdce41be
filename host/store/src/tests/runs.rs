//! Runs and what lies below them.

use oxide_core::{
    id::{AttemptId, JobIndex, PipelineId, ProjectId, RunId, StepIndex, UserId},
    protocol::{LogChunk, LogMark, LogStream},
    time::Timestamp,
};
use uuid::Uuid;

use super::{FIRST, FOURTH, OWNER, SECOND, THIRD, databases::on_each_database, insert, run};
use crate::{NewRun, Owner, OwnerId, RunOrigin, StoreError, WriteBatch};

on_each_database! {
    async fn runs_are_numbered_by_pipeline_and_found_as_people_name_them(store: TestStore) {
        assert_eq!(insert(&store, &run(FIRST, "build")).await, 1);
        assert_eq!(insert(&store, &run(SECOND, "build")).await, 2);
        assert_eq!(insert(&store, &run(THIRD, "deploy")).await, 1);
        let found = |reference: &'static str, pipeline: Option<&'static str>| {
            let store = (*store).clone();
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

    async fn a_beginning_that_several_ids_have_names_them(store: TestStore) {
        insert(&store, &run(0xabcd_1111 << 96, "build")).await;
        insert(&store, &run(0xabcd_2222 << 96, "build")).await;
        let error = store.find_run("abcd", None, None).await.unwrap_err().to_string();
        assert!(error.contains("build #1") && error.contains("build #2"), "{error}");
    }

    async fn what_is_not_committed_is_not_there(store: TestStore) {
        let mut transaction = store.begin().await.unwrap();
        transaction.insert_run(&run(FIRST, "build"), OWNER, Timestamp(5)).await.unwrap();
        drop(transaction);
        assert_eq!(store.list_runs(None, 10).await.unwrap(), []);
        assert_eq!(insert(&store, &run(FIRST, "build")).await, 1, "the writer is free again");
    }

    async fn a_log_is_read_from_any_line_on(store: TestStore) {
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

    async fn owners_come_and_go(store: TestStore) {
        let owner = Owner { id: OwnerId(Uuid::from_u128(9)), pid: 42, host: "box".into(), started_at: Timestamp(3) };
        let mut transaction = store.begin().await.unwrap();
        transaction.put_owner(&owner).await.unwrap();
        transaction.put_owner(&owner).await.unwrap();
        assert_eq!(transaction.owners().await.unwrap(), std::slice::from_ref(&owner));
        transaction.remove_owner(owner.id).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(store.owners().await.unwrap(), []);
    }

    async fn where_a_run_comes_from_is_kept_and_its_pipeline_counts_it(store: TestStore) {
        let origin = RunOrigin {
            project: Some(ProjectId(Uuid::from_u128(7))),
            pipeline: Some(PipelineId(Uuid::from_u128(8))),
            version: Some(3),
            trigger: Some(serde_json::json!({ "kind": "manual", "text": "a\0b" })),
            git_ref: Some("refs/heads/main".into()),
            git_branch: Some("main".into()),
            git_sha: Some("0123abcd".into()),
            priority: -5,
            created_by: Some(UserId(Uuid::from_u128(9))),
            retry_of: Some(RunId(Uuid::from_u128(FIRST))),
            concurrency: Some(serde_json::json!({ "group": "deploy" })),
        };
        assert_eq!(insert(&store, &run(FIRST, "build")).await, 1);
        let of_server = NewRun { origin: origin.clone(), ..run(SECOND, "build") };
        assert_eq!(insert(&store, &of_server).await, 1, "a pipeline of the server counts by itself");
        assert_eq!(insert(&store, &NewRun { id: RunId(Uuid::from_u128(THIRD)), ..of_server }).await, 2);
        assert_eq!(insert(&store, &run(FOURTH, "build")).await, 2);
        let stored = store.run(RunId(Uuid::from_u128(SECOND))).await.unwrap().unwrap();
        assert_eq!(stored.origin, origin);
        assert_eq!(store.run(RunId(Uuid::from_u128(FIRST))).await.unwrap().unwrap().origin, RunOrigin::default());
    }

    async fn many_at_the_same_time_get_different_numbers(store: TestStore) {
        let tasks: Vec<_> = (1..=20)
            .map(|id| {
                let store = (*store).clone();
                tokio::spawn(async move { insert(&store, &run(id, "build")).await })
            })
            .collect();
        let mut numbers = Vec::new();
        for task in tasks {
            numbers.push(task.await.unwrap());
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    }

    async fn what_is_unique_is_told_and_undoes_the_transaction(store: TestStore) {
        insert(&store, &run(FIRST, "build")).await;
        let mut transaction = store.begin().await.unwrap();
        transaction.insert_run(&run(SECOND, "build"), OWNER, Timestamp(5)).await.unwrap();
        let again = transaction.insert_run(&run(FIRST, "build"), OWNER, Timestamp(5)).await.unwrap_err();
        assert!(again.is_unique_violation() && !again.is_leadership_lost(), "{again:?}");
        assert!(matches!(transaction.commit().await, Err(StoreError::Undone)));
        assert_eq!(store.run(RunId(Uuid::from_u128(SECOND))).await.unwrap(), None);
    }

    async fn texts_with_nul_bytes_are_stored_so_that_people_see_them(store: TestStore) {
        let odd = NewRun { source_text: "a\0b".into(), ..run(FIRST, "bu\0ild") };
        insert(&store, &odd).await;
        let stored = store.run(odd.id).await.unwrap().unwrap();
        assert_eq!(stored.pipeline, "bu\u{2400}ild");
        assert_eq!(store.source_text(odd.id).await.unwrap(), "a\u{2400}b");
        assert_eq!(store.find_run("latest", Some("bu\0ild"), None).await.unwrap().id, odd.id);
    }
}

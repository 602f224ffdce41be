//! One of several servers leads, and nothing of a former leader is stored.

use std::time::Duration;

use oxide_core::time::Timestamp;
use sqlx::{Connection as _, PgConnection};

use super::{
    FIRST, OWNER, SECOND,
    databases::{TestStore, on_each_database, run_on, server},
    run,
};
use crate::{LeaderInfo, Store, StoreError, Writer};

fn server_named(name: &str) -> LeaderInfo {
    LeaderInfo { server: name.into(), url: Some(format!("http://{name}:8080")), since: Timestamp(3) }
}

/// Ends the sessions of a store that have this name, as a restart of PostgreSQL does.
pub(crate) async fn end_sessions(store: &Store, name: &str) {
    let database = match store.location() {
        crate::Location::Postgres(url) => url.rsplit('/').next().unwrap().to_owned(),
        crate::Location::Sqlite(_) => panic!("no server to ask"),
    };
    let mut server = PgConnection::connect(&server().unwrap()).await.unwrap();
    let text = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND application_name = '{name}'"
    );
    run_on(&mut server, text).await;
}

async fn insert(writer: &Writer, id: u128) -> Result<u64, StoreError> {
    let mut transaction = writer.begin().await?;
    let number = transaction.insert_run(&run(id, "build"), OWNER, Timestamp(5)).await?;
    transaction.commit().await?;
    Ok(number)
}

/// Waits until a store can lead.
async fn lead(store: &Store, info: &LeaderInfo) -> Writer {
    for _ in 0..6_000 {
        if let Some(writer) = store.try_lead(info).await.unwrap() {
            return writer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody leads, and yet the lock is not given");
}

on_each_database! {
    async fn only_one_server_leads_until_it_steps_down(store: TestStore) {
        let other = store.opened_again().await;
        assert_eq!(store.leader().await.unwrap(), None);
        let writer = store.try_lead(&server_named("one")).await.unwrap().unwrap();
        assert_eq!(other.leader().await.unwrap(), Some(server_named("one")));
        match other.try_lead(&server_named("two")).await {
            Ok(None) => assert!(store.is_postgres()),
            Err(error @ StoreError::InUse { .. }) => {
                assert!(!store.is_postgres());
                let text = error.to_string();
                assert!(text.contains(&format!("pid {}", std::process::id())) && text.contains("stop"), "{text}");
            }
            unexpected => panic!("{unexpected:?}"),
        }
        assert_eq!(insert(&writer, FIRST).await.unwrap(), 1);
        writer.check().await.unwrap();
        writer.step_down().await;
        assert_eq!(other.leader().await.unwrap(), None);
        let next = lead(&other, &server_named("two")).await;
        assert_eq!(insert(&next, SECOND).await.unwrap(), 2);
        assert_eq!(store.leader().await.unwrap(), Some(server_named("two")));
        next.step_down().await;
        other.close().await;
    }

    async fn many_try_at_the_same_time_and_one_leads(store: TestStore) {
        let tries: Vec<_> = (0..8)
            .map(|number| {
                let store = (*store).clone();
                tokio::spawn(async move { store.try_lead(&server_named(&number.to_string())).await })
            })
            .collect();
        let mut writers = Vec::new();
        for attempt in tries {
            match attempt.await.unwrap() {
                Ok(Some(writer)) => writers.push(writer),
                Ok(None) | Err(StoreError::InUse { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(writers.len(), 1);
    }

    async fn a_writer_of_no_leader_may_write_beside_one(store: TestStore) {
        let leader = store.try_lead(&server_named("one")).await.unwrap().unwrap();
        let plain = store.writer();
        insert(&leader, FIRST).await.unwrap();
        insert(&plain, SECOND).await.unwrap();
        plain.check().await.unwrap();
        plain.step_down().await;
        leader.check().await.unwrap();
        leader.step_down().await;
    }

    async fn a_dropped_transaction_of_the_leader_is_undone(store: TestStore) {
        let writer = store.try_lead(&server_named("one")).await.unwrap().unwrap();
        let mut transaction = writer.begin().await.unwrap();
        transaction.insert_run(&run(FIRST, "build"), OWNER, Timestamp(5)).await.unwrap();
        drop(transaction);
        assert_eq!(insert(&writer, FIRST).await.unwrap(), 1, "nothing of it was stored, and the writer is free again");
        let mut transaction = writer.begin().await.unwrap();
        assert!(transaction.insert_run(&run(FIRST, "build"), OWNER, Timestamp(5)).await.unwrap_err().is_unique_violation());
        drop(transaction);
        writer.check().await.unwrap();
        assert_eq!(insert(&writer, SECOND).await.unwrap(), 2, "a refused statement ends no leadership");
        writer.step_down().await;
    }
}

async fn in_postgres(story: impl AsyncFnOnce(TestStore)) {
    let Some(test) = TestStore::in_postgres().await else { return };
    let location = test.location().clone();
    story(test.shared()).await;
    test.remove(location).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_the_connection_leads_no_more_and_stores_nothing() {
    in_postgres(async |store| {
        let other = store.opened_again().await;
        let former = store.try_lead(&server_named("one")).await.unwrap().unwrap();
        let mut transaction = former.begin().await.unwrap();
        transaction.insert_run(&run(FIRST, "build"), OWNER, Timestamp(5)).await.unwrap();
        end_sessions(&store, "oxide leader").await;
        let next = lead(&other, &server_named("two")).await;
        assert_eq!(insert(&next, SECOND).await.unwrap(), 1);
        let lost = transaction.commit().await.unwrap_err();
        assert!(lost.is_leadership_lost(), "{lost:?}");
        assert!(insert(&former, FIRST).await.unwrap_err().is_leadership_lost(), "it never writes again");
        assert!(former.check().await.unwrap_err().is_leadership_lost());
        let runs = store.list_runs(None, 10).await.unwrap();
        assert_eq!(runs.iter().map(|run| run.id.0.as_u128()).collect::<Vec<_>>(), [SECOND]);
        assert_eq!(store.leader().await.unwrap(), Some(server_named("two")));
        next.step_down().await;
        other.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_has_nothing_to_write_finds_out_when_it_looks() {
    in_postgres(async |store| {
        let writer = store.try_lead(&server_named("one")).await.unwrap().unwrap();
        writer.check().await.unwrap();
        end_sessions(&store, "oxide leader").await;
        // PostgreSQL ends the session a moment after it has said so.
        let mut found = writer.check().await;
        for _ in 0..6_000 {
            if found.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            found = writer.check().await;
        }
        assert!(found.unwrap_err().is_leadership_lost());
        for _ in 0..6_000 {
            if store.leader().await.unwrap().is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(store.leader().await.unwrap(), None);
        let again = lead(&store, &server_named("one")).await;
        insert(&again, FIRST).await.unwrap();
        again.step_down().await;
    })
    .await;
}

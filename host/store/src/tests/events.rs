//! The outbox: in order, without gaps for those who follow it, told to those who wait.

use std::{collections::BTreeSet, time::Duration};

use oxide_core::{
    event::{Event, EventKind},
    id::{ProjectId, RunId},
    outcome::Status,
    run::RunState,
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    FIRST, OWNER,
    databases::{TestStore, on_each_database},
    insert, run,
};
use crate::{EventsChanged, RunStatus, Store, WriteBatch};

fn event(run: u128, project: Option<u128>) -> Event {
    let project = project.map(|id| ProjectId(Uuid::from_u128(id)));
    Event::of_run(RunId(Uuid::from_u128(run)), project, Timestamp(1), EventKind::RunStarted)
}

async fn write(store: &Store, events: &[Event]) -> u64 {
    let mut batch = WriteBatch::default();
    events.iter().for_each(|event| batch.event(event.clone()));
    let mut transaction = store.begin().await.unwrap();
    let first = transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();
    first
}

/// Waits for what another process has written: PostgreSQL tells of it, a file is looked at.
async fn wait(store: &TestStore, changed: &mut EventsChanged) {
    match store.is_postgres() {
        true => changed.told().await,
        false => changed.wait().await,
    }
}

on_each_database! {
    async fn rows_and_events_are_written_together_and_events_are_in_order(store: TestStore) {
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
            batch.event(Event::of_run(new.id, None, Timestamp(at), EventKind::RunStarted));
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

    async fn events_are_read_by_run_and_by_project(store: TestStore) {
        write(&store, &[event(1, Some(10)), event(2, Some(20)), event(1, Some(10)), event(3, None)]).await;
        let of_run = store.run_events_after(RunId(Uuid::from_u128(1)), 1, 10).await.unwrap();
        assert_eq!(of_run.iter().map(|stored| stored.seq).collect::<Vec<_>>(), [3]);
        let of_project = store.project_events_after(ProjectId(Uuid::from_u128(10)), 0, 10).await.unwrap();
        assert_eq!(of_project.iter().map(|stored| stored.seq).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(store.first_event().await.unwrap(), Some(1));
    }

    /// Without the order of those who write, a transaction with lower numbers could become visible after one with higher
    /// numbers, and who had read the higher ones would never see it.
    async fn who_follows_the_outbox_misses_nothing_of_several_writers(store: TestStore) {
        const WRITERS: u128 = 4;
        const TRANSACTIONS: u64 = 25;
        let others: Vec<Store> = vec![store.opened_again().await, (*store).clone()];
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = others[writer as usize % 2].clone();
                tokio::spawn(async move {
                    for round in 0..TRANSACTIONS {
                        let mut batch = WriteBatch::default();
                        (0..=round % 3).for_each(|_| batch.event(event(writer, None)));
                        let mut transaction = store.begin().await.unwrap();
                        transaction.write(&batch).await.unwrap();
                        // Lets another one overtake, if it can.
                        tokio::time::sleep(Duration::from_millis((writer as u64 * 7 + round) % 5)).await;
                        transaction.commit().await.unwrap();
                    }
                })
            })
            .collect();
        let expected: u64 = (0..TRANSACTIONS).map(|round| round % 3 + 1).sum::<u64>() * WRITERS as u64;
        let mut seen = BTreeSet::new();
        let mut last = 0;
        let follow = async {
            while (seen.len() as u64) < expected {
                for stored in store.events_after(last, 10).await.unwrap() {
                    assert!(stored.seq > last, "in order");
                    last = stored.seq;
                    seen.insert(stored.seq);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), follow).await.expect("an event was never seen");
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(store.events_after(0, 10_000).await.unwrap().len() as u64, expected);
    }

    async fn who_waits_is_woken_by_this_process_at_once(store: TestStore) {
        let mut changed = store.events_changed();
        let writing = tokio::spawn({
            let store = (*store).clone();
            async move { write(&store, &[event(1, None)]).await }
        });
        while store.last_event().await.unwrap() == 0 {
            changed.told().await;
        }
        writing.await.unwrap();
    }

    async fn who_waits_is_woken_by_another_process_too(store: TestStore) {
        let other = store.opened_again().await;
        let mut changed = store.events_changed();
        // Listening begins beside us, and tells so.
        wait(&store, &mut changed).await;
        for round in 1..=3 {
            write(&other, &[event(1, None)]).await;
            while store.last_event().await.unwrap() < round {
                wait(&store, &mut changed).await;
            }
        }
        other.close().await;
    }

    async fn listening_goes_on_after_its_connection_was_lost(store: TestStore) {
        let mut changed = store.events_changed();
        wait(&store, &mut changed).await;
        if store.is_postgres() {
            crate::tests::leading::end_sessions(&store, "oxide").await;
            // It listens again.
            changed.told().await;
        }
        let other = store.opened_again().await;
        write(&other, &[event(1, None)]).await;
        while store.last_event().await.unwrap() == 0 {
            wait(&store, &mut changed).await;
        }
        other.close().await;
    }
}

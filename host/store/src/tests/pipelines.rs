//! Pipelines and their versions, and when they run by themselves.

use oxide_core::{
    event::{Event, EventKind},
    id::{PipelineId, ProjectId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    databases::on_each_database,
    people::{add_project, add_user},
};
use crate::{
    NewPipeline, PageRequest, PipelineChange, PipelineFilter, PipelineRow, PipelineText, PipelineWrite, ScheduleRow,
    Store, StoreError, WriteBatch,
};

fn text(source: &str) -> PipelineText {
    PipelineText { source: source.into(), lock: "lock".into() }
}

fn pipeline(id: u128, project: ProjectId, name: &str) -> NewPipeline {
    NewPipeline {
        id: PipelineId(Uuid::from_u128(id)),
        project,
        name: name.into(),
        description: Some("builds it".into()),
        repository: None,
        text: text("one"),
        created_by: None,
        created_at: Timestamp(10),
    }
}

pub(super) async fn add_pipeline(store: &Store, id: u128, project: ProjectId, name: &str) -> PipelineId {
    let mut transaction = store.begin().await.unwrap();
    let row = transaction.create_pipeline(&pipeline(id, project, name)).await.unwrap();
    transaction.commit().await.unwrap();
    row.id
}

async fn change(store: &Store, id: PipelineId, change: PipelineChange) -> PipelineWrite {
    let mut transaction = store.begin().await.unwrap();
    let written = transaction.change_pipeline(id, change, Timestamp(20)).await.unwrap();
    transaction.commit().await.unwrap();
    written
}

fn new_text(source: &str, expected: Option<u64>) -> PipelineChange {
    PipelineChange { text: Some(text(source)), expected, ..PipelineChange::default() }
}

on_each_database! {
    async fn another_text_is_another_version_and_the_old_ones_stay(store: TestStore) {
        let web = add_project(&store, 1, "web").await;
        let ann = add_user(&store, 2, "ann").await;
        let id = add_pipeline(&store, 3, web, "build").await;
        let stored = store.pipeline(id).await.unwrap().unwrap();
        assert_eq!(store.pipeline_by_name(web, "build").await.unwrap().as_ref(), Some(&stored));
        assert_eq!(change(&store, id, new_text("one", Some(1))).await, PipelineWrite::Unchanged(stored.clone()));
        let by_ann = PipelineChange { by: Some(ann), ..new_text("two", Some(1)) };
        let second = PipelineRow { latest_version: 2, updated_at: Timestamp(20), ..stored };
        let expected = PipelineWrite::Changed { pipeline: second.clone(), new_version: true };
        assert_eq!(change(&store, id, by_ann).await, expected);
        assert_eq!(change(&store, id, new_text("three", Some(1))).await, PipelineWrite::Conflict { latest_version: 2 });
        let other_lock = PipelineText { lock: "other".into(), ..text("two") };
        let other_lock = PipelineChange { text: Some(other_lock), ..PipelineChange::default() };
        assert!(matches!(change(&store, id, other_lock).await, PipelineWrite::Changed { new_version: true, .. }));
        let about = PipelineChange { description: Some(None), name: Some("make".into()), ..PipelineChange::default() };
        let PipelineWrite::Changed { pipeline, new_version: false } = change(&store, id, about).await else { panic!() };
        assert_eq!((pipeline.name.as_str(), pipeline.description.as_deref(), pipeline.latest_version), ("make", None, 3));
        let nowhere = PipelineId(Uuid::from_u128(99));
        assert_eq!(change(&store, nowhere, new_text("x", None)).await, PipelineWrite::Missing);

        let (version, texts) = store.pipeline_version(id, 2).await.unwrap().unwrap();
        assert_eq!((version.created_by, texts), (Some(ann), text("two")));
        assert_eq!(store.pipeline_version(id, 1).await.unwrap().unwrap().1, text("one"));
        assert_eq!(store.pipeline_version(id, 4).await.unwrap(), None);
        let newest = store.pipeline_versions(id, &PageRequest::first(2)).await.unwrap();
        let oldest = store.pipeline_versions(id, &PageRequest::first(2).after(&newest).unwrap()).await.unwrap();
        let numbers = newest.items.iter().chain(&oldest.items).map(|version| version.version).collect::<Vec<_>>();
        assert_eq!(numbers, [3, 2, 1]);
    }

    async fn a_deleted_pipeline_is_hidden_and_its_name_is_free(store: TestStore) {
        let (web, api) = (add_project(&store, 1, "web").await, add_project(&store, 2, "api").await);
        let id = add_pipeline(&store, 3, web, "build").await;
        add_pipeline(&store, 4, api, "build").await;
        let mut transaction = store.begin().await.unwrap();
        let taken = transaction.create_pipeline(&pipeline(5, web, "build")).await.unwrap_err();
        assert!(matches!(taken, StoreError::Taken { kind: "pipeline", .. }));
        drop(transaction);
        let mut transaction = store.begin().await.unwrap();
        let conflict = transaction.delete_pipeline(id, Some(7), Timestamp(30)).await.unwrap();
        assert_eq!(conflict, PipelineWrite::Conflict { latest_version: 1 });
        let deleted = transaction.delete_pipeline(id, Some(1), Timestamp(30)).await.unwrap();
        let PipelineWrite::Changed { pipeline, .. } = deleted else { panic!("{deleted:?}") };
        assert_eq!(pipeline.deleted_at, Some(Timestamp(30)));
        assert_eq!(transaction.delete_pipeline(id, None, Timestamp(40)).await.unwrap(), PipelineWrite::Missing);
        transaction.commit().await.unwrap();
        assert_eq!(change(&store, id, new_text("two", None)).await, PipelineWrite::Missing);
        assert_eq!(store.pipeline_by_name(web, "build").await.unwrap(), None);
        assert_eq!(store.pipeline(id).await.unwrap(), Some(pipeline), "its runs still name it");
        assert_eq!(store.pipeline_version(id, 1).await.unwrap().unwrap().1, text("one"));
        let again = add_pipeline(&store, 6, web, "build").await;
        let list = |filter: PipelineFilter| {
            let store = Store::clone(&store);
            async move {
                let page = store.pipelines(&filter, &PageRequest::first(50)).await.unwrap();
                page.items.iter().map(|pipeline| pipeline.id.0.as_u128()).collect::<Vec<_>>()
            }
        };
        assert_eq!(list(PipelineFilter::default()).await, [4, 6]);
        assert_eq!(list(PipelineFilter { projects: Some(vec![web]), name: None }).await, [6]);
        assert_eq!(list(PipelineFilter { projects: Some(vec![]), name: None }).await, [] as [u128; 0]);
        assert_eq!(list(PipelineFilter { projects: None, name: Some("test".into()) }).await, [] as [u128; 0]);
        assert_eq!(store.pipeline(again).await.unwrap().unwrap().latest_version, 1);
    }

    async fn of_many_that_change_one_version_one_does(store: TestStore) {
        let web = add_project(&store, 1, "web").await;
        let id = add_pipeline(&store, 3, web, "build").await;
        let racers: Vec<_> = (0..10)
            .map(|racer| {
                let store = Store::clone(&store);
                tokio::spawn(async move { change(&store, id, new_text(&format!("text {racer}"), Some(1))).await })
            })
            .collect();
        let mut changed = 0;
        for racer in racers {
            match racer.await.unwrap() {
                PipelineWrite::Changed { .. } => changed += 1,
                other => assert_eq!(other, PipelineWrite::Conflict { latest_version: 2 }),
            }
        }
        assert_eq!(changed, 1);
        // Without a version each change is one of its own: none is lost.
        let racers: Vec<_> = (0..10)
            .map(|racer| {
                let store = Store::clone(&store);
                tokio::spawn(async move { change(&store, id, new_text(&format!("more {racer}"), None)).await })
            })
            .collect();
        for racer in racers {
            assert!(matches!(racer.await.unwrap(), PipelineWrite::Changed { new_version: true, .. }));
        }
        assert_eq!(store.pipeline(id).await.unwrap().unwrap().latest_version, 12);
        assert_eq!(store.pipeline_versions(id, &PageRequest::first(99)).await.unwrap().items.len(), 12);
    }

    async fn what_is_told_of_a_change_is_stored_with_it(store: TestStore) {
        let web = add_project(&store, 1, "web").await;
        let told = |id: u128| {
            let kind = EventKind::PipelineDeleted { pipeline: PipelineId(Uuid::from_u128(id)), name: "build".into() };
            let mut batch = WriteBatch::default();
            batch.event(Event::of_project(web, Timestamp(10), kind));
            batch
        };
        let mut transaction = store.begin().await.unwrap();
        transaction.create_pipeline(&pipeline(3, web, "build")).await.unwrap();
        transaction.write(&told(3)).await.unwrap();
        drop(transaction);
        assert_eq!((store.last_event().await.unwrap(), store.pipeline_by_name(web, "build").await.unwrap()), (0, None));
        let mut transaction = store.begin().await.unwrap();
        let row = transaction.create_pipeline(&pipeline(3, web, "build")).await.unwrap();
        transaction.write(&told(3)).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(store.pipeline(row.id).await.unwrap(), Some(row));
        assert_eq!(store.events_after(0, 9).await.unwrap()[0].event.project, Some(web));
    }

    async fn a_schedule_fires_once_whoever_looks(store: TestStore) {
        let web = add_project(&store, 1, "web").await;
        let (id, other) = (add_pipeline(&store, 3, web, "build").await, add_pipeline(&store, 4, web, "test").await);
        let schedule = |pipeline, position, at| ScheduleRow {
            pipeline, position, cron: "0 3 * * *".into(), timezone: "Europe/Berlin".into(), next_at: Timestamp(at),
        };
        let mut transaction = store.begin().await.unwrap();
        transaction.set_schedules(id, &[schedule(id, 0, 999)]).await.unwrap();
        transaction.set_schedules(id, &[schedule(id, 0, 100), schedule(id, 2, 300)]).await.unwrap();
        transaction.set_schedules(other, &[schedule(other, 0, 50)]).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(store.schedules(id).await.unwrap(), [schedule(id, 0, 100), schedule(id, 2, 300)]);
        assert_eq!(store.next_schedule().await.unwrap(), Some(Timestamp(50)));
        let due = store.due_schedules(Timestamp(100), 10).await.unwrap();
        assert_eq!(due.iter().map(|due| due.schedule.clone()).collect::<Vec<_>>(), [
            schedule(other, 0, 50), schedule(id, 0, 100)
        ]);
        assert_eq!((due[0].project, due[0].latest_version), (web, 1));
        let racers: Vec<_> = (0..6)
            .map(|_| {
                let store = Store::clone(&store);
                tokio::spawn(async move {
                    let mut transaction = store.begin().await.unwrap();
                    let fires = transaction.advance_schedule(&schedule(id, 0, 100), Timestamp(500)).await.unwrap();
                    transaction.commit().await.unwrap();
                    fires
                })
            })
            .collect();
        let mut fired = 0;
        for racer in racers {
            fired += usize::from(racer.await.unwrap());
        }
        assert_eq!(fired, 1);
        let mut transaction = store.begin().await.unwrap();
        transaction.delete_pipeline(other, None, Timestamp(101)).await.unwrap();
        assert_eq!(transaction.due_schedules(Timestamp(100), 10).await.unwrap(), []);
        transaction.commit().await.unwrap();
        assert_eq!(store.next_schedule().await.unwrap(), Some(Timestamp(300)));
    }
}

//! Forgets what nobody needs any more, once an hour.

use std::time::Duration;

use oxide_core::time::Timestamp;
use oxide_store::{Retention, Store, StoreError};

use super::{config::RetentionSettings, now};

/// How often.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Runs until it is dropped.
pub async fn run(store: Store, retention: RetentionSettings) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        every.tick().await;
        if let Err(error) = tidy(&store, &retention).await {
            tracing::warn!("could not forget what is old: {}", oxide_core::cause::in_one_line(&error));
        }
    }
}

async fn tidy(store: &Store, retention: &RetentionSettings) -> Result<(), StoreError> {
    let now = now();
    let mut transaction = store.begin().await?;
    if let Some(before) = before(now, retention.events_days) {
        transaction.prune_events(before).await?;
    }
    if let Some(before) = before(now, retention.deliveries_days) {
        transaction.prune_deliveries(before).await?;
    }
    transaction.prune_sign_ins(now).await?;
    transaction.prune_sessions(Timestamp(now.0 - 90 * DAY_MS)).await?;
    transaction.prune_agent_tokens(Timestamp(now.0 - 30 * DAY_MS)).await?;
    transaction.commit().await?;
    // Their artifacts expire by themselves.
    let runs = Retention { created_before: before(now, retention.runs_days), newest: None };
    let writer = store.writer();
    loop {
        match writer.delete_expired_runs(&runs).await?.len() {
            0 => return Ok(()),
            count => tracing::info!("forgot {count} old runs"),
        }
    }
}

/// What is older is forgotten; none keeps it for ever.
fn before(now: Timestamp, days: u32) -> Option<Timestamp> {
    (days > 0).then(|| Timestamp(now.0 - i64::from(days) * DAY_MS))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oxide_core::{
        id::RunId,
        outcome::Status,
        plan::{JobContext, Plan},
    };
    use oxide_store::{Location, NewRun, OwnerId, RunOrigin, RunStatus, WriteBatch};
    use uuid::Uuid;

    use super::*;

    /// A run of the pipeline `build` that ended as long ago as it was asked for.
    async fn insert_run(store: &Store, days_ago: i64) {
        let at = Timestamp(now().0 - days_ago * DAY_MS);
        let plan = Plan {
            pipeline: "build".to_owned(),
            file: "oxide.yaml".to_owned(),
            timeout_ms: 1000,
            stages: Vec::new(),
            jobs: Vec::new(),
            context: JobContext::default(),
            concurrency: None,
        };
        let (source_text, project_dir) = ("version: \"1\"\n".to_owned(), "project".to_owned());
        let id = RunId(Uuid::now_v7());
        let run = NewRun { id, plan: Arc::new(plan), source_text, project_dir, origin: RunOrigin::default() };
        let mut batch = WriteBatch::default();
        let (status, ended_at) = (Status::Success, Some(at));
        batch.run(id, RunStatus { status, reason: None, stop: None, started_at: Some(at), ended_at });
        let mut transaction = store.begin().await.unwrap();
        transaction.insert_run(&run, OwnerId::SERVER, at).await.unwrap();
        transaction.write(&batch).await.unwrap();
        transaction.commit().await.unwrap();
    }

    #[tokio::test]
    async fn old_runs_are_forgotten_unless_they_are_to_be_kept_for_ever() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::from(data.path().join("server.db"))).await.unwrap();
        for days_ago in [200, 91, 89, 0] {
            insert_run(&store, days_ago).await;
        }
        let numbers = async || {
            let runs = store.list_runs(None, 10).await.unwrap();
            runs.iter().map(|run| run.number).collect::<Vec<_>>()
        };
        tidy(&store, &RetentionSettings { runs_days: 0, ..RetentionSettings::default() }).await.unwrap();
        assert_eq!(numbers().await, [4, 3, 2, 1]);
        tidy(&store, &RetentionSettings::default()).await.unwrap();
        assert_eq!(numbers().await, [4, 3]);
    }

    #[test]
    fn nothing_is_forgotten_if_it_is_to_be_kept_for_ever() {
        assert_eq!(before(Timestamp(10 * DAY_MS), 0), None);
        assert_eq!(before(Timestamp(10 * DAY_MS), 3), Some(Timestamp(7 * DAY_MS)));
    }
}

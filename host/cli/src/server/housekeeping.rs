//! Forgets what nobody needs any more, once an hour.

use std::time::Duration;

use oxide_core::time::Timestamp;
use oxide_store::{Store, StoreError};

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
    transaction.commit().await
}

/// What is older is forgotten; none keeps it for ever.
fn before(now: Timestamp, days: u32) -> Option<Timestamp> {
    (days > 0).then(|| Timestamp(now.0 - i64::from(days) * DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forgotten_if_it_is_to_be_kept_for_ever() {
        assert_eq!(before(Timestamp(10 * DAY_MS), 0), None);
        assert_eq!(before(Timestamp(10 * DAY_MS), 3), Some(Timestamp(7 * DAY_MS)));
    }
}

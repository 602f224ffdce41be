//! Wakes whoever follows the outbox.
//!
//! A commit of this process wakes at once. Commits of other processes are told by PostgreSQL; with SQLite they are found by
//! looking now and then, which also makes good for what PostgreSQL told while it could not be heard.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::postgres::PgListener;
use tokio::sync::watch;

use crate::{Store, open::Pools, outbox};

/// How long until it is looked, whatever was told.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait before listening is tried again.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub(crate) struct Changes {
    sender: watch::Sender<u64>,
    is_listening: Arc<Mutex<bool>>,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes { sender: watch::Sender::new(0), is_listening: Arc::default() }
    }
}

impl Changes {
    /// Something was committed.
    pub(crate) fn tell(&self) {
        self.sender.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Tells when there may be new events in the outbox.
#[derive(Debug)]
pub struct EventsChanged {
    receiver: watch::Receiver<u64>,
}

impl EventsChanged {
    /// Waits until there may be new events since the last time: look for them with [`Store::events_after`]. Returns after a
    /// second at the latest. Nothing is missed if this is dropped while it waits.
    pub async fn wait(&mut self) {
        // The store is gone: there will be nothing more, but whoever asks is not to spin.
        if let Ok(Err(_)) = tokio::time::timeout(POLL, self.receiver.changed()).await {
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(test)]
impl EventsChanged {
    /// Waits until it is told that there may be new events, however long that takes: nothing is found by looking.
    pub(crate) async fn told(&mut self) {
        let told = tokio::time::timeout(Duration::from_secs(120), self.receiver.changed()).await;
        told.expect("nobody tells of anything").expect("the store is there");
    }
}

impl Store {
    /// Begins to notice new events, those of other processes, too. To be called within a runtime, which the listening goes on
    /// in as long as anybody waits.
    pub fn events_changed(&self) -> EventsChanged {
        let changes = &self.shared.changes;
        let mut is_listening = changes.is_listening.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = changes.sender.subscribe();
        if let (Pools::Postgres { pool, .. }, false) = (&self.shared.pools, *is_listening) {
            *is_listening = true;
            tokio::spawn(listen(pool.clone(), changes.clone()));
        }
        EventsChanged { receiver }
    }
}

async fn listen(pool: sqlx::PgPool, changes: Changes) {
    loop {
        tokio::select! {
            () = hear(&pool, &changes) => tokio::time::sleep(PAUSE).await,
            () = changes.sender.closed() => {}
        }
        let mut is_listening = changes.is_listening.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.sender.receiver_count() == 0 || pool.is_closed() {
            *is_listening = false;
            return;
        }
    }
}

/// Ends when the connection is lost.
async fn hear(pool: &sqlx::PgPool, changes: &Changes) {
    let Ok(mut listener) = PgListener::connect_with(pool).await else { return };
    listener.eager_reconnect(false);
    if listener.listen(outbox::CHANNEL).await.is_err() {
        return;
    }
    // What was told before the first word was heard.
    changes.tell();
    while let Ok(Some(_)) = listener.try_recv().await {
        changes.tell();
    }
}

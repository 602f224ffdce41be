//! The attempts that an agent has, and how each learns that it shall stop.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use oxide_core::{id::AttemptId, protocol::Cancellation};
use tokio::sync::watch;

/// From the lease of an attempt until its end is acknowledged.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<HashMap<AttemptId, watch::Sender<Option<Cancellation>>>>);

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptId, watch::Sender<Option<Cancellation>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, attempt: AttemptId) -> watch::Receiver<Option<Cancellation>> {
        let (sender, receiver) = watch::channel(None);
        self.lock().insert(attempt, sender);
        receiver
    }

    pub(crate) fn end(&self, attempt: AttemptId) {
        self.lock().remove(&attempt);
    }

    pub(crate) fn cancel(&self, cancellation: Cancellation) {
        if let Some(sender) = self.lock().get(&cancellation.attempt) {
            sender.send_replace(Some(cancellation));
        }
    }

    /// All of them: what a heartbeat names.
    pub(crate) fn all(&self) -> Vec<AttemptId> {
        self.lock().keys().copied().collect()
    }
}

//! Follows the outbox: what was committed is published on the bus of this process, in order.
//!
//! Events of an orchestrator of this process come with a hint, so they need not be read back. Where numbers are missing in
//! between, another process wrote to the same store: its events are read from the outbox and published, too. Without hints, as
//! on a server that does not lead, the store tells when there is something to read.

use std::{sync::Arc, time::Duration};

use oxide_bus::Bus;
use oxide_core::event::Event;
use oxide_store::Store;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use crate::OrchestratorError;

/// Events that were committed; none to look at the outbox only.
#[derive(Default)]
pub(crate) struct Written {
    /// The number of the first one.
    pub first_seq: u64,
    pub events: Vec<Arc<Event>>,
}

/// Hints that wait; who sends more waits, too.
const WAITING: usize = 256;
const PAGE: u32 = 1000;
const RETRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// While hints come, the outbox is read no more often than this for the events of others.
const CALM: Duration = Duration::from_millis(250);

/// Publishes the events of a store on a bus, from now on. One for each process.
#[derive(Debug)]
pub struct Tail {
    hints: Hints,
    task: JoinHandle<()>,
}

/// The way of the orchestrator to the tail of its process.
#[derive(Clone, Debug)]
pub(crate) struct Hints(mpsc::Sender<Written>);

impl Hints {
    pub(crate) async fn send(&self, written: Written) {
        // If the tail is gone, so is who would listen.
        let _ = self.0.send(written).await;
    }

    pub(crate) fn downgrade(&self) -> mpsc::WeakSender<Written> {
        self.0.downgrade()
    }
}

impl Tail {
    /// Begins after the newest event.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(store: Store, bus: Bus) -> Result<Tail, OrchestratorError> {
        let last = store.last_event().await?;
        let (sender, hints) = mpsc::channel(WAITING);
        let task = tokio::spawn(follow(store, bus, hints, last));
        Ok(Tail { hints: Hints(sender), task })
    }

    pub(crate) fn hints(&self) -> Hints {
        self.hints.clone()
    }

    /// Publishes what is left, once all orchestrators of the process have ended, and ends.
    pub async fn end(self) {
        let Tail { hints, task } = self;
        drop(hints);
        // A panic in it is no reason not to end.
        let _ = task.await;
    }
}

/// Ends when nobody is left who could hint.
async fn follow(store: Store, bus: Bus, mut hints: mpsc::Receiver<Written>, mut last: u64) {
    let mut changed = store.events_changed();
    let mut calm_until = Instant::now();
    loop {
        tokio::select! {
            biased;
            hint = hints.recv() => {
                let Some(Written { first_seq, events }) = hint else { return };
                if events.is_empty() {
                    last = catch_up(&store, &bus, last, u64::MAX).await;
                    continue;
                }
                if first_seq > last + 1 {
                    last = catch_up(&store, &bus, last, first_seq).await;
                }
                for (seq, event) in (first_seq..).zip(&events) {
                    bus.publish(seq, event);
                }
                last = last.max(first_seq + events.len() as u64 - 1);
                calm_until = Instant::now() + CALM;
            }
            () = async { tokio::time::sleep_until(calm_until).await; changed.wait().await } => {
                last = catch_up(&store, &bus, last, u64::MAX).await;
            }
        }
    }
}

/// Publishes what stands in the outbox between two numbers. Returns the number of the last event published.
async fn catch_up(store: &Store, bus: &Bus, mut last: u64, before: u64) -> u64 {
    let mut failures = 0;
    loop {
        let page = match store.events_after(last, PAGE).await {
            Ok(page) => page,
            Err(_) if failures < RETRIES => {
                failures += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            // Subscribers see from the numbers that something is missing, and it is still in the outbox.
            Err(_) => return last,
        };
        let mut more = page.len() == PAGE as usize;
        for stored in page {
            if stored.seq >= before {
                more = false;
                break;
            }
            bus.publish(stored.seq, &stored.event);
            last = stored.seq;
        }
        if !more {
            return last;
        }
    }
}

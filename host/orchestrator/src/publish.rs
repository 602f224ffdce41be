//! Publishes what was committed, in the order of the outbox.
//!
//! Events of this process come with the wake-up, so they need not be read back. Where numbers are missing in between,
//! another process wrote to the same store: its events are read from the outbox and published, too.

use std::{sync::Arc, time::Duration};

use oxide_bus::Bus;
use oxide_core::event::Event;
use oxide_store::Store;
use tokio::sync::mpsc;

/// Events that were committed; none to look at the outbox only.
#[derive(Default)]
pub(crate) struct Written {
    /// The number of the first one.
    pub first_seq: u64,
    pub events: Vec<Arc<Event>>,
}

const PAGE: u32 = 1000;
const RETRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Ends when the orchestrator has.
pub(crate) async fn run(store: Store, bus: Bus, mut written: mpsc::Receiver<Written>, mut last: u64) {
    while let Some(Written { first_seq, events }) = written.recv().await {
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

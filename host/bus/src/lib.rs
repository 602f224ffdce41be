//! Events out: within one process by default, and to NATS for whoever else wants them ([`nats`]).
//!
//! The bus only fans out: the store's outbox is the truth. Every subscriber has a bounded queue; one that is too slow is
//! told that it lagged, and reads what it missed from the outbox by number. Publishing never waits.

pub mod nats;
mod pattern;

pub use pattern::{Pattern, PatternError};

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use oxide_core::event::{Event, NumberedEvent};
use tokio::sync::{Notify, watch};

/// How many messages wait for a subscriber if nothing else is said.
pub const DEFAULT_CAPACITY: usize = 4096;

/// An event with its number in the outbox, which grows from message to message.
pub type Message = NumberedEvent;

/// What a subscriber receives.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// An event.
    Message(Message),
    /// The subscriber was too slow and messages were dropped. All that it missed has a number greater than this one; what
    /// it receives next may be among what it reads from the outbox, and has a number, too.
    Lagged {
        /// The number of the last message published before the first one dropped, matching or not.
        after: u64,
    },
}

/// The bus. Cheap to clone; all clones are the same bus.
#[derive(Clone, Debug)]
pub struct Bus {
    shared: Arc<Mutex<Shared>>,
    capacity: usize,
    /// Turns true when the bus is closed.
    end: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Shared {
    subscribers: Vec<Weak<Subscriber>>,
    last_seq: u64,
    closed: bool,
}

#[derive(Debug)]
struct Subscriber {
    pattern: Pattern,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    /// Messages were dropped that came after this number.
    lagged_after: Option<u64>,
    closed: bool,
}

/// The receiving end. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    subscriber: Arc<Subscriber>,
}

impl Default for Bus {
    fn default() -> Self {
        Bus::new()
    }
}

impl Bus {
    /// A bus on which [`DEFAULT_CAPACITY`] messages wait for each subscriber.
    pub fn new() -> Bus {
        Bus::with_capacity(DEFAULT_CAPACITY)
    }

    /// A bus on which this many messages (at least one) wait for each subscriber.
    pub fn with_capacity(capacity: usize) -> Bus {
        Bus { shared: Arc::default(), capacity: capacity.max(1), end: watch::Sender::new(false) }
    }

    /// Gives an event to everybody whose pattern fits. Numbers must grow; an event that was published already is ignored.
    pub fn publish(&self, seq: u64, event: &Arc<Event>) {
        let mut shared = lock(&self.shared);
        if seq <= shared.last_seq || shared.closed {
            return;
        }
        let before = std::mem::replace(&mut shared.last_seq, seq);
        if shared.subscribers.is_empty() {
            return;
        }
        let subject = event.subject();
        let capacity = self.capacity;
        shared.subscribers.retain(|subscriber| {
            let Some(subscriber) = subscriber.upgrade() else { return false };
            if subscriber.pattern.matches(&subject) {
                subscriber.offer(Message { seq, event: event.clone() }, before, capacity);
            }
            true
        });
    }

    /// Everything published from now on whose subject fits the pattern.
    pub fn subscribe(&self, pattern: Pattern) -> Subscription {
        let mut shared = lock(&self.shared);
        let queue = Mutex::new(Queue { closed: shared.closed, ..Queue::default() });
        let subscriber = Arc::new(Subscriber { pattern, queue, wake: Notify::new() });
        shared.subscribers.push(Arc::downgrade(&subscriber));
        Subscription { subscriber }
    }

    /// The number of the last message published; 0 if there was none.
    pub fn last_seq(&self) -> u64 {
        lock(&self.shared).last_seq
    }

    /// Nothing more will be published. Subscribers receive what waits for them, and then nothing.
    pub fn close(&self) {
        let mut shared = lock(&self.shared);
        shared.closed = true;
        for subscriber in shared.subscribers.drain(..).filter_map(|subscriber| subscriber.upgrade()) {
            lock(&subscriber.queue).closed = true;
            subscriber.wake.notify_one();
        }
        self.end.send_replace(true);
    }

    /// Waits until the bus is closed.
    pub async fn closed(&self) {
        // The sender lives as long as the bus does.
        let _ = self.end.subscribe().wait_for(|closed| *closed).await;
    }
}

impl Subscriber {
    fn offer(&self, message: Message, before: u64, capacity: usize) {
        let mut queue = lock(&self.queue);
        // After the first message dropped all are, until the subscriber knows: it must see one gap, not many.
        if queue.lagged_after.is_some() {
            return;
        }
        if queue.messages.len() >= capacity {
            queue.lagged_after = Some(before);
        } else {
            queue.messages.push_back(message);
        }
        drop(queue);
        self.wake.notify_one();
    }
}

impl Subscription {
    /// Waits for the next message; none when the bus was closed. May be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            {
                let mut queue = lock(&self.subscriber.queue);
                if let Some(message) = queue.messages.pop_front() {
                    return Some(Received::Message(message));
                }
                if let Some(after) = queue.lagged_after.take() {
                    return Some(Received::Lagged { after });
                }
                if queue.closed {
                    return None;
                }
            }
            self.subscriber.wake.notified().await;
        }
    }
}

/// Data behind these locks is whole after every statement: a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use oxide_core::{event::EventKind, id::RunId, time::Timestamp};

    use super::*;

    fn event(kind: EventKind) -> Arc<Event> {
        Arc::new(Event::of_run(RunId(uuid::Uuid::from_u128(1)), None, Timestamp(1), kind))
    }

    fn started() -> Arc<Event> {
        event(EventKind::RunStarted)
    }

    async fn seq(subscription: &mut Subscription) -> u64 {
        match subscription.next().await {
            Some(Received::Message(message)) => message.seq,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn everybody_receives_what_fits_in_order() {
        let bus = Bus::default();
        let mut all = bus.subscribe(Pattern::all());
        let mut started_only = bus.subscribe("run.*.started".parse().unwrap());
        bus.publish(1, &started());
        bus.publish(2, &event(EventKind::StageStarted { stage: "test".into() }));
        bus.publish(3, &started());
        bus.publish(3, &started());
        assert!(bus.closed().now_or_never().is_none());
        bus.close();
        bus.clone().closed().await;
        assert_eq!([seq(&mut all).await, seq(&mut all).await, seq(&mut all).await], [1, 2, 3]);
        assert_eq!(all.next().await, None);
        assert_eq!([seq(&mut started_only).await, seq(&mut started_only).await], [1, 3]);
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_once_where_its_gap_begins() {
        let bus = Bus::with_capacity(2);
        let mut slow = bus.subscribe(Pattern::all());
        for number in 1..=10 {
            bus.publish(number, &started());
        }
        assert_eq!([seq(&mut slow).await, seq(&mut slow).await], [1, 2]);
        assert_eq!(slow.next().await, Some(Received::Lagged { after: 2 }));
        bus.publish(11, &started());
        assert_eq!(seq(&mut slow).await, 11);
    }

    #[tokio::test]
    async fn who_waits_is_woken_and_who_left_is_forgotten() {
        let bus = Bus::default();
        drop(bus.subscribe(Pattern::all()));
        let mut subscription = bus.subscribe(Pattern::all());
        let waiter = tokio::spawn(async move { seq(&mut subscription).await });
        tokio::task::yield_now().await;
        bus.publish(7, &started());
        assert_eq!(waiter.await.unwrap(), 7);
        bus.publish(8, &started());
        assert_eq!(lock(&bus.shared).subscribers.len(), 0);
    }
}

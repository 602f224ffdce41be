//! Against a real NATS server, which is killed, started again and robbed of its data.

use std::sync::Mutex;

use futures_util::StreamExt;
use oxide_core::{
    event::{Event, EventKind},
    id::RunId,
    time::Timestamp,
};
use tokio::{sync::Notify, task::JoinHandle};

use super::*;
use crate::nats::testing::{Server, until};

/// An outbox in memory.
#[derive(Default)]
struct MemoryOutbox {
    events: Mutex<Vec<NumberedEvent>>,
    cursor: Mutex<Option<u64>>,
    changed: Notify,
}

impl MemoryOutbox {
    fn add(&self, kind: EventKind) -> u64 {
        let mut events = self.events.lock().unwrap();
        // Numbers have gaps, as those of a database do.
        let seq = events.last().map_or(1, |last| last.seq + 1 + u64::from(last.seq % 7 == 0));
        let run = Some(RunId(uuid::Uuid::from_u128(1)));
        let event = Arc::new(Event { run, project: None, at: Timestamp(seq as i64), kind });
        events.push(NumberedEvent { seq, event });
        self.changed.notify_one();
        seq
    }

    fn add_many(&self, count: usize) -> u64 {
        (0..count).map(|_| self.add(EventKind::RunStarted)).last().unwrap()
    }

    fn numbers(&self) -> Vec<u64> {
        self.events.lock().unwrap().iter().map(|event| event.seq).collect()
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn events_after(&self, number: u64, limit: usize) -> Result<Vec<NumberedEvent>, OutboxError> {
        let events = self.events.lock().unwrap();
        Ok(events.iter().filter(|event| event.seq > number).take(limit).cloned().collect())
    }

    async fn last_number(&self) -> Result<u64, OutboxError> {
        Ok(self.events.lock().unwrap().last().map_or(0, |event| event.seq))
    }

    async fn cursor(&self) -> Result<Option<u64>, OutboxError> {
        Ok(*self.cursor.lock().unwrap())
    }

    async fn store_cursor(&self, number: u64) -> Result<(), OutboxError> {
        *self.cursor.lock().unwrap() = Some(number);
        Ok(())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// A publisher at work.
struct Work {
    progress: watch::Receiver<Progress>,
    task: JoinHandle<()>,
}

impl Work {
    fn begin(nats: Nats, outbox: &Arc<MemoryOutbox>) -> Work {
        let outbox: Arc<MemoryOutbox> = Arc::clone(outbox);
        let (publisher, progress) = Publisher::new(nats, outbox);
        Work { progress, task: tokio::spawn(publisher.run()) }
    }

    async fn until_published(&self, number: u64) {
        until(&format!("event {number} is published"), || self.progress.borrow().published >= number).await;
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All numbers that the stream holds, in its order, with their subjects.
async fn stored(nats: &Nats) -> Vec<(u64, String)> {
    let stream = jetstream::new(nats.client().clone()).get_stream(nats.subjects().stream()).await.unwrap();
    let consumer = stream.create_consumer(jetstream::consumer::pull::OrderedConfig::default()).await.unwrap();
    let pending = stream.get_info().await.unwrap().state.messages;
    let messages = consumer.messages().await.unwrap().take(usize::try_from(pending).unwrap());
    let messages: Vec<_> = messages.collect().await;
    let read = messages.into_iter().map(|message| {
        let message = message.unwrap();
        let event: NumberedEvent = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(message.headers.as_ref().unwrap().get(NUMBER).unwrap().as_str(), event.seq.to_string());
        (event.seq, message.subject.to_string())
    });
    read.collect()
}

async fn stored_numbers(nats: &Nats) -> Vec<u64> {
    stored(nats).await.into_iter().map(|(number, _)| number).collect()
}

#[tokio::test]
async fn everything_in_the_outbox_is_published_in_order() {
    let Some(server) = Server::start() else { return };
    let (nats, outbox) = (server.connect().await, Arc::new(MemoryOutbox::default()));
    let before = outbox.add_many(1_000);
    let work = Work::begin(nats.clone(), &outbox);
    work.until_published(before).await;
    let last = outbox.add(EventKind::StageStarted { stage: "test".into() });
    work.until_published(last).await;
    let stored = stored(&nats).await;
    assert_eq!(stored.iter().map(|(number, _)| *number).collect::<Vec<_>>(), outbox.numbers());
    assert_eq!(stored[0].1, "run.00000000-0000-0000-0000-000000000001.started");
    assert_eq!(stored.last().unwrap().1, "run.00000000-0000-0000-0000-000000000001.stage.test.started");
    until("the cursor is kept", || *outbox.cursor.lock().unwrap() == Some(last)).await;
    let stream = jetstream::new(nats.client().clone()).get_stream("OXIDE_EVENTS").await.unwrap();
    assert_eq!(stream.cached_info().config.max_age, Duration::from_secs(7 * 24 * 3600));
}

#[tokio::test]
async fn a_server_killed_in_the_middle_again_and_again_leaves_no_gap_and_nothing_twice() {
    let Some(mut server) = Server::start() else { return };
    let (nats, outbox) = (server.connect().await, Arc::new(MemoryOutbox::default()));
    let work = Work::begin(nats.clone(), &outbox);
    let mut last = 0;
    for round in 0..4 {
        let adding = Arc::clone(&outbox);
        let adder = tokio::spawn(async move {
            for _ in 0..20 {
                adding.add_many(50);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            adding.numbers().last().copied().unwrap()
        });
        tokio::time::sleep(Duration::from_millis(20 + 15 * round)).await;
        server.kill();
        last = adder.await.unwrap();
        until("it is noticed", || work.progress.borrow().problem.is_some()).await;
        server.revive();
    }
    work.until_published(last).await;
    until("nothing is wrong any more", || work.progress.borrow().problem.is_none()).await;
    assert_eq!(stored_numbers(&nats).await, outbox.numbers());
}

#[tokio::test]
async fn a_stream_that_was_lost_is_made_and_filled_again() {
    let Some(mut server) = Server::start() else { return };
    let (nats, outbox) = (server.connect().await, Arc::new(MemoryOutbox::default()));
    let work = Work::begin(nats.clone(), &outbox);
    work.until_published(outbox.add_many(300)).await;
    server.kill();
    let last = outbox.add_many(10);
    server.lose_data();
    server.revive();
    work.until_published(last).await;
    assert_eq!(stored_numbers(&nats).await, outbox.numbers());
    // Removed by hand while the connection stands.
    jetstream::new(nats.client().clone()).delete_stream("OXIDE_EVENTS").await.unwrap();
    let last = outbox.add_many(10);
    work.until_published(last).await;
    assert_eq!(stored_numbers(&nats).await, outbox.numbers());
}

#[tokio::test]
async fn another_leader_goes_on_and_two_at_once_cannot_spoil_the_order() {
    let Some(server) = Server::start() else { return };
    let outbox = Arc::new(MemoryOutbox::default());
    let first = Work::begin(server.connect().await, &outbox);
    first.until_published(outbox.add_many(300)).await;
    // The cursor was not stored: the stream says how far it is.
    *outbox.cursor.lock().unwrap() = Some(7);
    let second = Work::begin(server.connect().await, &outbox);
    for _ in 0..20 {
        outbox.add_many(20);
        // Both are woken.
        outbox.changed.notify_waiters();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    drop(first);
    let last = outbox.add_many(20);
    second.until_published(last).await;
    assert_eq!(stored_numbers(&server.connect().await).await, outbox.numbers());
}

#[tokio::test]
async fn nats_may_come_later_than_we() {
    let Some(mut server) = Server::start() else { return };
    server.kill();
    let nats = Nats::connect(server.settings()).await.unwrap();
    let outbox = Arc::new(MemoryOutbox::default());
    let work = Work::begin(nats.clone(), &outbox);
    let last = outbox.add_many(10);
    until("the problem is told", || {
        let said = work.progress.borrow().problem.clone().unwrap_or_default();
        said.contains("there is no connection to NATS at nats://127.0.0.1:")
    })
    .await;
    server.revive();
    work.until_published(last).await;
    assert_eq!(stored_numbers(&nats).await, outbox.numbers());
}

#[tokio::test]
async fn a_stream_of_another_database_is_not_taken_for_ours() {
    let Some(server) = Server::start() else { return };
    let (nats, old) = (server.connect().await, Arc::new(MemoryOutbox::default()));
    let work = Work::begin(nats.clone(), &old);
    old.add_many(20);
    let last = old.add(EventKind::StageStarted { stage: "old".into() });
    work.until_published(last).await;
    drop(work);
    // As many events, but others. JetStream remembers the old numbers for two minutes; without them it takes the new ones.
    let stream = jetstream::new(nats.client().clone()).get_stream("OXIDE_EVENTS").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.duplicate_window = Duration::from_millis(100);
    jetstream::new(nats.client().clone()).update_stream(config).await.unwrap();
    // NATS forgets them when it finds time for that, and tells nobody.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let new = Arc::new(MemoryOutbox::default());
    new.add_many(30);
    let work = Work::begin(nats.clone(), &new);
    work.until_published(*new.numbers().last().unwrap()).await;
    let mut both = old.numbers();
    both.extend(new.numbers());
    assert_eq!(stored_numbers(&nats).await, both);
}

#[tokio::test]
async fn an_event_too_large_for_nats_holds_nothing_up() {
    let Some(server) = Server::start() else { return };
    let (nats, outbox) = (server.connect().await, Arc::new(MemoryOutbox::default()));
    outbox.add(EventKind::RunStarted);
    let record: oxide_core::event::StepRecord = serde_json::from_value(serde_json::json!({
        "status": "success", "reason": null, "failure": null, "try_number": 1,
        "started_at": 1, "ended_at": 2,
        "usage": oxide_core::limit::Usage::default(), "limits": oxide_core::limit::Limits::default(),
        "outputs": { "big": "x".repeat(2 << 20) },
    }))
    .unwrap();
    let (job, step) = (oxide_core::id::JobIndex(0), oxide_core::id::StepIndex(0));
    outbox.add(EventKind::StepCompleted { job, attempt: 1, step, record: Box::new(record) });
    let last = outbox.add(EventKind::RunStarted);
    let work = Work::begin(nats.clone(), &outbox);
    work.until_published(last).await;
    let stream = jetstream::new(nats.client().clone()).get_stream("OXIDE_EVENTS").await.unwrap();
    let head: serde_json::Value = serde_json::from_slice(&stream.get_raw_message(2).await.unwrap().payload).unwrap();
    let expected = serde_json::json!({
        "seq": 2, "type": "step.completed", "run": "00000000-0000-0000-0000-000000000001",
        "at": "1970-01-01T00:00:00.002Z", "job": 0, "attempt": 1, "step": 0, "truncated": true,
    });
    assert_eq!(head, expected);
}

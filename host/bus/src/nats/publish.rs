//! Carries the outbox into a JetStream stream, in order and without gaps. The leader of an installation does this.
//!
//! Runs beside the orchestrator and never holds it up: it reads the outbox like any other reader. Where it goes on is said
//! by the stream itself, whose last message has a number of the outbox, else by the cursor that the caller keeps. Each message
//! names the one that it must follow, so what the network loses or repeats, or what another leader publishes, cannot make a
//! gap: the publisher looks again how far the stream is. A stream that was lost is made again and filled from the outbox.

use std::{sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        context::{PublishAckFuture, PublishError, PublishErrorKind},
        publish::PublishAck,
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::event::NumberedEvent;
use tokio::sync::watch;

use super::{
    Nats,
    stream::{LastEvent, NUMBER, StreamError, end_of_stream},
};

/// The header that names the message of the stream that must be the last one, else the new one is refused.
const MUST_FOLLOW: &str = "Nats-Expected-Last-Sequence";
/// How many events are on their way before the first is acknowledged.
const BATCH: usize = 256;
/// How long an acknowledgement may take.
const ACK_PATIENCE: Duration = Duration::from_secs(5);
/// How often a stream to which nothing is published is looked after.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The first pause after a failure; it doubles until the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The longest text that stays in the head of an event that is too large.
const HEAD_TEXT_MAX: usize = 4096;

/// Why the outbox cannot be read, or the cursor not be kept.
pub type OutboxError = Box<dyn std::error::Error + Send + Sync>;

/// The outbox as the publisher sees it.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// At most `limit` events after this number, in order.
    async fn events_after(&self, number: u64, limit: usize) -> Result<Vec<NumberedEvent>, OutboxError>;
    /// The number of the last event, 0 if there never was one.
    async fn last_number(&self) -> Result<u64, OutboxError>;
    /// The number that was stored last.
    async fn cursor(&self) -> Result<Option<u64>, OutboxError>;
    /// Stores the number of the last event that JetStream has.
    async fn store_cursor(&self, number: u64) -> Result<(), OutboxError>;
    /// Waits until there may be new events; may return early.
    async fn changed(&self);
}

/// Why nothing is published now.
#[derive(Debug, thiserror::Error)]
pub enum PublishingError {
    /// There is no connection.
    #[error("{0}")]
    NotConnected(String),
    /// The connection broke off.
    #[error("the connection to NATS broke off")]
    Interrupted,
    /// The stream cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A message was not taken.
    #[error("JetStream did not take event {number}")]
    Publish {
        /// Its number.
        number: u64,
        /// Why.
        #[source]
        cause: PublishError,
    },
    /// A message did not come to stand where it should.
    #[error("JetStream had event {number} already")]
    Duplicate {
        /// Its number.
        number: u64,
    },
    /// The outbox cannot be read.
    #[error("could not read the outbox")]
    Outbox(#[source] OutboxError),
    /// The cursor cannot be kept.
    #[error("could not store how far events are published")]
    Cursor(#[source] OutboxError),
}

/// How publishing goes: for readiness and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The number of the last event that JetStream has, as far as is known.
    pub published: u64,
    /// Why nothing is published now.
    pub problem: Option<String>,
}

/// Publishes events. See the module.
pub struct Publisher {
    nats: Nats,
    jetstream: jetstream::Context,
    outbox: Arc<dyn Outbox>,
    progress: watch::Sender<Progress>,
}

/// Where the stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    /// JetStream's number of the last message.
    sequence: u64,
    /// The outbox's number of the last event.
    number: u64,
}

impl Publisher {
    /// A publisher, and how it goes. It does nothing before [`Publisher::run`].
    pub fn new(nats: Nats, outbox: Arc<dyn Outbox>) -> (Publisher, watch::Receiver<Progress>) {
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(ACK_PATIENCE)
            .ack_timeout(ACK_PATIENCE)
            .max_ack_inflight(2 * BATCH)
            .build(nats.client().clone());
        let (progress, seen) = watch::channel(Progress::default());
        (Publisher { nats, jetstream, outbox, progress }, seen)
    }

    /// Publishes for ever. May be dropped at any moment; another publisher goes on where it stopped.
    pub async fn run(self) {
        let mut pause = PAUSE_FIRST;
        loop {
            let before = self.progress.borrow().published;
            let Err(error) = self.publish_until_failure().await;
            self.say(&error);
            if self.progress.borrow().published != before {
                pause = PAUSE_FIRST;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn publish_until_failure(&self) -> Result<std::convert::Infallible, PublishingError> {
        let mut interruptions = self.nats.interruptions();
        if let Some(problem) = self.nats.problem() {
            return Err(PublishingError::NotConnected(problem));
        }
        let mut position = self.find_position().await?;
        loop {
            self.progress.send_replace(Progress { published: position.number, problem: None });
            let events = self.outbox.events_after(position.number, BATCH).await.map_err(PublishingError::Outbox)?;
            if !events.is_empty() {
                position = self.publish(position, &events).await?;
                self.outbox.store_cursor(position.number).await.map_err(PublishingError::Cursor)?;
                continue;
            }
            tokio::select! {
                () = self.outbox.changed() => {}
                // What JetStream has afterwards is to be seen.
                _ = interruptions.changed() => return Err(PublishingError::Interrupted),
                () = tokio::time::sleep(LOOK_EVERY) => {
                    // Made again here, if somebody has removed it.
                    let end = end_of_stream(&self.nats, &self.jetstream).await?;
                    if end.sequence != position.sequence {
                        position = self.find_position().await?;
                    }
                }
            }
        }
    }

    /// Publishes events behind one another, and waits until all are stored.
    async fn publish(&self, from: Position, events: &[NumberedEvent]) -> Result<Position, PublishingError> {
        let mut position = from;
        let mut under_way: Vec<(Position, PublishAckFuture)> = Vec::with_capacity(events.len());
        for event in events {
            let number = event.seq;
            let ack = self.send(position.sequence, event).await;
            position = Position { sequence: position.sequence + 1, number };
            under_way.push((position, ack.map_err(|cause| PublishingError::Publish { number, cause })?));
        }
        for (position, ack) in under_way {
            let number = position.number;
            let PublishAck { sequence, duplicate, .. } =
                ack.await.map_err(|cause| PublishingError::Publish { number, cause })?;
            if duplicate || sequence != position.sequence {
                return Err(PublishingError::Duplicate { number });
            }
        }
        Ok(position)
    }

    async fn send(&self, after: u64, event: &NumberedEvent) -> Result<PublishAckFuture, PublishError> {
        let subject = self.nats.subjects().event(&event.event.subject());
        let mut headers = HeaderMap::new();
        headers.insert(NUMBER, event.seq.to_string());
        headers.insert(MUST_FOLLOW, after.to_string());
        let message = |payload| jetstream::message::PublishMessage::build().payload(payload).headers(headers.clone());
        match self.jetstream.send_publish(subject.clone(), message(payload_of(event))).await {
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                tracing::warn!(
                    number = event.seq,
                    subject,
                    "an event is too large for NATS: only its head is published"
                );
                self.jetstream.send_publish(subject, message(head_of(event))).await
            }
            sent => sent,
        }
    }

    /// Where to go on: behind the last message of the stream.
    async fn find_position(&self) -> Result<Position, PublishingError> {
        let end = end_of_stream(&self.nats, &self.jetstream).await?;
        let cursor = self.outbox.cursor().await.map_err(PublishingError::Outbox)?;
        let number = match &end.last {
            Some(last) => match self.number_of(last).await? {
                Some(number) => number,
                None => {
                    tracing::warn!(
                        stream = self.nats.subjects().stream(),
                        "the last message of the stream is not from this database; publishing goes on where it was known to be"
                    );
                    cursor.unwrap_or(0)
                }
            },
            // All that there was is too old to be kept.
            None if end.sequence > 0 => cursor.unwrap_or(0),
            // It is new: made for the first time, or lost.
            None => 0,
        };
        Ok(Position { sequence: end.sequence, number })
    }

    /// The number of a message of the stream, if it is an event of this outbox.
    async fn number_of(&self, last: &LastEvent) -> Result<Option<u64>, PublishingError> {
        let Some(number) = last.number.filter(|number| *number > 0) else { return Ok(None) };
        if number > self.outbox.last_number().await.map_err(PublishingError::Outbox)? {
            return Ok(None);
        }
        let found = self.outbox.events_after(number - 1, 1).await.map_err(PublishingError::Outbox)?;
        // What the outbox has forgotten cannot be compared.
        let same = found.first().is_none_or(|event| {
            event.seq != number || payload_of(event) == last.payload || head_of(event) == last.payload
        });
        Ok(same.then_some(number))
    }

    fn say(&self, error: &PublishingError) {
        let problem = oxide_core::cause::in_one_line(error);
        let changed = self.progress.send_if_modified(|progress| {
            let changed = progress.problem.as_ref() != Some(&problem);
            progress.problem = Some(problem.clone());
            changed
        });
        // Interruptions are told by the connection, and the same again and again helps nobody.
        if changed && !matches!(error, PublishingError::Interrupted | PublishingError::NotConnected(_)) {
            tracing::warn!(problem, "events are not published to NATS now; they wait in the database");
        }
    }
}

/// An event as it travels.
fn payload_of(event: &NumberedEvent) -> Bytes {
    serde_json::to_vec(event).expect("events are plain data").into()
}

/// The head of an event that is too large: who wants the rest asks the API for it.
fn head_of(event: &NumberedEvent) -> Bytes {
    let mut whole = serde_json::to_value(event).expect("events are plain data");
    if let Some(fields) = whole.as_object_mut() {
        fields.retain(|name, value| {
            let is_short = value.as_str().is_none_or(|text| text.len() <= HEAD_TEXT_MAX);
            matches!(name.as_str(), "seq" | "type" | "run" | "project" | "at")
                || is_short && !value.is_object() && !value.is_array()
        });
        fields.insert("truncated".to_owned(), true.into());
    }
    serde_json::to_vec(&whole).expect("it was made of plain data").into()
}

#[cfg(test)]
mod tests;

//! The stream of events in JetStream: made when it is missing, and asked how far it has come.

use std::time::Duration;

use async_nats::jetstream::{
    self, ErrorCode,
    context::{CreateStreamError, GetStreamError, GetStreamErrorKind, UpdateStreamError},
    stream::{Config, InfoError, RawMessageError, RetentionPolicy, StorageType, Stream},
};
use bytes::Bytes;

use super::Nats;

/// How long events are kept.
pub(super) const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long JetStream remembers numbers to know what it has already.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(2 * 60);
/// The header that holds the number of an event.
pub(super) const NUMBER: &str = "Nats-Msg-Id";

/// Why the stream cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// JetStream does not answer, or is not enabled.
    #[error(
        "could not find the stream `{stream}`; is JetStream enabled on the NATS server (`nats-server --jetstream`)?"
    )]
    Find {
        /// Its name.
        stream: String,
        /// Why.
        #[source]
        cause: GetStreamError,
    },
    /// It is missing and cannot be made.
    #[error("could not make the stream `{stream}`")]
    Create {
        /// Its name.
        stream: String,
        /// Why.
        #[source]
        cause: CreateStreamError,
    },
    /// It has other subjects.
    #[error("could not add the subjects of events to the stream `{stream}`")]
    Update {
        /// Its name.
        stream: String,
        /// Why.
        #[source]
        cause: UpdateStreamError,
    },
    /// It does not say how far it is.
    #[error("could not ask the stream `{stream}` how far it is")]
    Info {
        /// Its name.
        stream: String,
        /// Why.
        #[source]
        cause: InfoError,
    },
    /// Its last message cannot be read.
    #[error("could not read the last message of the stream `{stream}`")]
    Last {
        /// Its name.
        stream: String,
        /// Why.
        #[source]
        cause: RawMessageError,
    },
}

/// How far a stream is.
#[derive(Debug)]
pub(super) struct End {
    /// JetStream's own number of the last message, 0 if there never was one.
    pub(super) sequence: u64,
    /// The last message, unless it is too old to be kept.
    pub(super) last: Option<LastEvent>,
}

/// The last message of a stream.
#[derive(Debug)]
pub(super) struct LastEvent {
    /// Its number in the outbox; none if somebody else has put it there.
    pub(super) number: Option<u64>,
    pub(super) payload: Bytes,
}

/// Finds the stream, or makes it, and tells how far it is.
pub(super) async fn end_of_stream(nats: &Nats, jetstream: &jetstream::Context) -> Result<End, StreamError> {
    let name = nats.subjects().stream();
    let mut stream = match jetstream.get_stream(&name).await {
        Ok(stream) => stream,
        Err(error) if is_missing(&error) => {
            tracing::info!(stream = name, "making the stream of events");
            let created = jetstream.create_stream(config(nats)).await;
            created.map_err(|cause| StreamError::Create { stream: name.clone(), cause })?
        }
        Err(cause) => return Err(StreamError::Find { stream: name, cause }),
    };
    let mut found = stream.cached_info().config.clone();
    let missing: Vec<_> = nats.subjects().all_events().into_iter().filter(|it| !found.subjects.contains(it)).collect();
    if !missing.is_empty() {
        // An older version had fewer kinds of events. The rest is as its operator wants it.
        found.subjects.extend(missing);
        let updated = jetstream.update_stream(found).await;
        updated.map_err(|cause| StreamError::Update { stream: name.clone(), cause })?;
    }
    let info = stream.info().await.map_err(|cause| StreamError::Info { stream: name.clone(), cause })?;
    let state = (info.state.messages, info.state.last_sequence);
    let last = match state {
        (0, _) => None,
        (_, sequence) => last_event(&stream, &name, sequence).await?,
    };
    Ok(End { sequence: state.1, last })
}

async fn last_event(stream: &Stream, name: &str, sequence: u64) -> Result<Option<LastEvent>, StreamError> {
    match stream.get_raw_message(sequence).await {
        Ok(message) => {
            let number = message.headers.get(NUMBER).and_then(|text| text.as_str().parse().ok());
            Ok(Some(LastEvent { number, payload: message.payload }))
        }
        Err(error) if error.kind() == jetstream::stream::LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(cause) => Err(StreamError::Last { stream: name.to_owned(), cause }),
    }
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn config(nats: &Nats) -> Config {
    Config {
        name: nats.subjects().stream(),
        description: Some("What happens in Oxide CI. Copied from its database, which has all of it.".to_owned()),
        subjects: nats.subjects().all_events(),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        max_age: MAX_AGE,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        num_replicas: 1,
        ..Config::default()
    }
}

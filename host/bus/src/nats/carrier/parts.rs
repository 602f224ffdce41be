//! Payloads larger than one message of NATS (1 MiB if its operator says nothing): who sends one offers it under a subject
//! of its own, and who receives it fetches it piece by piece.
//!
//! Fetching keeps the pace of the receiver, and it is the receiver who has asked: so it does not matter to which server of
//! a queue group the first message went.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Subscriber, client::RequestErrorKind};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

/// The largest payload that is taken.
pub(super) const LENGTH_MAX: usize = 64 << 20;
/// What headers may take of a message.
const HEADERS_MAX: usize = 16 << 10;
/// How long one piece may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(10);
/// How long an offer stands after the last piece was fetched.
const OFFER_PATIENCE: Duration = Duration::from_secs(30);
/// Within a cluster it takes a moment until an offer is known everywhere.
const FIRST_TRIES: u32 = 20;
/// The pause between those.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The subject of an offer.
const OFFER: &str = "Oxide-Offer";
/// The length of what is offered.
const LENGTH: &str = "Oxide-Length";

/// Why a payload could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartsError {
    /// It is too large.
    #[error("the message has {length} bytes; {LENGTH_MAX} are the most that are carried")]
    TooLarge { length: usize },
    /// The headers make no sense.
    #[error("the message says where its parts are in a way that this version does not understand")]
    Unreadable,
    /// The offer is not one of those whom it may come from.
    #[error("the message offers its parts under the subject `{0}`, where none are taken from")]
    Foreign(String),
    /// A piece did not come.
    #[error("a part of the message did not arrive")]
    Piece(#[source] async_nats::RequestError),
    /// The other side lets go of it, or is of another version.
    #[error("the parts of the message do not fit together")]
    Torn,
}

impl PartsError {
    /// May the same message get through another time?
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, PartsError::Piece(_) | PartsError::Torn)
    }
}

/// The largest payload that fits into one message.
pub(super) fn room(client: &Client) -> usize {
    client.max_payload().saturating_sub(HEADERS_MAX).max(1024)
}

/// A payload on offer. Ends when it is dropped.
pub(super) struct Offer {
    client: Client,
    payload: Bytes,
    requests: Subscriber,
}

impl Offer {
    /// Offers a payload, and notes that in the headers of the message that tells of it.
    pub(super) async fn make(
        client: &Client,
        subject: String,
        payload: Bytes,
        headers: &mut HeaderMap,
    ) -> Result<Offer, async_nats::SubscribeError> {
        headers.insert(OFFER, subject.as_str());
        headers.insert(LENGTH, payload.len().to_string());
        let requests = client.subscribe(subject).await?;
        Ok(Offer { client: client.clone(), payload, requests })
    }

    /// Hands out pieces until nobody has asked for any for a while.
    pub(super) async fn serve(mut self) {
        while let Ok(Some(request)) = tokio::time::timeout(OFFER_PATIENCE, self.requests.next()).await {
            let Some(reply) = request.reply else { continue };
            let offset = std::str::from_utf8(&request.payload).ok().and_then(|text| text.parse::<usize>().ok());
            let rest = self.payload.slice(offset.unwrap_or(usize::MAX).min(self.payload.len())..);
            let piece = rest.slice(..rest.len().min(room(&self.client)));
            // If it does not arrive, it is asked for again or not at all.
            let _ = self.client.publish(reply, piece).await;
        }
    }
}

/// The whole payload of a message, fetched if it was only offered. `is_trusted` says whether a subject may be asked.
pub(super) async fn whole(
    client: &Client,
    headers: Option<&HeaderMap>,
    payload: Bytes,
    is_trusted: impl Fn(&str) -> bool,
) -> Result<Bytes, PartsError> {
    let Some(subject) = headers.and_then(|headers| headers.get(OFFER)) else { return Ok(payload) };
    let length = headers.and_then(|headers| headers.get(LENGTH)).and_then(|text| text.as_str().parse().ok());
    let length: usize = length.ok_or(PartsError::Unreadable)?;
    if length > LENGTH_MAX {
        return Err(PartsError::TooLarge { length });
    }
    if !is_trusted(subject.as_str()) {
        return Err(PartsError::Foreign(subject.to_string()));
    }
    let mut whole = BytesMut::with_capacity(length.min(1 << 20));
    while whole.len() < length {
        let piece = fetch(client, subject.as_str(), whole.len()).await?;
        if piece.is_empty() || whole.len() + piece.len() > length {
            return Err(PartsError::Torn);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

async fn fetch(client: &Client, subject: &str, offset: usize) -> Result<Bytes, PartsError> {
    let mut tries = 0;
    loop {
        let request = async_nats::Request::new().payload(offset.to_string().into()).timeout(Some(PIECE_PATIENCE));
        match client.send_request(subject.to_owned(), request).await {
            Ok(answer) => return Ok(answer.payload),
            Err(error) if error.kind() == RequestErrorKind::NoResponders && offset == 0 && tries < FIRST_TRIES => {
                tries += 1;
                tokio::time::sleep(FIRST_PAUSE).await;
            }
            Err(error) => return Err(PartsError::Piece(error)),
        }
    }
}

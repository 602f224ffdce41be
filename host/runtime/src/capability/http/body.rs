//! The bodies of requests and responses: bounded in length and time, with values of secrets put in and taken out.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use oxide_core::secret::{FillStream, MaskStream, Masker, Placeholders};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, Sleep},
};

use super::{bounds::Bounds, error::HttpError, head};

/// A body as the plugin writes it.
pub(super) type PluginBody = UnsyncBoxBody<Bytes, HttpError>;

/// A body as it comes from the server.
pub(super) type ServerBody = UnsyncBoxBody<Bytes, HttpError>;

/// What becomes of placeholders in the body of a request.
#[derive(Clone, Debug)]
pub(super) enum Secrets {
    /// There are none.
    None,
    /// Values take their place.
    Fill(Arc<Placeholders>),
    /// No value can be sent: one that should be ends the request.
    Refuse(Arc<Placeholders>, NoSecrets),
}

/// Why no value can be sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoSecrets {
    /// Anybody could read it.
    InClear,
    /// The length that was told would change, and the body is longer than this.
    LongerThan(u64),
}

impl NoSecrets {
    fn error(self, name: &str) -> HttpError {
        match self {
            NoSecrets::InClear => HttpError::SecretInClear(name.to_owned()),
            NoSecrets::LongerThan(most) => HttpError::SecretInLongBody(most),
        }
    }
}

/// The body of a request on its way out.
pub(super) struct RequestBody {
    inner: PluginBody,
    secrets: Secrets,
    stream: FillStream,
    sent: u64,
    most: u64,
    /// Told of every piece: an upload that goes on is no server that does not answer.
    progress: watch::Sender<Instant>,
    /// What comes after the last byte that was held back.
    trailers: Option<Frame<Bytes>>,
    is_done: bool,
}

impl RequestBody {
    /// A body of which every piece is noted.
    pub fn new(inner: PluginBody, secrets: Secrets, bounds: &Bounds) -> (RequestBody, watch::Receiver<Instant>) {
        let (progress, seen) = watch::channel(Instant::now());
        let (stream, most) = (FillStream::default(), bounds.request_bytes);
        (RequestBody { inner, secrets, stream, sent: 0, most, progress, trailers: None, is_done: false }, seen)
    }

    /// What a piece becomes.
    fn pass(&mut self, piece: Bytes) -> Result<Bytes, HttpError> {
        self.sent += piece.len() as u64;
        if self.sent > self.most {
            return Err(HttpError::LongRequest(self.most));
        }
        Ok(match &self.secrets {
            Secrets::None => piece,
            Secrets::Fill(secrets) => self.stream.push(secrets, &piece).into(),
            Secrets::Refuse(secrets, why) => {
                // Looked for and not replaced: what is sent is what came.
                self.stream.push(secrets, &piece);
                if let Some(name) = self.stream.first() {
                    return Err(why.error(name));
                }
                piece
            }
        })
    }

    fn rest(&mut self) -> Bytes {
        match self.secrets {
            Secrets::Fill(_) => self.stream.end().into(),
            Secrets::None | Secrets::Refuse(..) => Bytes::new(),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if this.is_done {
            return Poll::Ready(this.trailers.take().map(Ok));
        }
        loop {
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx)).transpose()?;
            this.progress.send_replace(Instant::now());
            let after = match frame.map(Frame::into_data) {
                Some(Ok(piece)) => match this.pass(piece)? {
                    passed if passed.is_empty() => continue,
                    passed => return Poll::Ready(Some(Ok(Frame::data(passed)))),
                },
                Some(Err(trailers)) => Some(trailers),
                None => None,
            };
            this.is_done = true;
            let rest = this.rest();
            if rest.is_empty() {
                return Poll::Ready(after.map(Ok));
            }
            this.trailers = after;
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.is_done {
            true => self.trailers.is_none(),
            false => self.inner.is_end_stream() && !self.stream.is_holding(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.secrets {
            Secrets::Fill(_) => SizeHint::default(),
            Secrets::None | Secrets::Refuse(..) => self.inner.size_hint(),
        }
    }
}

/// Reads a whole body of this length and fills it.
pub(super) async fn keep(body: PluginBody, secrets: &Placeholders) -> Result<(PluginBody, u64), HttpError> {
    // The plugin cannot write more than the length that it told.
    let collected = body.collect().await?.to_bytes();
    let filled = Bytes::from(secrets.fill_bytes(&collected).into_owned());
    let length = filled.len() as u64;
    Ok((Full::new(filled).map_err(|never| match never {}).boxed_unsync(), length))
}

/// The body of a response on its way to the plugin.
pub(super) struct ResponseBody {
    inner: ServerBody,
    hidden: Option<Arc<Masker>>,
    stream: MaskStream,
    received: u64,
    most: u64,
    between_bytes: Duration,
    /// Runs while the plugin waits.
    waiting: Option<Pin<Box<Sleep>>>,
    trailers: Option<Frame<Bytes>>,
    is_done: bool,
    /// The request is under way as long as this.
    _turn: OwnedSemaphorePermit,
}

impl ResponseBody {
    pub fn new(inner: ServerBody, hidden: Option<Arc<Masker>>, bounds: &Bounds, turn: OwnedSemaphorePermit) -> Self {
        ResponseBody {
            inner,
            hidden,
            stream: MaskStream::default(),
            received: 0,
            most: bounds.response_bytes,
            between_bytes: bounds.between_bytes,
            waiting: None,
            trailers: None,
            is_done: false,
            _turn: turn,
        }
    }

    fn pass(&mut self, piece: Bytes) -> Result<Bytes, HttpError> {
        self.received += piece.len() as u64;
        if self.received > self.most {
            return Err(HttpError::LongResponse(self.most));
        }
        Ok(match &self.hidden {
            None => piece,
            Some(hidden) => self.stream.push(hidden, &piece).into(),
        })
    }

    /// The end of a body, with what was held back and the trailers.
    fn end(&mut self, trailers: Option<Frame<Bytes>>) -> Option<Frame<Bytes>> {
        self.is_done = true;
        let Some(hidden) = &self.hidden else { return trailers };
        let trailers = trailers.and_then(|frame| frame.into_trailers().ok()).map(|mut headers| {
            head::mask_headers(&mut headers, hidden);
            Frame::trailers(headers)
        });
        match self.stream.end(hidden) {
            rest if rest.is_empty() => trailers,
            rest => {
                self.trailers = trailers;
                Some(Frame::data(rest.into()))
            }
        }
    }

    /// The next frame from the server, waited for not longer than allowed.
    fn poll_server(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, HttpError>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame.transpose());
        }
        let longest = self.between_bytes;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(HttpError::ResponseTimeout(longest)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if this.is_done {
            return Poll::Ready(this.trailers.take().map(Ok));
        }
        loop {
            let frame = ready!(this.poll_server(cx))?;
            return Poll::Ready(match frame.map(Frame::into_data) {
                Some(Ok(piece)) => match this.pass(piece)? {
                    passed if passed.is_empty() => continue,
                    passed => Some(Ok(Frame::data(passed))),
                },
                Some(Err(trailers)) => this.end(Some(trailers)).map(Ok),
                None => this.end(None).map(Ok),
            });
        }
    }
}

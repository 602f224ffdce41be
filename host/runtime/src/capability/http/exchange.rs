//! One request and its response: checked, connected to an address that was checked, sent, and bounded in time.
//!
//! Redirects are answers like any other: whoever follows one sends a new request, which is checked like the first.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_LENGTH, response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use oxide_core::{
    grant::is_public,
    secret::{Masker, Placeholders},
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    time::{Instant, timeout, timeout_at},
};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::{
    body::{self, NoSecrets, PluginBody, RequestBody, ResponseBody, Secrets, ServerBody},
    bounds::Bounds,
    error::HttpError,
    head::{self, Destination},
    tls,
};
use crate::{
    reach::Reach,
    web::{Responder, WebRequest},
};

/// A request to a [`Responder`] is held in memory.
const RESPONDER_BYTES_MAX: u64 = 64 << 20;

/// What the requests of a step share.
pub(super) struct Sender {
    pub reach: Reach,
    pub secrets: Arc<Placeholders>,
    /// Finds the values that the plugin may not read; none if there are none.
    pub hidden: Option<Arc<Masker>>,
    pub turns: Arc<Semaphore>,
    /// Who answers in the place of the network.
    pub responder: Option<Arc<dyn Responder>>,
}

/// A response, and the task that carries its body.
pub(super) struct Answer {
    pub response: Response<ResponseBody>,
    pub connection: AbortOnDropJoinHandle<()>,
}

impl Sender {
    /// Sends a request and waits for the head of its response.
    pub async fn send(&self, request: Request<PluginBody>, bounds: Bounds) -> Result<Answer, HttpError> {
        let turn = self.turns.clone().try_acquire_owned().map_err(|_| HttpError::TooMany(bounds.at_once))?;
        let (mut head, body) = request.into_parts();
        let bounds = match &self.responder {
            Some(_) => Bounds { request_bytes: bounds.request_bytes.min(RESPONDER_BYTES_MAX), ..bounds },
            None => bounds,
        };
        let destination = Destination::of(&head)?;
        let may_be_private = self.reach.check(&destination.host, destination.port, Some(destination.usual_port()))?;
        let length = head::content_length(&head.headers);
        if length.is_some_and(|length| length > bounds.request_bytes) {
            return Err(HttpError::LongRequest(bounds.request_bytes));
        }
        let until = Instant::now() + bounds.connect;
        let late = |_| HttpError::ConnectTimeout(bounds.connect);
        let (addresses, is_outside) = match &self.responder {
            Some(_) => (Vec::new(), !may_be_private),
            None => {
                let addresses = self.reach.addresses(&destination.host, may_be_private);
                let addresses = timeout_at(until, addresses).await.map_err(late)??;
                let is_outside = addresses.iter().copied().any(is_public);
                (addresses, is_outside)
            }
        };

        // What goes over the internet unencrypted, anybody can read.
        let is_open = !destination.is_encrypted && is_outside;
        let spent = head::fill(&mut head, &destination, &self.secrets)?;
        if let Some(secret) = spent.filter(|_| is_open) {
            return Err(HttpError::SecretInClear(secret.name.clone()));
        }
        if self.hidden.is_some() {
            head::ask_for_plain_text(&mut head.headers);
        }
        let method = head.method.clone();
        let (body, filled_length) = self.body(body, length, is_open, &bounds).await?;
        if let Some(length) = filled_length {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
        // Not counted: the plugin took its time to write the body.
        let until = until.max(Instant::now() + bounds.connect);
        let request = Request::from_parts(head, body.0);
        let (mut head, incoming, connection) = match &self.responder {
            Some(responder) => ask(responder.as_ref(), &destination, request, bounds.first_byte).await?,
            None => {
                let connected = connect(&addresses, &destination, request, body.1, until, &bounds);
                let (response, connection) = connected.await?;
                let (head, incoming) = response.into_parts();
                (head, incoming.map_err(HttpError::from).boxed_unsync(), connection)
            }
        };
        if method != http::Method::HEAD
            && head::content_length(&head.headers).is_some_and(|length| length > bounds.response_bytes)
        {
            return Err(HttpError::LongResponse(bounds.response_bytes));
        }
        if let Some(hidden) = &self.hidden {
            head::mask(&mut head, &method, hidden);
        }
        let body = ResponseBody::new(incoming, self.hidden.clone(), &bounds, turn);
        Ok(Answer { response: Response::from_parts(head, body), connection })
    }

    /// The body to send, and its length where that has changed.
    async fn body(
        &self,
        body: PluginBody,
        length: Option<u64>,
        is_open: bool,
        bounds: &Bounds,
    ) -> Result<((RequestBody, watch::Receiver<Instant>), Option<u64>), HttpError> {
        if self.secrets.iter().next().is_none() {
            return Ok((RequestBody::new(body, Secrets::None, bounds), None));
        }
        let secrets = || Arc::clone(&self.secrets);
        if is_open {
            return Ok((RequestBody::new(body, Secrets::Refuse(secrets(), NoSecrets::InClear), bounds), None));
        }
        match length {
            None => Ok((RequestBody::new(body, Secrets::Fill(secrets()), bounds), None)),
            Some(0) => Ok((RequestBody::new(body, Secrets::None, bounds), None)),
            Some(short) if short <= bounds.kept_bytes => {
                let (body, length) = body::keep(body, &self.secrets).await?;
                Ok((RequestBody::new(body, Secrets::None, bounds), Some(length)))
            }
            Some(_) => {
                let refuse = Secrets::Refuse(secrets(), NoSecrets::LongerThan(bounds.kept_bytes));
                Ok((RequestBody::new(body, refuse, bounds), None))
            }
        }
    }
}

/// Asks who answers in the place of the network.
async fn ask(
    responder: &dyn Responder,
    destination: &Destination,
    request: Request<RequestBody>,
    first_byte: Duration,
) -> Result<(response::Parts, ServerBody, AbortOnDropJoinHandle<()>), HttpError> {
    let (head, body) = request.into_parts();
    let scheme = if destination.is_encrypted { "https" } else { "http" };
    let body = body.collect().await?.to_bytes();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())));
    let request = WebRequest {
        method: head.method.to_string(),
        url: format!("{scheme}://{}{}", destination.authority(), head.uri),
        headers: headers.collect(),
        body,
    };
    let answer = timeout(first_byte, responder.respond(request)).await;
    let answer = answer.map_err(|_| HttpError::ResponseTimeout(first_byte))?.map_err(HttpError::NoResponse)?;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let response = response.body(()).map_err(|error| HttpError::NoResponse(format!("no response: {error}")))?;
    let body = Full::<Bytes>::new(answer.body).map_err(|never| match never {}).boxed_unsync();
    Ok((response.into_parts().0, body, spawn(async {})))
}

/// Connects and sends; answers with the head of the response.
async fn connect(
    addresses: &[IpAddr],
    destination: &Destination,
    request: Request<RequestBody>,
    progress: watch::Receiver<Instant>,
    until: Instant,
    bounds: &Bounds,
) -> Result<(Response<hyper::body::Incoming>, AbortOnDropJoinHandle<()>), HttpError> {
    let late = |_| HttpError::ConnectTimeout(bounds.connect);
    let stream = timeout_at(until, to_one_of(addresses, destination.port, bounds.connect)).await.map_err(late)??;
    if destination.is_encrypted {
        let stream = timeout_at(until, tls::encrypt(stream, destination.bare_host())).await.map_err(late)??;
        exchange(TokioIo::new(stream), request, progress, bounds.first_byte).await
    } else {
        exchange(TokioIo::new(stream), request, progress, bounds.first_byte).await
    }
}

/// A connection to the first of these addresses that takes one. Each gets its share of the time.
async fn to_one_of(addresses: &[IpAddr], port: u16, time: Duration) -> Result<TcpStream, HttpError> {
    let mut last = HttpError::Connect("there is no address".to_owned());
    let each = time / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    for address in addresses {
        match timeout(each, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Ok(Err(error)) => last = HttpError::Connect(format!("{address} port {port}: {error}")),
            Err(_) => last = HttpError::Connect(format!("{address} port {port} does not answer")),
        }
    }
    Err(last)
}

/// Sends over a connection.
async fn exchange<S>(
    stream: S,
    request: Request<RequestBody>,
    progress: watch::Receiver<Instant>,
    first_byte: Duration,
) -> Result<(Response<hyper::body::Incoming>, AbortOnDropJoinHandle<()>), HttpError>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await?;
    // What ends the connection early shows in the body as well.
    let connection = spawn(async move {
        connection.await.ok();
    });
    let mut answer = Box::pin(sender.send_request(request));
    loop {
        let since = *progress.borrow();
        match timeout_at(since + first_byte, &mut answer).await {
            Ok(answer) => return Ok((answer?, connection)),
            // The upload goes on.
            Err(_) if *progress.borrow() != since => {}
            Err(_) => return Err(HttpError::ResponseTimeout(first_byte)),
        }
    }
}

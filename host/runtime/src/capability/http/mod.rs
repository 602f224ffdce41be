//! The standard `wasi:http/outgoing-handler`: requests to granted hosts only, so the HTTP client of each language works.
//!
//! [`exchange`] sends one request, [`head`] and [`body`] say what of it passes, [`bounds`] how long and how much, [`tls`]
//! whom to trust. What is refused is a line in the log of the step: the codes of `wasi:http` carry no text.

mod body;
mod bounds;
mod error;
mod exchange;
mod head;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use oxide_core::{
    protocol::LogStream,
    secret::{Masker, Placeholders},
};
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error as Code, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use self::{bounds::Bounds, error::HttpError, exchange::Sender, head::Destination};
use crate::{
    environment::LogSink,
    reach::{Reach, Refusal},
    state::State,
    step_log::StepLog,
    web::Responder,
};

/// Links `wasi:http/types` and `wasi:http/outgoing-handler`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

/// The requests of one call.
pub(crate) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks {
    sender: Arc<Sender>,
    /// Method and address of a request that was just made, before placeholders are filled, for the record of the step.
    asked: Option<(String, String)>,
    log: Arc<StepLog>,
    bounds: Bounds,
}

impl Http {
    /// For a step that may reach so much and spend these secrets. A responder answers in the place of the network.
    pub fn new(reach: Reach, secrets: Placeholders, responder: Option<Arc<dyn Responder>>, log: Arc<StepLog>) -> Http {
        let sender = Arc::new(Sender { responder, ..Sender::new(reach, secrets, Bounds::default()) });
        Http { context: WasiHttpCtx::new(), hooks: Hooks { sender, asked: None, log, bounds: Bounds::default() } }
    }

    /// The request that the plugin has made since this was last asked.
    pub fn take_asked(&mut self) -> Option<(String, String)> {
        self.hooks.asked.take()
    }
}

impl Sender {
    fn new(reach: Reach, secrets: Placeholders, bounds: Bounds) -> Sender {
        let hidden: Vec<_> = secrets.iter().filter(|secret| !secret.reveal).map(|secret| &secret.value).collect();
        let hidden = (!hidden.is_empty()).then(|| Arc::new(Masker::new(hidden)));
        let turns = Arc::new(Semaphore::new(bounds.at_once));
        Sender { reach, secrets: Arc::new(secrets), hidden, turns, responder: None }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http.hooks, table: &mut self.table, ctx: &mut self.http.context }
    }
}

/// What carries the body of a response, as the library wants it.
type Carrier = Box<dyn Future<Output = Result<(), Code>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Carrier,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Carrier), Code>> + Send> {
        self.asked = Some((request.method().to_string(), request.uri().to_string()));
        let options = options.unwrap_or_default();
        let bounds =
            self.bounds.at_most(options.connect_timeout, options.first_byte_timeout, options.between_bytes_timeout);
        let (sender, log) = (Arc::clone(&self.sender), Arc::clone(&self.log));
        Box::new(async move {
            let (head, body) = request.into_parts();
            let request_name = match Destination::of(&head) {
                Ok(destination) => format!("{} {}", head.method, destination.authority()),
                Err(_) => head.method.to_string(),
            };
            // A body that was begun and not finished is no error of ours.
            let body = body.map_err(|_| HttpError::Unfinished).boxed_unsync();
            match sender.send(Request::from_parts(head, body), bounds).await {
                Ok(answer) => {
                    let response = answer.response.map(|body| {
                        let failed = move |error: HttpError| {
                            log.note(format!("http: {request_name}: {error}\n"));
                            code(error)
                        };
                        BodyExt::map_err(body, failed).boxed_unsync()
                    });
                    let carrier: Carrier = Box::new(async move {
                        answer.connection.await;
                        Ok(())
                    });
                    Ok((response, carrier))
                }
                Err(error) => {
                    let line = Bytes::from(format!("http: {request_name}: {error}\n"));
                    // A log that is full ends the step by itself.
                    log.write(LogStream::Host, line).await.ok();
                    Err(code(error))
                }
            }
        })
    }
}

/// The code that a plugin gets.
fn code(error: HttpError) -> Code {
    match error {
        HttpError::Refused(Refusal::Private { .. }) => Code::DestinationIpProhibited,
        HttpError::Refused(Refusal::NotGranted { .. }) | HttpError::SecretInClear(_) => Code::HttpRequestDenied,
        HttpError::Url => Code::HttpRequestUriInvalid,
        HttpError::Method => Code::HttpRequestMethodInvalid,
        HttpError::TooMany(_) => Code::ConnectionLimitReached,
        HttpError::SecretInHeader(_) | HttpError::SecretInLongBody(_) | HttpError::NoResponse(_) => {
            Code::InternalError(Some(error.to_string()))
        }
        HttpError::LongRequest(most) => Code::HttpRequestBodySize(Some(most)),
        HttpError::LongResponse(most) => Code::HttpResponseBodySize(Some(most)),
        HttpError::Dns(_) => Code::DnsError { rcode: None, info_code: None },
        HttpError::Connect(_) => Code::ConnectionRefused,
        HttpError::ConnectTimeout(_) => Code::ConnectionTimeout,
        HttpError::Tls(_) => Code::TlsProtocolError,
        HttpError::Certificate(_) => Code::TlsCertificateError,
        HttpError::ResponseTimeout(_) => Code::HttpResponseTimeout,
        HttpError::Unfinished | HttpError::Protocol(_) => Code::HttpProtocolError,
    }
}

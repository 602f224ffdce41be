//! What all requests pass, whatever their route: an id, an address, a line in the log, numbers, and answers that are safe to show.

use std::{any::Any, net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use oxide_registry::server::connection::Peer;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

use crate::{
    address::{self, ClientAddress},
    cors,
    error::ApiError,
    state::ServerState,
};

/// The id of a request, in the answer and in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Puts the layers around a router.
pub fn around(state: &ServerState, router: Router) -> Router {
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(state.clone(), cors::allow))
        .layer(middleware::from_fn_with_state(state.clone(), watch))
}

/// A handler panicked: the caller is told nothing of it, the log everything.
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    ApiError::internal("answer", format!("panic: {}", text.unwrap_or("without a text"))).into_response()
}

/// Names the request, finds out from where it comes, writes a line about it, and counts it.
async fn watch(State(state): State<ServerState>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(&request);
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0.address);
    let peer = peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))).ip();
    let client = address::of(peer, request.headers(), &state.settings.trusted_proxies);
    request.extensions_mut().insert(ClientAddress(client));
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let took = begun.elapsed();
    state.metrics.requests.answered(route.as_ref().map(MatchedPath::as_str), &method, response.status(), took);
    let (status, millis) = (response.status().as_u16(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    tracing::info!(target: "oxide_api::access", %method, path, status, millis, address = %client, request = id);
    finish(&mut response, &id, state.settings.is_https());
    response
}

/// The id that a proxy gave, if it is one; else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_id = |id: &&str| (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    given.filter(is_id).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// What no page may do with an answer.
fn finish(response: &mut Response, id: &str, is_https: bool) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_https {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HeaderValue::from_static("max-age=31536000"));
    }
}

/// Does this method only read?
pub fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

//! `POST /internal/v1/call`: what a server that does not lead passes on. Not a route of the API: it is for servers alone.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::StatusCode;
use oxide_orchestrator::{Call, OrchestratorError, Reply};

use crate::{
    error::ApiError,
    extract::{json_response, parse_json},
    state::ServerState,
};

/// The largest call: a report of an agent with its log, in base64.
const CALL_BYTES_MAX: usize = 64 << 20;

/// The route, if there is a secret that protects it.
pub fn router(state: &ServerState) -> Router {
    match state.engine.cluster_secret {
        Some(_) => Router::new().route("/internal/v1/call", post(answer)).with_state(state.clone()),
        None => Router::new(),
    }
}

async fn answer(State(state): State<ServerState>, headers: HeaderMap, body: Body) -> Response {
    match answered(&state, &headers, body).await {
        Ok(answer) => json_response(StatusCode::OK, &answer),
        Err(error) => error.into_response(),
    }
}

async fn answered(
    state: &ServerState,
    headers: &HeaderMap,
    body: Body,
) -> Result<Result<Reply, OrchestratorError>, ApiError> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let is_known = match (&state.engine.cluster_secret, shown) {
        (Some(secret), Some(shown)) => secret.is(shown),
        _ => false,
    };
    if !is_known {
        return Err(ApiError::forbidden("this is for servers of the same database"));
    }
    let bytes = to_bytes(body, CALL_BYTES_MAX).await.map_err(|error| crate::extract::body_error(&error))?;
    let call: Call = parse_json(&bytes)?;
    Ok(state.engine.election.call_here(call).await)
}

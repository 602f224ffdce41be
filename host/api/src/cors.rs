//! Pages of other origins: those that the operator names may use the API, with tokens and not with cookies.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::state::ServerState;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const TAKES: &str = "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, X-Request-Id";
const SHOWS: &str = "ETag, Location, Retry-After, X-Request-Id, Content-Disposition";

/// Answers the question of a browser whether a page may ask, and says so on the answers to that page.
pub async fn allow(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    let origin = allowed_origin(request.headers(), &state.settings.cors_origins);
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && request.headers().contains_key(header::ORIGIN);
    let mut response = if asks { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    if !state.settings.cors_origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = origin else { return response };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SHOWS));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    if asks {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(TAKES));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// The origin of the page that asks, if it is one that the operator named. Every origin only if the operator said `*`.
fn allowed_origin(headers: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    let is_allowed = |entry: &String| entry == "*" || entry.trim_end_matches('/') == text;
    allowed.iter().any(is_allowed).then(|| origin.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_origins() {
        let allowed = |origin: &'static str, named: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            allowed_origin(&headers, &named.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).is_some()
        };
        assert!(allowed("https://a.example", &["https://a.example/"]) && allowed("https://a.example", &["*"]));
        assert!(!allowed("https://a.example", &[]) && !allowed("https://a.example", &["https://b.example"]));
        assert!(!allowed("https://a.example.evil", &["https://a.example"]) && !allowed("null", &["https://a.example"]));
    }
}

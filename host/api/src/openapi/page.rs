//! The page that shows the API: plain HTML and script of our own, nothing from elsewhere.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};

/// The page. Its script and style stand beside it in the same file; the policy lets in nothing else.
pub async fn docs() -> Response {
    let mut response = Response::new(Body::from(include_str!("docs.html")));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

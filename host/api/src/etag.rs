//! Entity tags: a reader is not sent what it has, and a writer does not overwrite what it has not seen.

use axum::{
    body::{Body, to_bytes},
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use crate::error::{ApiError, ErrorKind};

/// The tag of a body.
pub fn of_bytes(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]))
}

/// The tag of a thing: of the JSON that a `GET` answers with.
pub fn of(value: &impl Serialize) -> String {
    of_bytes(&serde_json::to_vec(value).unwrap_or_default())
}

/// Does a list of tags, as in `If-Match` and `If-None-Match`, hold this one?
fn holds(list: &str, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.trim() == "*" || list.split(',').any(|entry| strong(entry) == tag)
}

/// Puts the tag on an answer, and takes the body away if the reader has it.
pub(crate) async fn put(response: Response, request_headers: &HeaderMap) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        // What is in memory cannot fail; there is nothing to tag if it does.
        return Response::from_parts(parts, Body::empty());
    };
    let tag = of_bytes(&bytes);
    parts.headers.insert(header::ETAG, HeaderValue::from_str(&tag).expect("base64 in quotes is visible ASCII"));
    // Browsers ask each time: what is listed changes, and what may be seen, too.
    parts.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    let known = request_headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.into_iter().any(|list| holds(list, &tag)) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// What a writer has seen: `If-Match`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Is the thing, as it is now, what the writer has seen? Without `If-Match` everything will do.
    ///
    /// # Errors
    /// 412 if it has changed.
    pub fn check(&self, now: &impl Serialize) -> Result<(), ApiError> {
        let Some(list) = &self.0 else { return Ok(()) };
        let tag = of(now);
        if holds(list, &tag) {
            return Ok(());
        }
        Err(ApiError::new(ErrorKind::PreconditionFailed, "it has changed since you read it")
            .with_details(format!("its tag is {tag} now"))
            .with_header(header::ETAG, &tag)
            .suggest("read it again, then repeat the change"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch, ApiError> {
        let value = parts.headers.get(header::IF_MATCH).map(|value| value.to_str().map(str::to_owned));
        value.transpose().map(IfMatch).map_err(|_| ApiError::bad_request("`If-Match` cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags() {
        assert!(holds("\"a\"", "\"a\"") && holds("\"b\", W/\"a\"", "\"a\"") && holds("*", "\"a\""));
        assert!(!holds("\"b\"", "\"a\"") && !holds("", "\"a\""));
    }

    #[test]
    fn a_writer_is_told_that_the_thing_has_changed() {
        let seen = IfMatch(Some(of(&"old")));
        assert!(seen.check(&"old").is_ok() && IfMatch(None).check(&"new").is_ok());
        assert_eq!(seen.check(&"new").unwrap_err().kind(), ErrorKind::PreconditionFailed);
    }
}

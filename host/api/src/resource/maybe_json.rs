//! A JSON body that may be left out.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::{
    error::{ApiError, ErrorKind},
    extract::{body_bytes, media_type, parse_json},
};

/// A JSON body; without one, the default.
#[derive(Clone, Debug, Default)]
pub struct MaybeJson<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<MaybeJson<T>, ApiError> {
        let kind = media_type(request.headers());
        let bytes = body_bytes(request.into_body()).await?;
        if bytes.is_empty() {
            return Ok(MaybeJson(T::default()));
        }
        match kind.as_deref() {
            Some("application/json") => parse_json(&bytes).map(MaybeJson),
            _ => Err(ApiError::new(ErrorKind::UnsupportedMediaType, "the body is not of the type `application/json`")
                .suggest("send it with `Content-Type: application/json`, or no body at all")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::header};
    use oxide_core::api::run::RetryRun;

    use super::*;

    async fn read(kind: Option<&str>, body: &'static str) -> Result<RetryRun, ErrorKind> {
        let builder = Request::builder();
        let builder = kind.into_iter().fold(builder, |builder, kind| builder.header(header::CONTENT_TYPE, kind));
        let read = MaybeJson::from_request(builder.body(Body::from(body)).unwrap(), &()).await;
        read.map(|MaybeJson(body)| body).map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn a_body_is_read_or_left_out_and_never_guessed() {
        assert!(!read(None, "").await.unwrap().failed_only);
        assert!(read(Some("application/json"), "{\"failed_only\":true}").await.unwrap().failed_only);
        assert_eq!(read(None, "{}").await.unwrap_err(), ErrorKind::UnsupportedMediaType);
        assert!(read(Some("application/json"), "{\"failed\":true}").await.is_err());
    }
}

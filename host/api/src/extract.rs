//! What handlers take and give: JSON, parameters of the path and of the query, with errors that say where.

use std::error::Error;

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Request, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use crate::error::{ApiError, ErrorKind};

/// A JSON body: of a request as an argument, of an answer as a result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

/// A thing that was made: 201 with its address.
#[derive(Clone, Debug)]
pub struct Created<T>(pub String, pub T);

/// Nothing more to say: 204.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

/// The parameters of the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// The parameters of the query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

/// The media type of a request, without parameters and in small letters.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The whole body; how large it may be is said by the route.
///
/// # Errors
/// It is too large, takes too long, or ends early.
pub async fn body_bytes(body: Body) -> Result<Bytes, ApiError> {
    to_bytes(body, usize::MAX).await.map_err(|error| body_error(&error))
}

/// Why a body could not be read.
pub fn body_error(error: &(dyn Error + 'static)) -> ApiError {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.is::<LengthLimitError>() {
            return ApiError::new(ErrorKind::TooLarge, "the body is larger than this route takes");
        }
        let io = cause.downcast_ref::<std::io::Error>();
        if io.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
            return ApiError::new(ErrorKind::RequestTimeout, "the body took too long to arrive");
        }
        next = cause.source();
    }
    ApiError::bad_request("the body ended before it was whole").with_details(crate::error::chain(error))
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Json<T>, ApiError> {
        let media = media_type(request.headers());
        if !media.as_deref().is_some_and(|media| media == "application/json" || media.ends_with("+json")) {
            let sent = media.map_or_else(|| "none".to_owned(), |media| format!("`{media}`"));
            return Err(ApiError::new(
                ErrorKind::UnsupportedMediaType,
                format!("the body must be JSON, and its `Content-Type` is {sent}"),
            )
            .suggest("send `Content-Type: application/json`"));
        }
        parse_json(&body_bytes(request.into_body()).await?).map(Json)
    }
}

/// Reads JSON.
///
/// # Errors
/// 400 if it is no JSON, 422 if it is not what is wanted; both say where.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(
            ApiError::bad_request("the body is empty, and must be JSON").suggest("send an object, such as `{}`")
        );
    }
    // serde would take a list as an object, field by field.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(ApiError::invalid("the body is not what is wanted here: a list, where an object is wanted"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        // serde_json says the place at the end, and it is said better here.
        let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        let details = (line > 0).then(|| format!("line {line}, column {column}"));
        let error = match error.classify() {
            Category::Data => ApiError::invalid(format!("the body is not what is wanted here: {what}")),
            _ => ApiError::bad_request(format!("the body is not JSON: {what}")),
        };
        match details {
            Some(details) => error.with_details(details),
            None => error,
        }
        .suggest("the schema of the body is at /docs and in /api/v1/openapi.json")
    })
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, &self.0)
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = json_response(StatusCode::CREATED, &self.1);
        if let Ok(location) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// An answer in JSON.
pub fn json_response(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => ApiError::internal("write the answer", error).into_response(),
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Path(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(ApiError::bad_request(format!("a part of the path cannot be read: {}", error.body_text())))
            }
            Err(error) => Err(ApiError::internal("read the path", error)),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(error) => {
                let text = error.body_text();
                let what = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(ApiError::bad_request(format!("the query cannot be read: {what}")))
            }
        }
    }
}

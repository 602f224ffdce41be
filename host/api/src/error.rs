//! Errors as answers: one kind, one status, one body, whatever went wrong.

use std::error::Error;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
pub use oxide_core::api::error::{ErrorBody, ErrorKind};
use oxide_core::{access::Denied, time::Timestamp};
use oxide_orchestrator::OrchestratorError;
use oxide_store::StoreError;

/// An answer that is an error. What is wrong inside goes to the server's log and not to the caller.
#[derive(Debug)]
pub struct ApiError {
    kind: ErrorKind,
    message: String,
    details: Option<String>,
    suggestions: Vec<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// An error of this kind. The message is a sentence without a dot, such as ``there is no pipeline `web` ``.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> ApiError {
        ApiError {
            kind,
            message: message.into(),
            details: None,
            suggestions: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }
    }

    /// The request cannot be read.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::BadRequest, message)
    }

    /// The caller is not known. Unless something else is suggested, a token is.
    pub fn unauthorized(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::Unauthorized, message).with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"oxide\"")
    }

    /// The caller may not do this.
    pub fn forbidden(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::Forbidden, message)
    }

    /// There is no such thing: what it is, and as what it was asked for.
    pub fn not_found(what: &str, reference: impl std::fmt::Display) -> ApiError {
        ApiError::new(ErrorKind::NotFound, format!("there is no {what} `{reference}` that you may see"))
    }

    /// It contradicts what is there.
    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::Conflict, message)
    }

    /// The request can be read, but what it says is not possible.
    pub fn invalid(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::Invalid, message)
    }

    /// Something is wrong with the server. The cause is logged; the caller is told the operation only.
    pub fn internal(what: &str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> ApiError {
        ApiError { cause: Some(cause.into()), ..ApiError::new(ErrorKind::Internal, format!("could not {what}")) }
            .suggest("try again; if it stays, the log of the server says more, by the `X-Request-Id` of this answer")
    }

    /// The server cannot do it now.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::Unavailable, message).with_header(header::RETRY_AFTER, "1")
    }

    /// Adds more about it: lines of text.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> ApiError {
        self.details = Some(details.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> ApiError {
        self.suggestions.push(suggestion.into());
        self
    }

    /// Adds a header to the answer. A value that cannot stand in a header is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: impl AsRef<str>) -> ApiError {
        self.headers.extend(HeaderValue::from_str(value.as_ref()).ok().map(|value| (name, value)));
        self
    }

    /// Adds what went wrong inside.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> ApiError {
        self.cause = Some(cause.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body.
    pub fn body(&self, now: Timestamp) -> ErrorBody {
        let mut suggestions = self.suggestions.clone();
        if suggestions.is_empty() && self.kind == ErrorKind::Unauthorized {
            suggestions
                .push("send `Authorization: Bearer oxide_pat_…`; `POST /api/v1/tokens` makes a token".to_owned());
        }
        ErrorBody {
            error: self.kind,
            message: self.message.clone(),
            details: self.details.clone(),
            suggestions,
            timestamp: now,
        }
    }
}

/// The present, for the time of an error: there is no clock at hand where answers are made.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// The causes of an error in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            let cause = chain(cause.as_ref());
            if self.kind.status() >= 500 {
                tracing::error!(kind = ?self.kind, cause, "{}", self.message);
            } else {
                tracing::debug!(kind = ?self.kind, cause, "{}", self.message);
            }
        }
        let body = serde_json::to_vec(&self.body(now())).expect("our types have text keys and no failing serializers");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.kind.status()).expect("the statuses are known");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error {
            error @ (StoreError::NoSuchRun { .. } | StoreError::AmbiguousRun { .. }) => {
                ApiError::new(ErrorKind::NotFound, error.to_string())
            }
            error @ StoreError::Taken { .. } => ApiError::conflict(error.to_string()).suggest("choose another name"),
            error @ StoreError::BadCursor { .. } => ApiError::bad_request(error.to_string())
                .suggest("begin without a cursor, then give the `next_cursor` of each page as it is"),
            error if error.is_leadership_lost() => ApiError::unavailable("the server has just lost its lead"),
            error => ApiError::internal("use the store", error),
        }
    }
}

impl From<OrchestratorError> for ApiError {
    fn from(error: OrchestratorError) -> ApiError {
        use OrchestratorError as E;
        let kind = match &error {
            E::NoSuchRun(_) | E::NoSuchApproval(_) | E::NoSuchAgent(_) => ErrorKind::NotFound,
            E::RunExists(_)
            | E::NotOurs(_)
            | E::NotEnded(_)
            | E::NothingFailed(_)
            | E::ApprovalEnded { .. }
            | E::VotedBefore { .. }
            | E::UnknownAgent => ErrorKind::Conflict,
            E::BadReport(_) => ErrorKind::Invalid,
            E::Refused { .. } => ErrorKind::Forbidden,
            E::Closed | E::NoLeader | E::Unreachable { .. } => ErrorKind::Unavailable,
            E::Store(_) | E::Misunderstood { .. } => ErrorKind::Internal,
        };
        let message =
            if kind == ErrorKind::Internal { "could not ask the orchestrator".into() } else { error.to_string() };
        let answer = match kind {
            ErrorKind::Unavailable => ApiError::unavailable(message),
            kind => ApiError::new(kind, message),
        };
        let answer = error.hint().into_iter().fold(answer, ApiError::suggest);
        answer.with_cause(error)
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> ApiError {
        let kind = if denied == Denied::Hidden { ErrorKind::NotFound } else { ErrorKind::Forbidden };
        ApiError::new(kind, denied.to_string()).suggest(denied.hint())
    }
}

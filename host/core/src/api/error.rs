//! The body of every answer that is an error.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What kind of error it is: a closed list, so that programs can decide by it. Each kind has one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request cannot be read: bad JSON, a bad parameter, a bad cursor.
    BadRequest,
    /// The caller is not known: no token, a wrong one, an expired or a revoked one.
    Unauthorized,
    /// The caller is known and may not do this.
    Forbidden,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// The path is known, but not with this method: see `Allow`.
    MethodNotAllowed,
    /// The request took too long to arrive.
    RequestTimeout,
    /// It contradicts what is there: a name that is taken, a run that has ended.
    Conflict,
    /// It was there once, and is no longer.
    Gone,
    /// The thing has changed since it was read: see `If-Match`.
    PreconditionFailed,
    /// The body is larger than this route takes.
    TooLarge,
    /// The body is of a type that this route does not take: see `Content-Type`.
    UnsupportedMediaType,
    /// The request can be read, but what it says is not possible.
    Invalid,
    /// Too many requests: see `Retry-After`.
    TooManyRequests,
    /// Something is wrong with the server.
    Internal,
    /// This server was not built or configured for it.
    NotImplemented,
    /// Another server that is needed for the answer gave a bad one.
    BadGateway,
    /// The server cannot do it now; later it may.
    Unavailable,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [ErrorKind; 17] = [
        ErrorKind::BadRequest,
        ErrorKind::Unauthorized,
        ErrorKind::Forbidden,
        ErrorKind::NotFound,
        ErrorKind::MethodNotAllowed,
        ErrorKind::RequestTimeout,
        ErrorKind::Conflict,
        ErrorKind::Gone,
        ErrorKind::PreconditionFailed,
        ErrorKind::TooLarge,
        ErrorKind::UnsupportedMediaType,
        ErrorKind::Invalid,
        ErrorKind::TooManyRequests,
        ErrorKind::Internal,
        ErrorKind::NotImplemented,
        ErrorKind::BadGateway,
        ErrorKind::Unavailable,
    ];

    /// The status of an answer with this error.
    pub const fn status(self) -> u16 {
        match self {
            ErrorKind::BadRequest => 400,
            ErrorKind::Unauthorized => 401,
            ErrorKind::Forbidden => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::MethodNotAllowed => 405,
            ErrorKind::RequestTimeout => 408,
            ErrorKind::Conflict => 409,
            ErrorKind::Gone => 410,
            ErrorKind::PreconditionFailed => 412,
            ErrorKind::TooLarge => 413,
            ErrorKind::UnsupportedMediaType => 415,
            ErrorKind::Invalid => 422,
            ErrorKind::TooManyRequests => 429,
            ErrorKind::Internal => 500,
            ErrorKind::NotImplemented => 501,
            ErrorKind::BadGateway => 502,
            ErrorKind::Unavailable => 503,
        }
    }

    /// What it means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            ErrorKind::BadRequest => "The request cannot be read.",
            ErrorKind::Unauthorized => "The caller is not known.",
            ErrorKind::Forbidden => "The caller may not do this.",
            ErrorKind::NotFound => "There is no such thing, or the caller may not know of it.",
            ErrorKind::MethodNotAllowed => "The path is known, but not with this method.",
            ErrorKind::RequestTimeout => "The request took too long to arrive.",
            ErrorKind::Conflict => "It contradicts what is there.",
            ErrorKind::Gone => "It is no longer there.",
            ErrorKind::PreconditionFailed => "The thing has changed since it was read.",
            ErrorKind::TooLarge => "The body is too large.",
            ErrorKind::UnsupportedMediaType => "The body is of a type that is not taken here.",
            ErrorKind::Invalid => "The request can be read, but what it says is not possible.",
            ErrorKind::TooManyRequests => "Too many requests; `Retry-After` says when to ask again.",
            ErrorKind::Internal => "Something is wrong with the server.",
            ErrorKind::NotImplemented => "This server was not built or configured for it.",
            ErrorKind::BadGateway => "Another server that is needed gave a bad answer.",
            ErrorKind::Unavailable => "The server cannot do it now.",
        }
    }
}

/// The body of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The kind of error.
    pub error: ErrorKind,
    /// What went wrong, in a sentence.
    pub message: String,
    /// More about it: where in the text, or what was asked for; lines of text. Null if there is no more to say.
    pub details: Option<String>,
    /// What to do or to type.
    pub suggestions: Vec<String>,
    /// When it happened.
    pub timestamp: Timestamp,
}

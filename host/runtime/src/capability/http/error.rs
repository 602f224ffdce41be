//! Why a request was not sent, or not answered. Each is a line in the log of the step; the plugin gets the nearest code of
//! `wasi:http`, most of which carry no text.

use std::time::Duration;

use oxide_core::quantity;

use crate::reach::{NoAddress, Refusal};

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("it has no host, or one with a user name before it")]
    Url,
    #[error("the method CONNECT would open a tunnel")]
    Method,
    #[error("the step has {0} requests under way; read or drop a response before the next")]
    TooMany(usize),
    #[error(
        "the secret `{0}` would be sent unencrypted; use `https`, or a host on this machine or in a private network"
    )]
    SecretInClear(String),
    #[error("the secret `{0}` cannot stand in a header: its value has a line break or another control character")]
    SecretInHeader(String),
    #[error(
        "the placeholder of a secret stands in a body of more than {}; send the body without `content-length`",
        quantity::bytes(*.0)
    )]
    SecretInLongBody(u64),
    #[error("the request has a body of more than {}", quantity::bytes(*.0))]
    LongRequest(u64),
    #[error("the response has a body of more than {}", quantity::bytes(*.0))]
    LongResponse(u64),
    #[error("the plugin did not finish the body of its request")]
    Unfinished,
    #[error("{0}")]
    Dns(String),
    #[error("could not connect: {0}")]
    Connect(String),
    #[error("could not connect within {} s", .0.as_secs())]
    ConnectTimeout(Duration),
    #[error("no encrypted connection: {0}")]
    Tls(String),
    #[error("no encrypted connection: {0}; `SSL_CERT_FILE` names a file of further authorities to trust")]
    Certificate(String),
    #[error("no answer within {} s", .0.as_secs_f64())]
    ResponseTimeout(Duration),
    #[error("{0}")]
    NoResponse(String),
    #[error("the answer is not HTTP, or was cut off: {0}")]
    Protocol(String),
}

impl From<NoAddress> for HttpError {
    fn from(error: NoAddress) -> Self {
        match error {
            NoAddress::Refused(refusal) => HttpError::Refused(refusal),
            unknown @ NoAddress::Unknown { .. } => HttpError::Dns(unknown.to_string()),
        }
    }
}

impl From<hyper::Error> for HttpError {
    fn from(error: hyper::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            // Our own errors pass through the library.
            if let Some(ours) = inner.downcast_ref::<HttpError>() {
                return ours.clone();
            }
            text.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        HttpError::Protocol(text)
    }
}

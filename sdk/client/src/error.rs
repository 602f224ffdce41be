//! What can go wrong when a server is asked for something.

use http::StatusCode;

/// A request that did not lead to what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the server cannot be used.
    #[error("`{url}` is not the address of a server: {problem}")]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificates of the machine or the file with an authority could not be read.
    #[error("could not set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer came.
    #[error("could not reach {url}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server said no.
    #[error("{message}")]
    Refused {
        /// The status of HTTP.
        status: StatusCode,
        /// The word that programs look at, such as `not_found`.
        error: String,
        /// The sentence for people.
        message: String,
        /// More, as the server said it.
        details: Option<String>,
        /// What to try.
        suggestions: Vec<String>,
    },
    /// The answer is none of this API: another program may listen there.
    #[error("{url} answered with something that is not of this API ({status}): {problem}")]
    Foreign {
        /// What was asked.
        url: String,
        /// The status of HTTP.
        status: StatusCode,
        /// What is wrong with it.
        problem: String,
    },
}

impl ClientError {
    /// What to type or change; none if there is nothing sure to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            ClientError::Address { .. } => Some("write it as `https://ci.example.org`".to_owned()),
            ClientError::Unreachable { .. } => Some("is the server running, and is its address right?".to_owned()),
            ClientError::Refused { suggestions, .. } if !suggestions.is_empty() => Some(suggestions.join("; ")),
            ClientError::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                Some("sign in with `oxide login`".to_owned())
            }
            ClientError::Foreign { .. } => Some("is it the address of an Oxide CI server?".to_owned()),
            ClientError::Refused { .. } | ClientError::Tls(_) => None,
        }
    }

    /// The status, if the server answered.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            ClientError::Refused { status, .. } | ClientError::Foreign { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// May the same request succeed a little later?
    pub fn is_passing(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } => true,
            ClientError::Refused { status, .. } | ClientError::Foreign { status, .. } => matches!(
                *status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            ClientError::Address { .. } | ClientError::Tls(_) => false,
        }
    }
}

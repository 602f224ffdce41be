//! What can go wrong between us and a registry, and what to type then.

use super::{
    connection::{is_about_trust, is_this_machine},
    credentials::CredentialsError,
    digest::Digest,
    reach::NotReached,
};

/// A registry could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// 401: it does not know who asks, or does not believe it.
    #[error("registry {host} wants {} for `{repository}`{said}", if *with_account { "another account" } else { "an account" })]
    Unauthorized {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// An account was tried.
        with_account: bool,
        /// What it said, behind `: `; empty if nothing.
        said: String,
    },
    /// 403: it knows who asks, and refuses.
    #[error("registry {host} does not let {} {} `{repository}`{said}", if *with_account { "this account" } else { "everybody" }, if *writes { "write to" } else { "read" })]
    Denied {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// An account was tried.
        with_account: bool,
        /// It was about writing.
        writes: bool,
        /// What it said, behind `: `; empty if nothing.
        said: String,
    },
    /// 404.
    #[error("there is no {what} in registry {host}")]
    NotFound {
        /// The registry.
        host: String,
        /// What was looked for.
        what: String,
    },
    /// 429, after all tries.
    #[error("registry {host} answers no more for now: too many requests{}", wait.map_or(String::new(), |seconds| format!(", it asks to wait {seconds} s")))]
    TooManyRequests {
        /// The registry.
        host: String,
        /// How long it asks to wait, in seconds.
        wait: Option<u64>,
        /// An account was used.
        with_account: bool,
    },
    /// Any other status, after all tries if it was above 499.
    #[error("registry {host} answers {status} to {what}{said}")]
    Status {
        /// The registry.
        host: String,
        /// Such as `502 Bad Gateway`.
        status: String,
        /// What was asked.
        what: String,
        /// What it said, behind `: `; empty if nothing.
        said: String,
    },
    /// No answer, after all tries.
    #[error("could not reach registry {host}")]
    Unreachable {
        /// The registry.
        host: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// It took the request and said nothing, at every try.
    #[error("registry {host} has not answered within {seconds} s")]
    Silent {
        /// The registry.
        host: String,
        /// How long it had, in seconds.
        seconds: u64,
    },
    /// The connection ended in the middle of the bytes, at every try.
    #[error("registry {host} ended the connection while it sent {what}, {got} of {size} bytes had come")]
    Interrupted {
        /// The registry.
        host: String,
        /// What it sent.
        what: String,
        /// How many bytes had come.
        got: u64,
        /// How many there should have been.
        size: u64,
        /// Why.
        #[source]
        cause: Option<reqwest::Error>,
    },
    /// More bytes than are read.
    #[error("{what} from registry {host} has more than {bytes_max} bytes, which is the most that is read")]
    TooLarge {
        /// The registry.
        host: String,
        /// What it sent.
        what: String,
        /// The bound.
        bytes_max: u64,
    },
    /// Other bytes than were asked for.
    #[error("registry {host} sent other bytes than were asked for: {what} should have {expected} and has {found}")]
    Digest {
        /// The registry.
        host: String,
        /// What it sent.
        what: String,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// An answer that the protocol does not know.
    #[error("registry {host} does not speak the OCI distribution protocol as it should: {problem}")]
    Protocol {
        /// The registry.
        host: String,
        /// What is wrong.
        problem: String,
    },
    /// The account could not be found out.
    #[error("could not find out the account for registry {host}")]
    Credentials {
        /// The registry.
        host: String,
        /// Why.
        #[source]
        cause: CredentialsError,
    },
    /// It may not be asked.
    #[error("registry {host} is not asked")]
    NotReached {
        /// The registry.
        host: String,
        /// Why.
        #[source]
        cause: NotReached,
    },
    /// There is no way to talk to anybody.
    #[error("could not prepare connections to registries")]
    Setup(#[source] reqwest::Error),
}

impl OciError {
    /// What to type or change.
    pub fn hint(&self) -> Option<String> {
        match self {
            OciError::Unauthorized { host, with_account, .. } => Some(match with_account {
                true => format!("sign in again: {}", sign_in(host)),
                false => format!("sign in: {} (any tool that writes Docker's config.json will do)", sign_in(host)),
            }),
            OciError::Denied { host, with_account: false, .. } => {
                Some(format!("sign in with an account that may: {}", sign_in(host)))
            }
            OciError::Denied { host, writes, .. } => Some(format!(
                "give the account {} rights there, or sign in with another one: {}",
                if *writes { "write" } else { "read" },
                sign_in(host)
            )),
            OciError::TooManyRequests { host, with_account: false, .. } => {
                Some(format!("wait a little; with an account the limit is often higher: `docker login {host}`"))
            }
            OciError::TooManyRequests { .. } => Some("wait a little and try again".to_owned()),
            OciError::Status { status, .. } if status.starts_with('5') => {
                Some("the registry is in trouble: try again later, or ask its operator".to_owned())
            }
            OciError::Unreachable { host, cause } if is_about_trust(cause) => Some(format!(
                "if you trust {host}: install the authority of its certificate on this machine, or name its file in \
                 SSL_CERT_FILE"
            )),
            OciError::Unreachable { host, .. } if is_this_machine(host) => {
                Some(format!("start the registry that should listen on `{host}`"))
            }
            OciError::Unreachable { host, .. } => Some(format!(
                "check the name `{host}` and the network; a registry that speaks http without encryption wants \
                 `--insecure-registry {host}`"
            )),
            OciError::Silent { .. } => {
                Some("try again later, or look at the network between here and there".to_owned())
            }
            OciError::Interrupted { .. } => Some("try again; what was stored stays".to_owned()),
            OciError::Credentials { cause, .. } => cause.hint(),
            _ => None,
        }
    }

    /// Does it mean that it is not there?
    pub fn is_not_found(&self) -> bool {
        matches!(self, OciError::NotFound { .. })
    }
}

/// The commands that sign in at a registry. Whether it is that of a server is not seen from here.
fn sign_in(host: &str) -> String {
    format!(
        "`docker login {host}`, or `oxide login URL` if it is that of an Oxide server: an API token is its password"
    )
}

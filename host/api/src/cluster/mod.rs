//! Several servers on one database: a server that does not lead passes calls on to the one that does.
//!
//! The way is `POST /internal/v1/call` with the secret that all servers of the database share. Who leads is told by the
//! database; at which address, the leader itself.

mod forward;
pub mod route;

use std::fmt;

pub use forward::HttpForward;

/// What servers of one database prove themselves with to each other. Never printed.
#[derive(Clone)]
pub struct ClusterSecret(String);

/// A secret that is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cluster secret has less than {LENGTH_MIN} characters: `openssl rand -hex 32` prints a good one")]
pub struct TooShort;

/// How long a secret is at least.
const LENGTH_MIN: usize = 32;

impl ClusterSecret {
    /// The secret, if it is long enough.
    ///
    /// # Errors
    /// It is too short.
    pub fn new(text: impl Into<String>) -> Result<ClusterSecret, TooShort> {
        let text = text.into();
        if text.len() < LENGTH_MIN { Err(TooShort) } else { Ok(ClusterSecret(text)) }
    }

    /// Is this it? Takes as long whatever is wrong with it.
    pub fn is(&self, shown: &str) -> bool {
        // Digests are equally long, and tell nothing of the secret by how far they agree.
        let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let (own, other) = (digest(&self.0), digest(shown));
        own.as_ref().iter().zip(other.as_ref()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_hidden_and_known_by_all_of_it() {
        assert!(ClusterSecret::new("short").is_err());
        let secret = ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap();
        assert!(secret.is("0123456789abcdef0123456789abcdef"));
        assert!(!secret.is("0123456789abcdef0123456789abcdeF") && !secret.is(""));
        assert!(!format!("{secret:?}").contains("0123"));
    }
}

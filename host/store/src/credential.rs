//! Tokens as people and agents hold them: random text, of which the store keeps a hash only.

use std::fmt;

use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::list::hex;

/// What a token is for. Its text begins with it, so that a token that was lost somewhere is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// An API token of a user.
    Api,
    /// With it one agent may join, once.
    Registration,
    /// What an agent proves itself with.
    Agent,
    /// With it a session is renewed, once.
    Refresh,
}

impl CredentialKind {
    /// All kinds.
    pub const ALL: [CredentialKind; 4] =
        [CredentialKind::Api, CredentialKind::Registration, CredentialKind::Agent, CredentialKind::Refresh];

    /// How its tokens begin.
    pub fn beginning(self) -> &'static str {
        match self {
            CredentialKind::Api => "oxide_pat_",
            CredentialKind::Registration => "oxide_reg_",
            CredentialKind::Agent => "oxide_agt_",
            CredentialKind::Refresh => "oxide_ref_",
        }
    }

    /// The kind of a token, by how it begins.
    pub fn of(text: &str) -> Option<CredentialKind> {
        CredentialKind::ALL.into_iter().find(|kind| text.starts_with(kind.beginning()))
    }
}

/// A new token: 256 random bits. It is shown to its owner once.
pub struct Credential {
    text: String,
    kind: CredentialKind,
}

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes for a token")]
pub struct NoRandomBytes;

impl Credential {
    /// Makes one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate(kind: CredentialKind) -> Result<Credential, NoRandomBytes> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomBytes)?;
        Ok(Credential { text: format!("{}{}", kind.beginning(), hex::encode(&bytes)), kind })
    }

    /// The text. Every use of this function is a place where it leaves our keeping.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is kept of it.
    pub fn hash(&self) -> CredentialHash {
        CredentialHash::of(&self.text)
    }

    /// How it begins: enough to tell tokens from each other, and no help in guessing one.
    pub fn prefix(&self) -> &str {
        &self.text[..self.kind.beginning().len() + 6]
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}…)", self.prefix())
    }
}

/// The SHA-256 of a token. With 256 random bits behind it there is nothing to try out, so it needs no slow hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialHash(String);

impl CredentialHash {
    /// The hash of a token as it was sent.
    pub fn of(text: &str) -> CredentialHash {
        CredentialHash(hex::encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()))
    }

    /// As it stands in the store.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_do_not_show_themselves() {
        let (one, other) =
            (Credential::generate(CredentialKind::Api).unwrap(), Credential::generate(CredentialKind::Api).unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(one.hash(), CredentialHash::of(one.expose()));
        assert_eq!(one.expose().len(), "oxide_pat_".len() + 64);
        assert!(one.expose().starts_with(one.prefix()));
        assert!(!format!("{one:?}").contains(&one.expose()[20..]));
        assert!(!one.hash().as_str().contains(&one.expose()[10..]));
        for kind in CredentialKind::ALL {
            assert_eq!(CredentialKind::of(Credential::generate(kind).unwrap().expose()), Some(kind));
        }
        assert_eq!(CredentialKind::of("ghp_whatever"), None);
    }

    #[test]
    fn a_hash_is_sha256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(CredentialHash::of("abc").as_str(), expected);
    }
}

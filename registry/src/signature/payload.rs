//! What is signed: the "simple signing" text that names the digest of a manifest. Pure functions.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{PrivateKey, PublicKey};
use crate::oci::{Digest, Repository};

const KIND: &str = "cosign container image signature";

/// The largest payload that is read.
pub const PAYLOAD_BYTES_MAX: u64 = 128 << 10;

/// A payload and its signature, as they were made or found. Nothing is known of them before they are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What was signed.
    pub payload: Bytes,
    /// The signature in DER.
    pub signature: Vec<u8>,
}

/// Why a signature says nothing about a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another key made it, or the payload was changed.
    #[error("it was not made with this key, or was changed since")]
    Key,
    /// The key made it for another manifest.
    #[error("it is a signature of {0}, and not of this plugin")]
    OtherDigest(String),
    /// The key made it for something else.
    #[error("the key signed something that is no signature of a plugin")]
    Kind,
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

impl Signature {
    /// Signs the manifest of this digest as that of a plugin in this repository.
    pub fn sign(key: &PrivateKey, repository: &Repository, digest: &Digest) -> Signature {
        let payload = payload(repository, digest);
        let signature = key.sign(&payload);
        Signature { payload: payload.into(), signature }
    }

    /// Says this key that the manifest has this digest? The repository in the payload is not compared: a mirror has the same
    /// manifest, and the digest names it.
    ///
    /// # Errors
    /// See [`Mismatch`].
    pub fn verify(&self, key: &PublicKey, digest: &Digest) -> Result<(), Mismatch> {
        // Nothing is read of what the key has not signed.
        if !key.verifies(&self.payload, &self.signature) {
            return Err(Mismatch::Key);
        }
        let payload: Payload = serde_json::from_slice(&self.payload).map_err(|_| Mismatch::Kind)?;
        if payload.critical.kind != KIND {
            return Err(Mismatch::Kind);
        }
        match payload.critical.image.digest.parse::<Digest>() {
            Ok(signed) if signed == *digest => Ok(()),
            Ok(signed) => Err(Mismatch::OtherDigest(signed.to_string())),
            Err(_) => Err(Mismatch::Kind),
        }
    }
}

fn payload(repository: &Repository, digest: &Digest) -> Vec<u8> {
    json!({
        "critical": {
            "identity": { "docker-reference": repository.to_string() },
            "image": { "docker-manifest-digest": digest.to_string() },
            "type": KIND,
        },
        "optional": null,
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (PrivateKey, Digest, Signature) {
        let (key, digest) = (PrivateKey::generate(), Digest::of(b"manifest"));
        let signature = Signature::sign(&key, &Repository::parse("ghcr.io/acme/lint").unwrap(), &digest);
        (key, digest, signature)
    }

    #[test]
    fn a_signature_is_good_for_its_key_and_its_manifest() {
        let (key, digest, signature) = signed();
        assert_eq!(signature.verify(&key.public_key(), &digest), Ok(()));
        assert_eq!(signature.verify(&PrivateKey::generate().public_key(), &digest), Err(Mismatch::Key));
        let other = signature.verify(&key.public_key(), &Digest::of(b"other"));
        assert_eq!(other, Err(Mismatch::OtherDigest(digest.to_string())));
        assert_eq!(
            String::from_utf8(signature.payload.to_vec()).unwrap(),
            format!(
                "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"ghcr.io/acme/lint\"}},\"image\":{{\
                 \"docker-manifest-digest\":\"{digest}\"}},\"type\":\"cosign container image signature\"}},\"optional\":null}}"
            )
        );
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let (key, digest, signature) = signed();
        for at in 0..signature.payload.len() {
            let mut payload = signature.payload.to_vec();
            payload[at] ^= 1;
            let changed = Signature { payload: payload.into(), ..signature.clone() };
            assert_eq!(changed.verify(&key.public_key(), &digest), Err(Mismatch::Key), "byte {at} of the payload");
        }
        for at in 0..signature.signature.len() {
            let mut changed = signature.clone();
            changed.signature[at] ^= 1;
            assert_eq!(changed.verify(&key.public_key(), &digest), Err(Mismatch::Key), "byte {at} of the signature");
        }
    }

    #[test]
    fn what_else_a_key_has_signed_is_no_signature_of_a_plugin() {
        let (key, digest, _) = signed();
        let texts = [
            "hello".to_owned(),
            "{}".to_owned(),
            format!("{{\"critical\":{{\"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\"type\":\"a check\"}}}}"),
            format!("{{\"critical\":{{\"image\":{{\"docker-manifest-digest\":\"x\"}},\"type\":\"{KIND}\"}}}}"),
        ];
        for text in texts {
            let signature = Signature { signature: key.sign(text.as_bytes()), payload: text.clone().into() };
            assert_eq!(signature.verify(&key.public_key(), &digest), Err(Mismatch::Kind), "{text}");
        }
    }
}

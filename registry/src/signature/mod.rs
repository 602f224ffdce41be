//! Signatures of plugins in cosign's format, with a key pair.
//!
//! A signature is made over a small JSON text, the [`payload`], that names the digest of the plugin's manifest. Payload and
//! signature lie in the plugin's repository, as a layer of a manifest with the tag `sha256-DIGEST.sig`; the manifest names the
//! plugin's as its subject, too, so that it is among the referrers. [`keys`] reads and writes key pairs, [`payload`] and
//! [`manifest`] the two texts; [`published`] talks to the registry, and [`kept`] keeps what was found for times without one.
//!
//! What counts is always the signature itself: where it was found, and under which name, proves nothing.

pub mod kept;
pub mod keys;
pub mod manifest;
pub mod payload;
mod private_key_file;
pub mod published;

pub use kept::KeptSignatures;
pub use keys::{KeyError, PrivateKey, PublicKey};
pub use payload::{Mismatch, Signature};
pub use published::{PublishError, Published};

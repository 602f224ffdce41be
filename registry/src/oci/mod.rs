//! The client for OCI registries: names, accounts, requests, and how a plugin lies in a registry.
//!
//! [`Client`] speaks the distribution protocol and knows nothing of plugins; [`layout`] says what a plugin looks like there, and
//! [`publication`] moves one.

mod auth;
mod blob;
mod client;
mod connection;
mod credentials;
mod digest;
mod error;
pub mod layout;
pub mod publication;
mod reach;
mod reference;

pub use blob::BlobReader;
pub use client::{Client, Descriptor, MANIFEST_BYTES_MAX, Manifest, PutManifest, media_type};
pub use connection::ClientSettings;
pub use credentials::{CredentialsError, OwnAccount, ServerLogin};
pub use digest::{Digest, DigestError};
pub use error::OciError;
pub use publication::{MoveError, Publication, Pushed};
pub use reach::{NotReached, Reach};
pub use reference::{OciReference, OciReferenceError, REFERENCE_BYTES_MAX, Repository, host_and_port, hosts_of_url};

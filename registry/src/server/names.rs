//! The names of objects in the store of the registry.
//!
//! ```text
//! blobs/<2 digits>/<digest>                              bytes, kept once for all repositories
//! repositories/<name>/_blobs/<digest>                    the repository has this blob
//! repositories/<name>/_manifests/<digest>                a line of JSON (the media type), then the bytes
//! repositories/<name>/_tags/<tag>                        the digest that the tag points at
//! repositories/<name>/_referrers/<digest>/<digest>       the descriptor of a manifest whose subject the first one is
//! names/<name with + for />                              there is a repository of this name
//! uploads/<id>                                           a file, not an object: bytes that arrive
//! ```
//!
//! No part of a repository's name begins with `_` and none holds a `+`, so no two of them meet.

use super::route::{Name, Tag};
use crate::oci::Digest;

pub(super) const NAMES: &str = "names";
pub(super) const BLOBS: &str = "blobs";

pub(super) fn blob(digest: &Digest) -> String {
    format!("{BLOBS}/{}/{}", &digest.hex()[..2], digest.hex())
}

pub(super) fn blob_links(name: &Name) -> String {
    format!("repositories/{}/_blobs", name.as_str())
}

pub(super) fn blob_link(name: &Name, digest: &Digest) -> String {
    format!("{}/{}", blob_links(name), digest.hex())
}

pub(super) fn manifests(name: &Name) -> String {
    format!("repositories/{}/_manifests", name.as_str())
}

pub(super) fn manifest(name: &Name, digest: &Digest) -> String {
    format!("{}/{}", manifests(name), digest.hex())
}

pub(super) fn tags(name: &Name) -> String {
    format!("repositories/{}/_tags", name.as_str())
}

pub(super) fn tag(name: &Name, tag: &Tag) -> String {
    format!("{}/{}", tags(name), tag.as_str())
}

pub(super) fn referrers(name: &Name, subject: &Digest) -> String {
    format!("repositories/{}/_referrers/{}", name.as_str(), subject.hex())
}

pub(super) fn referrer(name: &Name, subject: &Digest, digest: &Digest) -> String {
    format!("{}/{}", referrers(name, subject), digest.hex())
}

pub(super) fn repository(name: &Name) -> String {
    format!("{NAMES}/{}", name.as_str().replace('/', "+"))
}

/// The repository of an object in `names/`.
pub(super) fn repository_of(object: &str) -> Option<Name> {
    Name::parse(&object.replace('+', "/"))
}

/// The digest of an object whose name ends in one.
pub(super) fn digest_of(object: &str) -> Option<Digest> {
    format!("sha256:{}", object.rsplit('/').next()?).parse().ok()
}

//! Index entries: what is stored beside the chunks, as JSON.

use oxide_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Files that were packed: how many, how large, and where their bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// How many files and links.
    pub files: u64,
    /// The size of the files in bytes.
    pub size: u64,
    /// The bytes that they take in the store.
    pub stored: u64,
    /// SHA-256 of what is stored, as `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The bytes of the archive before it was compressed: more is never unpacked.
    pub archive_bytes: u64,
    /// The pieces in order.
    pub chunks: Vec<Chunk>,
}

/// A piece of what is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Chunk {
    /// SHA-256 of its bytes, as 64 hexadecimal digits.
    pub sha256: String,
    /// The period in which it was stored; a part of its name.
    pub period: u32,
    /// How many bytes it has.
    pub bytes: u64,
}

/// An entry of a cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// The project that it belongs to.
    pub project: String,
    /// The key that it was saved under.
    pub key: String,
    /// When it was saved.
    pub saved_at: Timestamp,
    /// Its files.
    #[serde(flatten)]
    pub contents: Contents,
}

/// An entry of a cache with what happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedEntry {
    /// The name of its object.
    pub(crate) name: String,
    /// The entry.
    pub entry: CacheEntry,
    /// When it was last saved or restored.
    pub used_at: Timestamp,
}

/// Who uploads an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploader {
    /// The id of the run.
    pub run: String,
    /// The job: its stage with its matrix values.
    pub job: String,
}

/// An artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactEntry {
    /// Its name, unique within the run.
    pub name: String,
    /// Who uploaded it.
    #[serde(flatten)]
    pub uploader: Uploader,
    /// When it was uploaded.
    pub saved_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its files.
    #[serde(flatten)]
    pub contents: Contents,
}

/// When an entry was used, or the store swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub at: Timestamp,
}

//! What outlives a job: caches and artifacts, in a directory or in any S3-compatible store.
//!
//! Files are packed into one stream (tar, zstd), which is cut into chunks. A chunk is stored under the SHA-256 of its
//! bytes and hashed again before anything of it is used, so neither direction holds more than a few chunks in memory and
//! nothing that was damaged reaches a workspace. An index entry, a small JSON object that lists the chunks, is written
//! last: a save that is killed leaves chunks that nobody lists, and [`Blobs::sweep`] removes them.
//!
//! Decisions are plain functions: [`names`](crate::name) of objects, which entry to restore and which to give up
//! (`choose`), which files a pattern means (`archive::select`), what an archive may contain (`archive::path`).
//! The runtime offers this to plugins as `oxide:ci/cache` and `oxide:ci/artifacts`; the program lists and removes.

mod archive;
mod artifacts;
mod cache;
mod choose;
mod chunks;
mod error;
mod location;
pub mod name;
mod objects;
mod record;
mod store;
mod stream;
mod sweep;

pub use archive::{Pack, Unpack};
pub use cache::{Cleared, Restored, Saved};
pub use choose::Limits;
pub use error::BlobError;
pub use location::{Location, LocationError};
pub use objects::{ListedObject, ObjectError, Objects};
pub use record::{ArtifactEntry, CacheEntry, Contents, Uploader, UsedEntry};
pub use store::Blobs;
pub use sweep::Swept;

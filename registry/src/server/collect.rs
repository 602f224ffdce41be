//! Removes blobs that no manifest names.
//!
//! Whoever pushes stores blobs first and the manifest that names them last, and may find a blob there that it then does not
//! send. So nothing is collected while the registry is served from this machine, and what is younger than a day stays.

use std::{collections::HashSet, io, path::PathBuf, time::SystemTime};

use oxide_blobs::{Blobs, ListedObject, ObjectError};

use super::{
    FOLDER, Registry,
    manifest::Manifest,
    names,
    route::{Name, Target},
    store::Repositories,
    upload::{ABANDONED, Uploads},
};
use crate::oci::Digest;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that no manifest of any repository names.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Uploads that nobody has added to for a day.
    pub uploads: usize,
}

/// Why nothing, or not everything, was collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The registry is served.
    #[error("the registry in this store is being served: stop `oxide registry serve` first")]
    InUse,
    /// A manifest cannot be read, so what it names is not known.
    #[error("a manifest of `{repository}` cannot be read, so nothing was removed: delete or push `{digest}` again")]
    Damaged {
        /// The repository.
        repository: String,
        /// The manifest.
        digest: String,
    },
    /// The directory of uploads cannot be used.
    #[error("could not look at the uploads")]
    Uploads(#[source] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ObjectError),
}

impl Registry {
    /// Removes what no manifest names and is older than a day. `staging` is that of [`super::Settings`].
    ///
    /// # Errors
    /// See [`CollectError`].
    pub async fn collect(blobs: &Blobs, staging: PathBuf, now: SystemTime) -> Result<Collected, CollectError> {
        let uploads = Uploads::new(super::staging(blobs, staging), 0).map_err(CollectError::Uploads)?;
        let lock = uploads.lock_file().map_err(CollectError::Uploads)?;
        lock.try_lock().map_err(|_| CollectError::InUse)?;
        let repositories = Repositories { objects: blobs.objects(FOLDER), immutable_tags: false };
        let objects = &repositories.objects;
        let is_old = |object: &ListedObject| {
            let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            u128::try_from(now.saturating_sub(object.written_at_millis)).unwrap_or_default() >= ABANDONED.as_millis()
        };

        let mut links_gone = Vec::new();
        let mut needed: HashSet<Digest> = HashSet::new();
        for object in objects.names(names::NAMES).await? {
            let Some(name) = names::repository_of(&object) else { continue };
            let named = named_blobs(&repositories, &name).await?;
            for link in objects.list(&names::blob_links(&name)).await? {
                let Some(digest) = names::digest_of(&link.name) else { continue };
                if !named.contains(&digest) && is_old(&link) {
                    links_gone.push(link.name);
                } else {
                    needed.insert(digest);
                }
            }
        }
        let mut blobs_gone = Vec::new();
        let mut collected = Collected::default();
        for blob in objects.list(names::BLOBS).await? {
            let Some(digest) = names::digest_of(&blob.name) else { continue };
            if !needed.contains(&digest) && is_old(&blob) {
                collected.blobs += 1;
                collected.bytes += blob.size;
                blobs_gone.push(blob.name);
            }
        }
        // A repository must never have a blob that is gone.
        objects.remove(links_gone).await?;
        objects.remove(blobs_gone).await?;
        collected.uploads = uploads.remove_abandoned(now).await.map_err(CollectError::Uploads)?;
        Ok(collected)
    }
}

/// The blobs that the manifests of a repository name.
async fn named_blobs(repositories: &Repositories, name: &Name) -> Result<HashSet<Digest>, CollectError> {
    let mut named = HashSet::new();
    for object in repositories.objects.names(&names::manifests(name)).await? {
        let Some(digest) = names::digest_of(&object) else { continue };
        let damaged = || CollectError::Damaged { repository: name.as_str().to_owned(), digest: digest.to_string() };
        let stored = repositories.manifest(name, &Target::Digest(digest.clone())).await.map_err(|_| damaged())?;
        let Some(stored) = stored else { continue };
        let manifest = Manifest::parse(&stored.bytes, Some(&stored.media_type)).map_err(|_| damaged())?;
        named.extend(manifest.blobs);
    }
    Ok(named)
}

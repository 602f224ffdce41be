//! `oxide:ci/cache`: files for later runs of the project.

use oxide_blobs::{BlobError, CacheEntry, Saved};
use wasmtime::component::Resource;

use super::{
    CapabilityError,
    bindings::oxide::ci::cache::{Entry, Host, HostCacheStore, Saved as SavedEntry},
};
use crate::{
    state::State,
    stored::{now, seconds},
};

/// So many damaged entries are passed over in the search for a good one.
const DAMAGED_MAX: usize = 5;

/// The cache of the project that the run belongs to.
pub struct CacheStore;

impl Host for State {
    async fn open(&mut self) -> Result<Resource<CacheStore>, CapabilityError> {
        self.called("cache.open", &());
        self.blobs()?;
        Ok(self.table.push(CacheStore)?)
    }
}

impl HostCacheStore for State {
    async fn restore(
        &mut self,
        store: Resource<CacheStore>,
        key: String,
        fallback_keys: Vec<String>,
    ) -> Result<Option<Entry>, CapabilityError> {
        self.called("cache.restore", &(store.rep(), &key, &fallback_keys));
        self.table.get(&store)?;
        let (blobs, unpack) = (self.blobs()?, self.unpack(None)?);
        for _ in 0..DAMAGED_MAX {
            match blobs.restore(&self.stored.project, &key, &fallback_keys, unpack.clone(), now()).await {
                // It is gone now, as any entry may be: what fits next is looked for, and the step that saves makes a new one.
                Err(BlobError::Damaged(problem)) => {
                    self.log.note(format!("warning: the cache was damaged: {problem}\n"))
                }
                restored => return Ok(restored?.map(|restored| described(restored.entry))),
            }
        }
        Ok(None)
    }

    async fn save(
        &mut self,
        store: Resource<CacheStore>,
        key: String,
        paths: Vec<String>,
    ) -> Result<SavedEntry, CapabilityError> {
        self.called("cache.save", &(store.rep(), &key, &paths));
        self.table.get(&store)?;
        if self.stored.cache_read_only {
            return Err(CapabilityError::Denied("the step may restore from the cache, and not save to it".into()));
        }
        let (blobs, pack) = (self.blobs()?, self.pack(paths)?);
        Ok(match blobs.save(&self.stored.project, &key, pack, &now).await? {
            Saved::Stored(entry) => SavedEntry::Stored(described(entry)),
            Saved::Exists(entry) => SavedEntry::Exists(described(entry)),
        })
    }

    async fn drop(&mut self, handle: Resource<CacheStore>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn described(entry: CacheEntry) -> Entry {
    Entry {
        key: entry.key,
        files: entry.contents.files,
        size: entry.contents.size,
        stored: entry.contents.stored,
        saved_at: seconds(entry.saved_at),
    }
}

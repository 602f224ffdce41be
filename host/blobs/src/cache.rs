//! The cache: entries under keys, never changed, removed when they were not used for long.

use futures_util::{StreamExt as _, TryStreamExt as _};
use oxide_core::time::Timestamp;

use crate::{
    BlobError, Blobs, CacheEntry, Pack, Unpack, UsedEntry,
    choose::{fallback, given_up},
    name::{self, SAVE_MILLIS_MAX},
    record::Moment,
    store::{Created, REQUESTS_AT_ONCE, to_bytes},
};

/// An entry that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The entry.
    pub entry: CacheEntry,
    /// It is the one of the key itself, not of a fallback key.
    pub exact: bool,
}

/// How a save ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// A new entry was made.
    Stored(CacheEntry),
    /// There is an entry under this key; it stays as it is.
    Exists(CacheEntry),
}

/// What `clear` removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// How many entries.
    pub entries: u64,
    /// The bytes that they took in the store; the sweep frees them.
    pub stored: u64,
}

impl Blobs {
    /// Puts back the files of the entry under `key`, else of the newest one whose key begins with the first of the fallback
    /// keys for which there is one. None if nothing fits, or if what fits has just been removed.
    ///
    /// # Errors
    /// A [`BlobError`]. What was put back until then is removed; a damaged entry is, too, so that the next save can make a
    /// good one.
    pub async fn restore(
        &self,
        project: &str,
        key: &str,
        fallback_keys: &[String],
        unpack: Unpack,
        now: Timestamp,
    ) -> Result<Option<Restored>, BlobError> {
        name::check_key(key).map_err(BlobError::Invalid)?;
        let name = name::cache_entry(project, key);
        let exact = match self.read::<CacheEntry>(&name).await {
            Err(BlobError::Damaged(problem)) => return Err(self.forget(name, key, &problem).await),
            exact => exact?,
        };
        let (entry, exact) = match exact {
            Some(entry) => (entry, true),
            None if fallback_keys.is_empty() => return Ok(None),
            None => match fallback(&self.cache_entries(project).await?, fallback_keys) {
                Some(entry) => (entry.clone(), false),
                None => return Ok(None),
            },
        };
        let name = name::cache_entry(project, &entry.key);
        match self.restore_files(&entry.contents, unpack).await {
            Ok(()) => {}
            Err(BlobError::NotFound(_)) => {
                self.remove_entries(vec![name]).await?;
                return Ok(None);
            }
            Err(BlobError::Damaged(problem)) => return Err(self.forget(name, &entry.key, &problem).await),
            Err(error) => return Err(error),
        }
        self.put(&name::used_beside(&name), to_bytes(&Moment { at: now }), "note the use of an entry").await?;
        Ok(Some(Restored { entry, exact }))
    }

    /// Saves files under a key, unless there is an entry under it. `clock` is asked at the beginning and at the end.
    ///
    /// # Errors
    /// A [`BlobError`]; then there is no entry.
    pub async fn save(
        &self,
        project: &str,
        key: &str,
        pack: Pack,
        clock: &(dyn Fn() -> Timestamp + Sync),
    ) -> Result<Saved, BlobError> {
        name::check_key(key).map_err(BlobError::Invalid)?;
        let name = name::cache_entry(project, key);
        match self.read(&name).await {
            Ok(Some(entry)) => return Ok(Saved::Exists(entry)),
            // Nobody can restore it.
            Err(BlobError::Damaged(_)) => self.remove_entries(vec![name.clone()]).await?,
            missing => drop(missing?),
        }
        let began = clock();
        let contents = self.store_files(pack, began).await?;
        check_duration(began, clock())?;
        let entry = CacheEntry { project: project.to_owned(), key: key.to_owned(), saved_at: clock(), contents };
        if self.create(&name, to_bytes(&entry), "write an entry").await? == Created::WasThere {
            // Somebody was quicker. If that entry has gone again, ours is told: it is as good as none then.
            return Ok(Saved::Exists(self.read(&name).await?.unwrap_or(entry)));
        }
        let entries = self.cache_entries(project).await?;
        self.remove_entries(given_up(&entries, &self.limits, clock(), Some(&name))).await?;
        self.sweep_if_due(clock()).await?;
        Ok(Saved::Stored(entry))
    }

    /// The entries of a project's cache, in no particular order, without those that are damaged.
    ///
    /// # Errors
    /// [`BlobError::Store`] if they cannot be read.
    pub async fn cache_entries(&self, project: &str) -> Result<Vec<UsedEntry>, BlobError> {
        let names = self.names(&name::cache_folder(project)).await?;
        Ok(self.used_entries(names).await?.into_iter().filter_map(Result::ok).collect())
    }

    /// Removes a damaged entry, so that the next save can make a good one; answers with the error that tells of it.
    async fn forget(&self, name: String, key: &str, problem: &str) -> BlobError {
        match self.remove_entries(vec![name]).await {
            Ok(()) => BlobError::Damaged(format!("{problem}; the entry `{key}` was removed")),
            Err(error) => error,
        }
    }

    /// Removes the entries of a project whose keys begin with `prefix` and that were last used before `before`.
    ///
    /// # Errors
    /// [`BlobError::Store`] if entries cannot be read or removed.
    pub async fn clear(&self, project: &str, prefix: &str, before: Timestamp) -> Result<Cleared, BlobError> {
        let entries = self.cache_entries(project).await?;
        let wanted = entries.into_iter().filter(|used| used.entry.key.starts_with(prefix) && used.used_at < before);
        let mut cleared = Cleared::default();
        let mut names = Vec::new();
        for used in wanted {
            cleared.entries += 1;
            cleared.stored += used.entry.contents.stored;
            names.push(used.name);
        }
        self.remove_entries(names).await?;
        Ok(cleared)
    }

    /// Reads the entries of these names, which may hold those of notes of use. Of one that is damaged, the sentence that says
    /// so.
    pub(crate) async fn used_entries(&self, names: Vec<String>) -> Result<Vec<Result<UsedEntry, String>>, BlobError> {
        let notes: std::collections::HashSet<String> =
            names.iter().filter(|name| name.ends_with(".used")).cloned().collect();
        let notes = &notes;
        let entries = futures_util::stream::iter(names.into_iter().filter(|name| name.ends_with(".json")))
            .map(|name| async move {
                // It may have been removed since it was listed.
                let entry = match self.read::<CacheEntry>(&name).await {
                    Ok(Some(entry)) => entry,
                    Ok(None) => return Ok(None),
                    Err(BlobError::Damaged(problem)) => return Ok(Some(Err(problem))),
                    Err(error) => return Err(error),
                };
                let note = name::used_beside(&name);
                let used = match notes.contains(&note) {
                    true => self.read::<Moment>(&note).await,
                    false => Ok(None),
                };
                let used = match used {
                    // As if it had not been used.
                    Err(BlobError::Damaged(_)) => None,
                    used => used?,
                };
                let used_at = used.map_or(entry.saved_at, |used| used.at.max(entry.saved_at));
                Ok(Some(Ok(UsedEntry { name, entry, used_at })))
            })
            .buffer_unordered(REQUESTS_AT_ONCE)
            .try_filter_map(|entry| async move { Ok(entry) });
        entries.try_collect().await
    }

    /// Removes index entries with their notes, the entries first.
    pub(crate) async fn remove_entries(&self, names: Vec<String>) -> Result<(), BlobError> {
        let notes = names.iter().map(|name| name::used_beside(name)).collect();
        self.remove(names).await?;
        self.remove(notes).await
    }
}

/// Refuses to list chunks that the sweep may have taken for rubbish meanwhile.
pub(crate) fn check_duration(began: Timestamp, now: Timestamp) -> Result<(), BlobError> {
    match now.millis_since(began) < SAVE_MILLIS_MAX {
        true => Ok(()),
        false => Err(BlobError::Limit("it took longer than 12 hours to store the files".to_owned())),
    }
}

//! The sweep: removes what has expired, and what killed saves have left.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    time::UNIX_EPOCH,
};

use oxide_core::time::Timestamp;

use crate::{
    BlobError, Blobs, UsedEntry,
    choose::given_up,
    name::{self, ARTIFACTS, BLOBS, CACHE, SWEEP},
    record::{Contents, Moment},
    store::to_bytes,
};

/// How long the store is left alone after a sweep: six hours.
const PAUSE_MILLIS: u64 = 6 * 60 * 60 * 1000;

/// How old a temporary file of a directory must be before it is taken for that of a dead process: a day.
const TEMPORARY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries of caches that were not used for long, or did not fit.
    pub cache_entries: usize,
    /// Artifacts that have expired.
    pub artifacts: usize,
    /// Chunks that no entry lists.
    pub chunks: usize,
    /// Files that a killed process had begun.
    pub temporary: usize,
}

impl Blobs {
    /// Removes what nobody needs any more. Safe beside savers on any machine: see [`crate::name`].
    ///
    /// # Errors
    /// [`BlobError::Damaged`] if an index entry cannot be read: it may list chunks, so none is removed then.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, BlobError> {
        self.put(SWEEP, to_bytes(&Moment { at: now }), "note the sweep").await?;
        // Listed before the entries are read: an entry that is written meanwhile lists chunks that are too young.
        let chunks = self.names(BLOBS).await?;

        let names = self.names(CACHE).await?;
        let entries = self.used_entries(names.clone()).await?.into_iter().collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(BlobError::Damaged)?;
        let cache_gone = self.cache_entries_to_give_up(&entries, now);
        let artifacts = self.artifact_entries(self.names(ARTIFACTS).await?).await?;
        let artifacts_gone: HashSet<&String> =
            artifacts.iter().filter(|(_, entry)| entry.expires_at <= now).map(|(name, _)| name).collect();

        let of_caches = entries.iter().filter(|used| !cache_gone.contains(&used.name)).map(|used| &used.entry.contents);
        let of_artifacts =
            artifacts.iter().filter(|(name, _)| !artifacts_gone.contains(name)).map(|(_, e)| &e.contents);
        let unlisted = unlisted(chunks, of_caches.chain(of_artifacts), now);
        let swept = Swept {
            cache_entries: cache_gone.len(),
            artifacts: artifacts_gone.len(),
            chunks: unlisted.len(),
            temporary: 0,
        };
        let known: HashSet<&String> = entries.iter().map(|used| &used.name).collect();
        let lonely = names.iter().filter(|name| name.ends_with(".used") && !known.contains(&name::entry_beside(name)));
        self.remove(lonely.cloned().collect()).await?;
        // Entries first: there must never be one whose chunks are gone.
        self.remove(artifacts_gone.into_iter().cloned().collect()).await?;
        self.remove_entries(cache_gone.into_iter().collect()).await?;
        self.remove(unlisted).await?;
        let temporary = match self.local_directory() {
            None => 0,
            Some(path) => tokio::task::spawn_blocking(move || remove_temporary(&path, now)).await.unwrap_or_default(),
        };
        Ok(Swept { temporary, ..swept })
    }

    /// Sweeps if that was not done for some hours. A sweep that fails is tried again by the next save after these hours.
    pub(crate) async fn sweep_if_due(&self, now: Timestamp) -> Result<(), BlobError> {
        // What cannot be read is written anew.
        let last = self.read::<Moment>(SWEEP).await.unwrap_or_default();
        let is_due = last.is_none_or(|last| now.millis_since(last.at) >= PAUSE_MILLIS);
        if is_due {
            // The save is done; a damaged entry of somebody else must not make it fail.
            self.sweep(now).await.ok();
        }
        Ok(())
    }

    fn cache_entries_to_give_up(&self, entries: &[UsedEntry], now: Timestamp) -> HashSet<String> {
        let mut projects: BTreeMap<&str, Vec<UsedEntry>> = BTreeMap::new();
        for used in entries {
            projects.entry(&used.entry.project).or_default().push(used.clone());
        }
        projects.values().flat_map(|entries| given_up(entries, &self.limits, now, None)).collect()
    }
}

/// The chunks that no entry lists and no saver can rely on.
fn unlisted<'a>(chunks: Vec<String>, listed: impl Iterator<Item = &'a Contents>, now: Timestamp) -> Vec<String> {
    let listed: HashSet<String> =
        listed.flat_map(|contents| &contents.chunks).map(|chunk| name::blob(&chunk.sha256, chunk.period)).collect();
    let is_rubbish = |chunk: &String| {
        !listed.contains(chunk) && name::period_of_blob(chunk).is_some_and(|period| name::is_past(period, now))
    };
    chunks.into_iter().filter(is_rubbish).collect()
}

/// Removes files that were begun and never finished, which end in `#` and a number. What cannot be removed now is tried
/// again by the next sweep.
fn remove_temporary(directory: &Path, now: Timestamp) -> usize {
    let mut removed = 0;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            removed += remove_temporary(&entry.path(), now);
            continue;
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_temporary = name.rsplit_once('#').is_some_and(|(_, number)| number.parse::<u64>().is_ok());
        let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default();
        if is_temporary && now.millis_since(Timestamp(changed)) > TEMPORARY_MILLIS {
            removed += usize::from(fs::remove_file(entry.path()).is_ok());
        }
    }
    removed
}

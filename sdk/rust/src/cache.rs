//! Files that a later run of the project can use again.

use crate::{Error, bindings::oxide::ci::cache};

pub use crate::bindings::oxide::ci::cache::{CacheStore, Entry, Saved, open};

/// Puts the files of an entry back to where they were in the workspace: of the entry under `key`, else of the newest one
/// whose key begins with the first of the fallback keys for which there is one. None if nothing fits.
///
/// # Errors
/// Where the files could not be put back; then those that were are removed.
pub fn restore<T: Into<String>>(key: &str, fallback_keys: impl IntoIterator<Item = T>) -> Result<Option<Entry>, Error> {
    cache::open()?.restore(key, &texts(fallback_keys))
}

/// Saves files and directories of the workspace under a key. Paths may be globs; `!` before one leaves out what it means.
///
/// # Errors
/// [`Error::NotFound`] if the paths match nothing, [`Error::Denied`] for links that lead out of the workspace.
pub fn save<T: Into<String>>(key: &str, paths: impl IntoIterator<Item = T>) -> Result<Saved, Error> {
    cache::open()?.save(key, &texts(paths))
}

pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}

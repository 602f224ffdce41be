//! Files that outlive their job: for later stages of the run, and for people.

use crate::{Error, bindings::oxide::ci::artifacts, cache::texts};

pub use crate::bindings::oxide::ci::artifacts::{Artifact, ArtifactStore, open};

/// Keeps files of the workspace under a name, for as long as the platform keeps artifacts. Paths may be globs; `!` before
/// one leaves out what it means.
///
/// # Errors
/// [`Error::NotFound`] if the paths match nothing, [`Error::Invalid`] for a name that cannot be used or that another job has
/// used, [`Error::Denied`] for links that lead out of the workspace.
pub fn upload<T: Into<String>>(name: &str, paths: impl IntoIterator<Item = T>) -> Result<Artifact, Error> {
    artifacts::open()?.upload(name, &texts(paths), None)
}

/// As [`upload`], for so many days.
///
/// # Errors
/// As [`upload`].
pub fn upload_for_days<T: Into<String>>(
    name: &str,
    paths: impl IntoIterator<Item = T>,
    days: u32,
) -> Result<Artifact, Error> {
    artifacts::open()?.upload(name, &texts(paths), Some(days))
}

/// Puts the files of an artifact of this run below a directory of the workspace (`.` is its top).
///
/// # Errors
/// [`Error::NotFound`] if the run has no artifact of this name.
pub fn download(name: &str, directory: &str) -> Result<Artifact, Error> {
    artifacts::open()?.download(name, directory)
}

/// The artifacts that the run has so far, sorted by name.
///
/// # Errors
/// Where the store cannot be reached.
pub fn list() -> Result<Vec<Artifact>, Error> {
    artifacts::open()?.list()
}

//! What `cache` and `artifacts` share: where the store is, whose it is, and what its errors mean to a plugin.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use cap_std::fs::Dir;
use oxide_blobs::{BlobError, Blobs, Pack, Unpack};
use oxide_core::time::Timestamp;

use crate::{capability::CapabilityError, environment::EnvironmentKind, state::State};

/// The store of caches and artifacts as one call sees it.
pub(crate) struct Stored {
    /// None on a machine that was not given one.
    pub blobs: Option<Arc<Blobs>>,
    /// Whose cache is used.
    pub project: String,
    /// Entries may be restored, and none saved.
    pub cache_read_only: bool,
    /// Artifacts may be downloaded, and none uploaded.
    pub artifacts_read_only: bool,
    /// What was uploaded.
    pub uploaded: Vec<UploadedArtifact>,
}

/// An artifact that a step uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedArtifact {
    /// The name, unique within the run.
    pub name: String,
    /// How many files and links.
    pub files: u64,
    /// The size of the files in bytes.
    pub bytes: u64,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl State {
    /// The store.
    pub(crate) fn blobs(&self) -> Result<Arc<Blobs>, CapabilityError> {
        let missing = || CapabilityError::Other("this agent has no store for caches and artifacts".to_owned());
        self.stored.blobs.clone().ok_or_else(missing)
    }

    /// Files of the workspace to pack.
    pub(crate) fn pack(&mut self, paths: Vec<String>) -> Result<Pack, CapabilityError> {
        Ok(Pack { directory: self.workspace.root()?, paths })
    }

    /// A directory of the workspace for files; none is its top.
    pub(crate) fn unpack(&mut self, below: Option<Dir>) -> Result<Unpack, CapabilityError> {
        if self.workspace.is_read_only() {
            return Err(CapabilityError::Denied("the step may only read the workspace".into()));
        }
        let directory = match below {
            Some(directory) => Arc::new(directory),
            None => self.workspace.root()?,
        };
        // Which user runs the commands is the matter of the image; all may use what we put there, as they may the
        // workspace itself. Nobody else of this machine reaches it: the directory above is closed to them.
        Ok(Unpack { directory, open_to_all: self.environment.kind() == EnvironmentKind::Container })
    }
}

/// The present.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Seconds since 1970, as the contract has it.
pub(crate) fn seconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1000)
}

impl From<BlobError> for CapabilityError {
    fn from(error: BlobError) -> Self {
        let text = error.in_one_line();
        match error {
            BlobError::NotFound(_) => CapabilityError::NotFound(text),
            BlobError::Denied(_) => CapabilityError::Denied(text),
            BlobError::Invalid(_) => CapabilityError::Invalid(text),
            BlobError::Limit(_) => CapabilityError::Limit(text),
            BlobError::Damaged(_) | BlobError::File { .. } | BlobError::Store { .. } | BlobError::Stopped => {
                CapabilityError::Other(text)
            }
        }
    }
}

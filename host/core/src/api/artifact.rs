//! Artifacts of runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// An artifact of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// The name, unique within the run.
    pub name: String,
    /// How many files and links it has.
    pub files: u64,
    /// The size of its files in bytes.
    pub bytes: u64,
    /// The size of the archive that is downloaded, in bytes.
    pub packed_bytes: u64,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it expires; null if never.
    pub expires_at: Option<Timestamp>,
}

//! What the process that wants a component compiled and the one that compiles it say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{describe::DescribeError, engine::Tier};

/// The one argument of the process that compiles, as JSON. The component is its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The directory of the compile cache, where the result goes.
    pub cache_dir: PathBuf,
    /// What the component must have.
    pub digest: String,
    /// Which compiler.
    pub tier: Tier,
    /// Somebody waits for it; else it is for the next use, lets everything else go first, and is done by one process.
    pub is_awaited: bool,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// What it writes to its standard output at its end, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The code is in the cache.
    Stored,
    /// Another process is at it.
    UnderWay,
    /// The bytes are not those that were ordered.
    OtherDigest {
        /// As ordered.
        expected: String,
        /// Of the bytes.
        actual: String,
    },
    /// The component is no plugin that can run here.
    NotAPlugin(DescribeError),
    /// The compiler refused it, in its words.
    Refused(String),
    /// The process could not do its work: the disk is full, say.
    Trouble(String),
}

/// The exit code of a process that took too long.
pub(crate) const EXIT_TOOK_TOO_LONG: i32 = 124;

//! Whether a server can do its work.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a server can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// Can it? Without the bus it can, too: the events are kept until that is back.
    pub ready: bool,
    /// Everything that it needs, and the bus.
    pub checks: Vec<Check>,
}

/// Something that a server needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// `database`, `bus`, `blobs` or `leader`.
    pub name: String,
    /// Is it there?
    pub ok: bool,
    /// What is wrong with it, in a few words.
    pub problem: Option<String>,
}

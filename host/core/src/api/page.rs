//! Lists come in pages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many entries a page has if nothing else is said.
pub const LIMIT_DEFAULT: u32 = 50;
/// How many entries a page has at most.
pub const LIMIT_MAX: u32 = 200;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Give it as `?cursor=` to get the next page; null if there is no more.
    pub next_cursor: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageQuery {
    /// How many entries, 1 to 200; 50 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

//! YAML with positions: text becomes a [`Node`] tree that remembers where each part was written.
//!
//! Knows nothing of pipelines. What is too big, too deep or grows without bound through aliases is refused here, so that
//! everything after it may walk the tree without care.

mod node;
mod parse;
mod scalar;

pub use node::{Content, Node, Span};
pub use parse::{MAX_DEPTH, MAX_NODES, MAX_SOURCE_BYTES, parse};
pub use scalar::{is_null, parse_bool, parse_float, parse_integer};

//! Files as one stream: tar for names, modes and times, zstd around it.
//!
//! [`Pack`] writes: the same files make the same bytes (sorted, without owners). [`Unpack`] reads, and trusts nothing: no
//! path leads out, nothing is written through a link, and only files, directories and links that stay inside are made.
//! Both work below a `cap-std` directory, so the kernel holds what `path` and `select` decide.

mod pack;
mod path;
mod select;
mod unpack;

#[cfg(test)]
mod tests;

pub use pack::Pack;
pub use unpack::Unpack;

/// The name of the times of a file in its archive, with fractions of seconds: build tools compare them.
const MTIME: &str = "mtime";

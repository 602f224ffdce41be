//! `oxide/cache@1`: restores files of the project's cache, and saves them.
//!
//! [`request`] decides what is asked of the host and compiles everywhere; `guest` speaks to the host and exists in the
//! component only. The host packs, stores and unpacks the files.

pub mod request;

#[cfg(target_arch = "wasm32")]
mod guest;

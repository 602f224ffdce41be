//! `oxide/download-artifact@1`: puts the files of artifacts of this run into the workspace.
//!
//! [`request`] decides which artifacts go where and compiles everywhere; `guest` speaks to the host and exists in the
//! component only. The host fetches and unpacks the files.

pub mod request;

#[cfg(target_arch = "wasm32")]
mod guest;

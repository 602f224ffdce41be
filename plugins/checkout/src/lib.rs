//! `oxide/checkout@1`: fetches a commit into the workspace.
//!
//! [`request`] decides what to fetch and compiles everywhere; `guest` speaks to the host and exists in the component
//! only. The host runs git and holds the credentials.

pub mod request;

#[cfg(target_arch = "wasm32")]
mod guest;

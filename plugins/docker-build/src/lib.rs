//! `oxide/docker-build@1`: builds a container image and pushes it.
//!
//! [`request`] decides what is built and which account pushes, and compiles everywhere; `guest` speaks to the host and exists
//! in the component only. The host's engine builds; the plugin never sees a password.

pub mod request;

#[cfg(target_arch = "wasm32")]
mod guest;

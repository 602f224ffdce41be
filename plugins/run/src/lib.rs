//! `oxide/run@1`: what a `run:` line becomes.
//!
//! [`shell`] decides which program gets which arguments and compiles everywhere; `guest` speaks to the host and exists
//! in the component only.

pub mod shell;

#[cfg(target_arch = "wasm32")]
mod guest;

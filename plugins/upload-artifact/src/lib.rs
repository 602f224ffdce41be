//! `oxide/upload-artifact@1`: keeps files of a job under a name.
//!
//! [`request`] checks the inputs and compiles everywhere; `guest` speaks to the host and exists in the component only. The
//! host packs and stores the files.

pub mod request;

#[cfg(target_arch = "wasm32")]
mod guest;

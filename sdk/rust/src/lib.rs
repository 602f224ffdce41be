//! Plugins for Oxide CI in Rust.
//!
//! A plugin declares what it takes and gives in `wit/world.wit`; [`plugin!`] makes Rust types of it, and the plugin
//! implements one function:
//!
//! ```ignore
//! use oxide_plugin::{Command, Failure, fail, info, workspace};
//!
//! oxide_plugin::plugin!(LineCount);
//!
//! impl Guest for LineCount {
//!     fn run(inputs: Inputs) -> Result<Outputs, Failure> {
//!         let text = workspace::read_to_string(&inputs.file)?;
//!         if text.is_empty() {
//!             fail!("`{}` is empty", inputs.file);
//!         }
//!         let branch = Command::new("git").args(["branch", "--show-current"]).text()?;
//!         info!("{} has {} lines on {}", inputs.file, text.lines().count(), branch.trim());
//!         Ok(Outputs { lines: text.lines().count() as u32 })
//!     }
//! }
//! ```
//!
//! `?` turns each error into the failure of the step. A plugin asks for what its code uses, and for nothing else: the
//! world should import the interface of each module below that is used, and a pipeline must grant it.
//!
//! | module | interface that the world imports |
//! | --- | --- |
//! | [`log`], [`annotation`], [`run_info`] | `include oxide:ci/plugin@0.1.0` |
//! | [`Command`] | `oxide:ci/environment@0.1.0` |
//! | [`workspace`] | `oxide:ci/workspace@0.1.0` |
//! | [`secrets`] | `oxide:ci/secrets@0.1.0` |
//! | [`cache`] | `oxide:ci/cache@0.1.0` |
//! | [`artifacts`] | `oxide:ci/artifacts@0.1.0` |
//! | [`git`] | `oxide:ci/git@0.1.0` |
//! | [`containers`] | `oxide:ci/containers@0.1.0` |
//! | `http`, with the feature of this name | nothing: `wasi:http` is asked for by the code alone |
//!
//! The functions of the host exist in the component only: `cargo test` on the machine of the author tests code that calls
//! none of them, and `oxide plugin test` the whole plugin.

pub mod annotation;
pub mod artifacts;
pub mod bindings;
pub mod cache;
pub mod command;
pub mod containers;
pub mod failure;
pub mod git;
#[cfg(feature = "http")]
pub mod http;
pub mod log;
mod plugin;
pub mod run_info;
pub mod secrets;
pub mod workspace;

pub use annotation::{Annotation, add_summary};
pub use bindings::oxide::ci::types::{Error, Failure};
pub use command::Command;
pub use failure::Context;

#[doc(hidden)]
pub use wit_bindgen;

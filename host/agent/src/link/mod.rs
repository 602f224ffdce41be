//! How an agent reaches its orchestrator: [`https`] carries the five messages to a server on another machine, [`join`] gets
//! the credential for that, [`servers`] turns to another one when one does not answer, [`insist`] says a message again until it
//! gets through.
//!
//! An agent in the process of its orchestrator needs none of this: the orchestrator's own handle is its link.

pub mod https;
pub(crate) mod insist;
pub mod join;
pub mod server;
pub mod servers;

pub use https::HttpsLink;
pub use join::{Identity, IdentityError, JoinError};
pub use server::{CallError, Server, ServerError};
pub use servers::Servers;

//! The messages between agents and the orchestrator over NATS: one request and one reply each.
//!
//! [`CarrierClient`] is the link of an agent; [`CarrierServer`] answers on a server of an installation. All servers
//! subscribe to `oxide.agent.<message>` in one queue group, so NATS gives each request to one of them. Lease and heartbeat
//! are held open by the orchestrator; a server holds a bounded number of them, and lets go of one whose agent has stopped
//! waiting. What is larger than one message of NATS travels in [`parts`].
//!
//! A request carries the agent's credential in a header, so whoever may subscribe to `oxide.agent.>` could read it: give
//! that right to servers only, and use TLS.

mod client;
mod parts;
mod server;
mod wire;

pub use client::{CarrierClient, CarrierError};
pub use server::{CarrierServer, CredentialCheck, QUEUE_GROUP};

#[cfg(test)]
mod tests;

//! NATS: events to a JetStream stream for others to read, and the messages of agents by request and reply.
//!
//! [`Nats`] is the connection; [`publish`] carries the outbox into the stream; [`carrier`] is the link between agents and
//! orchestrator. Nothing here is needed on one machine, and nothing is lost when NATS is away: the outbox keeps what was
//! not published, and agents keep what they could not report.

pub mod carrier;
mod connection;
mod credentials;
pub mod publish;
mod stream;
mod subjects;
#[cfg(test)]
mod testing;

pub use connection::{Nats, NatsError, NatsSettings};
pub use credentials::{Credentials, CredentialsError};
pub use subjects::{PrefixError, Subjects};

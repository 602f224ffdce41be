//! Speaks to the API of a server.
//!
//! A [`Client`] knows one server and one token. Each topic of the API has its file below `resource/`; answers are the types of
//! [`oxide_core::api`], which the server writes with. Requests that can be repeated without harm are repeated while the server
//! is away for a moment; streams go on where they were cut.

mod error;
mod follow;
mod resource;
pub mod sse;
mod transport;

pub use error::ClientError;
pub use resource::{EventStream, LogPart, LogStream, Received, Subscription};

use std::path::Path;

use transport::Transport;

/// The way to a server, as somebody. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client for the server at this address, such as `https://ci.example.org`. Without a token only public routes answer.
    /// The certificates of the file (PEM) are trusted beside those of the machine.
    ///
    /// # Errors
    /// The address cannot be used, or the file not be read.
    pub fn new(server: &str, token: Option<String>, authorities: Option<&Path>) -> Result<Client, ClientError> {
        Ok(Client { transport: Transport::new(server, token, authorities)? })
    }

    /// The address of the server.
    pub fn server(&self) -> &str {
        self.transport.base().as_str()
    }
}

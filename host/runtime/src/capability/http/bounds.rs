//! How long and how much: what a request may take, whatever the plugin asks for.

use std::time::Duration;

/// The bounds of a step's requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Until there is a connection: name, TCP and TLS together.
    pub connect: Duration,
    /// Until the response begins, counted from the last byte of the request.
    pub first_byte: Duration,
    /// Between two pieces of the response while the plugin waits for it.
    pub between_bytes: Duration,
    /// The body of a request.
    pub request_bytes: u64,
    /// A body of this length is kept in memory where values of secrets may change its length.
    pub kept_bytes: u64,
    /// The body of a response.
    pub response_bytes: u64,
    /// Requests under way at the same time, up to the end of their responses.
    pub at_once: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connect: Duration::from_secs(30),
            first_byte: Duration::from_secs(300),
            between_bytes: Duration::from_secs(300),
            request_bytes: 4 << 30,
            kept_bytes: 1 << 20,
            response_bytes: 4 << 30,
            at_once: 32,
        }
    }
}

impl Bounds {
    /// The same, or less where the plugin wants less.
    pub fn at_most(
        self,
        connect: Option<Duration>,
        first_byte: Option<Duration>,
        between_bytes: Option<Duration>,
    ) -> Bounds {
        let least = |ours: Duration, theirs: Option<Duration>| theirs.map_or(ours, |theirs| theirs.min(ours));
        Bounds {
            connect: least(self.connect, connect),
            first_byte: least(self.first_byte, first_byte),
            between_bytes: least(self.between_bytes, between_bytes),
            ..self
        }
    }
}

//! Speaking to a server: which one, as whom, and what to say when it says no.
//!
//! [`settings`] keeps what `oxide login` and `oxide config` wrote; [`connection`] makes a client of it; [`find`] finds what a
//! person means; [`watch`] shows a log while it grows; [`waiting`] says what a run waits for; [`trigger`] starts runs.

pub mod connection;
pub mod find;
pub mod settings;
pub mod trigger;
pub mod waiting;
pub mod watch;

pub use connection::{Remote, RemoteArguments, refused, usual_server};

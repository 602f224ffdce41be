//! The topics of the API, one file each. Every file adds methods to [`Client`](crate::Client).

mod agents;
mod approvals;
mod events;
mod logs;
mod pipelines;
mod projects;
mod runs;
mod secrets;
mod sign_in;
mod tokens;

pub use events::{EventStream, Received, Subscription};
pub use logs::{LogPart, LogStream};

//! What stands in the messages of NATS: the names of headers, and how an answer says how it went.

use async_nats::HeaderMap;
use oxide_core::protocol::LinkError;

/// The credential of the agent that asks.
pub(super) const CREDENTIAL: &str = "Oxide-Credential";
/// The id of a request, by which its agent may call it off.
pub(super) const REQUEST: &str = "Oxide-Request";
/// How it went; only in answers.
const STATUS: &str = "Oxide-Status";

/// The messages of agents, as the last words of their subjects.
pub(super) mod message {
    pub(in super::super) const REGISTER: &str = "register";
    pub(in super::super) const LEASE: &str = "lease";
    pub(in super::super) const REPORT: &str = "report";
    pub(in super::super) const HEARTBEAT: &str = "heartbeat";
    pub(in super::super) const COMPLETE: &str = "complete";
    /// All that are answered.
    pub(in super::super) const ALL: [&str; 5] = [REGISTER, LEASE, REPORT, HEARTBEAT, COMPLETE];
    /// The agent does not wait for an answer any more. Goes to all servers, and none answers.
    pub(in super::super) const FORGET: &str = "forget";
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// The payload is the answer.
    Ok,
    /// Try again; the payload says why.
    Unavailable,
    /// Never send this one again; the payload says why.
    Rejected,
    /// The agent is not wanted; the payload says why.
    Refused,
}

impl Status {
    const NAMES: [(Status, &str); 4] = [
        (Status::Ok, "ok"),
        (Status::Unavailable, "unavailable"),
        (Status::Rejected, "rejected"),
        (Status::Refused, "refused"),
    ];

    pub(super) fn write(self, headers: &mut HeaderMap) {
        let (_, name) = Self::NAMES.into_iter().find(|(status, _)| *status == self).expect("all have a name");
        headers.insert(STATUS, name);
    }

    /// None if it is no answer of ours.
    pub(super) fn read(headers: Option<&HeaderMap>) -> Option<Status> {
        let written = headers?.get(STATUS)?;
        Self::NAMES.into_iter().find(|(_, name)| *name == written.as_str()).map(|(status, _)| status)
    }
}

/// The answer to a request that the orchestrator did not answer.
pub(super) fn of_error(error: &LinkError) -> (Status, String) {
    match error {
        LinkError::Refused { reason } => (Status::Refused, reason.clone()),
        LinkError::Rejected { reason } => (Status::Rejected, reason.clone()),
        // This server has shut down; others of its installation may go on.
        LinkError::Closed => (Status::Unavailable, "the server is shutting down".to_owned()),
        LinkError::Unavailable(cause) => (Status::Unavailable, oxide_core::cause::in_one_line(&**cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_was_written() {
        for (status, _) in Status::NAMES {
            let mut headers = HeaderMap::new();
            status.write(&mut headers);
            assert_eq!(Status::read(Some(&headers)), Some(status));
        }
        let mut strange = HeaderMap::new();
        strange.insert(STATUS, "fine");
        assert_eq!((Status::read(Some(&strange)), Status::read(None)), (None, None));
    }
}

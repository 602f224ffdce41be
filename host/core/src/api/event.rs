//! Events as they are streamed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log::LogText;
use crate::event::NumberedEvent;

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventQuery {
    /// Subjects with `*` for one word and `>` for the rest, separated by commas; all if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<String>,
    /// Only events behind this number; those from now on if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// What a client says on a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Send events of these channels, too.
    Subscribe {
        /// Subjects with `*` for one word and `>` for the rest.
        #[schemars(length(min = 1, max = 100))]
        channels: Vec<String>,
        /// Begin behind the event with this number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
    /// Send no more events of these channels.
    Unsubscribe {
        /// As they were subscribed to.
        #[schemars(length(min = 1, max = 100))]
        channels: Vec<String>,
    },
    /// Answer with `pong`.
    Ping,
}

/// What a server says on a WebSocket besides events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ServerMessage {
    /// These are the channels from now on.
    Subscribed {
        /// All of them.
        channels: Vec<String>,
        /// Events behind this number are sent.
        since: u64,
    },
    /// The answer to `ping`.
    Pong,
    /// What was said cannot be understood or done.
    Error {
        /// Why.
        message: String,
        /// What to say instead.
        suggestions: Vec<String>,
    },
}

/// An event on a WebSocket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelMessage {
    /// Its subject.
    pub channel: String,
    /// The event.
    pub payload: EventPayload,
}

/// An event as it is streamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventPayload {
    /// The event.
    #[serde(flatten)]
    pub event: NumberedEvent,
    /// With `step.output`: the lines, as far as they are few; the log has all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LogText>>,
}

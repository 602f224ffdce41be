//! What a server says of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a server is, told to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    /// Always `oxide`.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The version of this API.
    pub api: String,
    /// What time the server has.
    pub time: Timestamp,
    /// Ways to sign in with a browser: names for `/api/v1/sign-in/{provider}`.
    pub sign_in: Vec<String>,
    /// The first administrator has not been made yet: `POST /api/v1/sign-in/setup` makes it.
    pub needs_setup: bool,
}

/// The process is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
}

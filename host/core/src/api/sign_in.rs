//! Signing in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{text::EMAIL, token::CreatedToken, user::User};
use crate::time::Timestamp;

/// The first administrator, made with the code that the server printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The code that the server printed at its first start.
    #[schemars(length(max = 200))]
    pub code: String,
    /// What to call the administrator; `admin` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: Option<String>,
    /// The e-mail address of the administrator, so that a later sign-in with a provider finds the same user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320), regex(pattern = EMAIL))]
    pub email: Option<String>,
}

/// The first administrator has been made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetupDone {
    /// The administrator.
    pub user: User,
    /// A token with all scopes. This is the only time that it is shown.
    pub token: CreatedToken,
}

/// A session of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Send it as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// When the access token ends to work.
    pub expires_at: Timestamp,
    /// Exchange it at `POST /api/v1/sign-in/refresh` for a new session; it works once.
    pub refresh_token: String,
    /// When the refresh token ends to work.
    pub refresh_expires_at: Timestamp,
    /// Who has signed in.
    pub user: User,
}

/// A refresh token that is to be exchanged. Browsers have it in a cookie and send an empty object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub refresh_token: Option<String>,
}

/// How a browser begins to sign in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BeginQuery {
    /// Where to go afterwards: a path of this server. `/` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
}

/// What a provider sends the browser back with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackQuery {
    /// What the sign-in was begun with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What is exchanged for the identity of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why the provider did not let the user in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
}

/// A way to sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provider {
    /// Its name: `/api/v1/sign-in/{name}` begins.
    pub name: String,
    /// `github` or `oidc`.
    pub kind: String,
    /// Where a browser begins.
    pub begin: String,
}

/// The ways to sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Providers {
    /// The ways to sign in with a browser.
    pub items: Vec<Provider>,
}

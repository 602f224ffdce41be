//! Webhooks of forges.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    id::{DeliveryId, ProjectId},
    time::Timestamp,
};

/// A forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Forge {
    /// GitHub.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea or Forgejo.
    Gitea,
}

impl Forge {
    /// All of them.
    pub const ALL: [Forge; 3] = [Forge::Github, Forge::Gitlab, Forge::Gitea];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Forge::Github => "github",
            Forge::Gitlab => "gitlab",
            Forge::Gitea => "gitea",
        }
    }
}

/// For which project a webhook is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookQuery {
    /// The name or id of the project; `default` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// The delivery.
    pub delivery: DeliveryId,
    /// What was done with it.
    pub result: String,
}

/// A delivery of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// The id.
    pub id: DeliveryId,
    /// Who sent it.
    pub forge: Forge,
    /// The project that it is for.
    pub project: ProjectId,
    /// What the forge calls it, such as `push`.
    pub event: String,
    /// The id that the forge gave it.
    pub forge_id: Option<String>,
    /// Its signature is right.
    pub signature_ok: bool,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What was done with it.
    pub result: Option<String>,
}

/// A delivery with what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryDetails {
    /// What is in lists, too.
    #[serde(flatten)]
    pub about: Delivery,
    /// The headers, without those that authorise.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// The secret that a forge signs with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSecret {
    /// The secret, as it is typed into the settings of the forge.
    #[schemars(length(min = 16, max = 500))]
    pub secret: String,
}

/// Without the secret: it must not end up in a log.
impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookSecret").finish_non_exhaustive()
    }
}

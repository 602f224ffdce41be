//! Webhooks of forges: the signature is checked, the delivery recorded. `delivery.rs` shows what arrived.

pub mod delivery;
mod signature;

use std::collections::BTreeMap;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
};
use oxide_core::{
    access::Role,
    api::{
        error::ErrorKind,
        webhook::{Forge, Received, WebhookQuery, WebhookSecret},
    },
    event::{Event, EventKind, WebhookReceived},
    id::{DeliveryId, ProjectId},
    time::Timestamp,
};
use oxide_store::{DeliveryContent, DeliveryRow, WriteBatch};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::ApiError,
    extract::{NoContent, Path, Query, body_bytes, json_response},
    resource::{pipeline::DEFAULT_PROJECT, project, secret::of_vault},
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The largest payload: GitHub sends at most 25 MB.
const PAYLOAD_BYTES_MAX: usize = 25 << 20;
/// How many webhooks with a wrong signature are kept of a project.
const REFUSED_MAX: u32 = 20;
/// How long a signed body counts as one that came before: a day.
const BODY_KNOWN_MS: i64 = 24 * 60 * 60 * 1000;
/// Headers that are kept are not longer.
const HEADER_LENGTH_MAX: usize = 1000;

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    let receive = |path, name, summary, route: fn(&'static str, &'static str) -> Route| {
        route(path, name)
            .tag(Tag::Webhooks)
            .access(Access::Signed)
            .summary(summary)
            .description(
                "The delivery is recorded and told to whoever follows events. One that comes again, by its id or, where the \
                 forge signs it, within a day by its body, is not recorded anew.",
            )
            .query::<WebhookQuery>()
            .body_of("application/json")
            .body_bytes_max(PAYLOAD_BYTES_MAX)
            .not_audited()
            .answer::<Received>(202, "It is recorded.")
            .errors(&[ErrorKind::Unauthorized, ErrorKind::Invalid])
    };
    vec![
        receive(
            "/api/v1/webhooks/github",
            "receive_github",
            "Takes a webhook of GitHub, signed with the secret of the project.",
            |path, name| Route::post(path, name, github),
        ),
        receive(
            "/api/v1/webhooks/gitlab",
            "receive_gitlab",
            "Takes a webhook of GitLab, with the secret token of the project.",
            |path, name| Route::post(path, name, gitlab),
        ),
        receive(
            "/api/v1/webhooks/gitea",
            "receive_gitea",
            "Takes a webhook of Gitea or Forgejo, signed with the secret of the project.",
            |path, name| Route::post(path, name, gitea),
        ),
        Route::put("/api/v1/projects/{project}/webhooks/{forge}", "put_webhook_secret", put_secret)
            .tag(Tag::Webhooks)
            .access(Access::Project(Role::Maintainer))
            .summary("Stores the secret that a forge signs the webhooks of a project with.")
            .body::<WebhookSecret>()
            .answer_empty(204, "It is stored."),
    ]
}

/// The name of the secret of a project in the vault.
fn secret_name(forge: Forge, project: ProjectId) -> String {
    format!("webhook:{}:{project}", forge.as_str())
}

async fn github(
    state: State<ServerState>,
    query: Query<WebhookQuery>,
    request: Request,
) -> Result<axum::response::Response, ApiError> {
    receive(&state, Forge::Github, &query.0, request).await
}

async fn gitlab(
    state: State<ServerState>,
    query: Query<WebhookQuery>,
    request: Request,
) -> Result<axum::response::Response, ApiError> {
    receive(&state, Forge::Gitlab, &query.0, request).await
}

async fn gitea(
    state: State<ServerState>,
    query: Query<WebhookQuery>,
    request: Request,
) -> Result<axum::response::Response, ApiError> {
    receive(&state, Forge::Gitea, &query.0, request).await
}

async fn receive(
    state: &ServerState,
    forge: Forge,
    query: &WebhookQuery,
    request: Request,
) -> Result<axum::response::Response, ApiError> {
    let (parts, body) = request.into_parts();
    // Whatever is wrong with it, strangers are told the same.
    let refused = || {
        ApiError::new(ErrorKind::Unauthorized, "the signature is wrong, or nobody has told this server the secret")
            .suggest("`PUT /api/v1/projects/{project}/webhooks/{forge}` stores the secret; the same goes into the forge's settings")
            .suggest("`?project=NAME` in the address of the webhook names the project; without it, `default` is meant")
    };
    let reference = query.project.as_deref().unwrap_or(DEFAULT_PROJECT);
    let project = match reference.parse::<ProjectId>() {
        Ok(id) => state.store.project(id).await?,
        Err(_) => state.store.project_by_name(reference).await?,
    };
    let project = project.ok_or_else(refused)?;
    let secret = state.engine.vault.server_secret(&secret_name(forge, project.id)).await.map_err(of_vault)?;
    let secret = secret.ok_or_else(refused)?;
    let body = body_bytes(body).await?;
    let (event, forge_id) = names(forge, &parts.headers);
    let now = state.now();
    let row = DeliveryRow {
        id: DeliveryId(Uuid::now_v7()),
        forge,
        project: Some(project.id),
        event,
        forge_id,
        signature_ok: signature::is_right(forge, &parts.headers, &secret, &body),
        received_at: now,
        result: None,
        redelivery_of: None,
        body_digest: None,
    };
    let headers = kept_headers(&parts.headers);
    if !row.signature_ok {
        // What strangers send is neither read nor kept: only that they did, and of that the last few.
        let row = DeliveryRow { result: Some("refused: the signature is wrong".to_owned()), ..row };
        let mut transaction = state.store.begin().await?;
        transaction.insert_delivery(&row, &DeliveryContent { headers, body: Vec::new() }).await?;
        transaction.prune_refused_deliveries(project.id, REFUSED_MAX).await?;
        transaction.commit().await?;
        return Err(refused());
    }
    // Who sends a signed body again cannot change it. Without a signature an equal body may well be news: a branch that was
    // moved back, a tag that was made again.
    let digest = signature::is_of_body(forge).then(|| signature::digest(&body));
    let since = Timestamp(now.0.saturating_sub(BODY_KNOWN_MS));
    let signed_body = digest.as_deref().map(|digest| (digest, since));
    let known = state.store.known_delivery((project.id, forge), row.forge_id.as_deref(), signed_body).await?;
    if let Some(known) = known {
        return Ok(accepted(known.id, "it was recorded before"));
    }
    let result = "recorded";
    let row = DeliveryRow { result: Some(result.to_owned()), body_digest: digest, ..row };
    let repository = Payload::read(&body).repository();
    let received = WebhookReceived { delivery: row.id, event: row.event.clone(), repository };
    let mut batch = WriteBatch::default();
    batch.event(Event::of_project(project.id, now, kind(forge, received)));
    let mut transaction = state.store.begin().await?;
    transaction.insert_delivery(&row, &DeliveryContent { headers, body: body.to_vec() }).await?;
    transaction.write(&batch).await?;
    transaction.commit().await?;
    Ok(accepted(row.id, result))
}

fn accepted(delivery: DeliveryId, result: &str) -> axum::response::Response {
    json_response(http::StatusCode::ACCEPTED, &Received { delivery, result: result.to_owned() })
}

fn kind(forge: Forge, received: WebhookReceived) -> EventKind {
    match forge {
        Forge::Github => EventKind::WebhookGithub(received),
        Forge::Gitlab => EventKind::WebhookGitlab(received),
        Forge::Gitea => EventKind::WebhookGitea(received),
    }
}

/// The event of a webhook, and the id that the forge gave it.
fn names(forge: Forge, headers: &HeaderMap) -> (String, Option<String>) {
    let header = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.chars().take(200).collect::<String>()).filter(|value| !value.is_empty())
    };
    let (event, forge_id) = match forge {
        Forge::Github => (header("x-github-event"), header("x-github-delivery")),
        Forge::Gitlab => (header("x-gitlab-event"), header("x-gitlab-event-uuid")),
        Forge::Gitea => (header("x-gitea-event"), header("x-gitea-delivery")),
    };
    (event.unwrap_or_else(|| "unknown".to_owned()), forge_id)
}

/// What is read of a body; the rest is passed over.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload {
    repository: Option<Repository>,
    project: Option<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    full_name: Option<String>,
    path_with_namespace: Option<String>,
}

impl Payload {
    fn read(body: &[u8]) -> Payload {
        serde_json::from_slice(body).unwrap_or_default()
    }

    fn repository(self) -> Option<String> {
        let name = self.repository.and_then(|repository| repository.full_name);
        name.or_else(|| self.project.and_then(|project| project.path_with_namespace))
    }
}

/// The headers without those that prove who sent it.
fn kept_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let is_kept = |name: &str| {
        let proves = [
            "authorization",
            "cookie",
            "x-gitlab-token",
            "x-hub-signature",
            "x-hub-signature-256",
            "x-gitea-signature",
            "x-forgejo-signature",
            "x-gogs-signature",
        ];
        !proves.contains(&name)
    };
    let kept = headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    let text =
        |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).chars().take(HEADER_LENGTH_MAX).collect();
    kept.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

async fn put_secret(
    State(state): State<ServerState>,
    caller: Caller,
    Path((project, forge)): Path<(String, String)>,
    crate::extract::Json(WebhookSecret { secret }): crate::extract::Json<WebhookSecret>,
) -> Result<NoContent, ApiError> {
    let project = project::find(&state, &caller, &project, Role::Maintainer).await?;
    let forge = Forge::ALL
        .into_iter()
        .find(|known| known.as_str() == forge)
        .ok_or_else(|| ApiError::not_found("forge", &forge).suggest("the forges are `github`, `gitlab` and `gitea`"))?;
    if !(16..=500).contains(&secret.len()) {
        return Err(ApiError::invalid("the secret of a webhook has 16 to 500 bytes")
            .suggest("`openssl rand -hex 32` prints a good one"));
    }
    let now = state.now();
    let mut transaction = state.store.begin().await?;
    let name = secret_name(forge, project.id);
    state.engine.vault.put_server_secret(&mut transaction, &name, secret.as_bytes(), now).await.map_err(of_vault)?;
    transaction.commit().await?;
    Ok(NoContent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proves_the_sender_is_not_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-gitlab-token", "secret"), ("x-hub-signature-256", "sha256=1"), ("x-github-event", "push")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        let kept = kept_headers(&headers);
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [("x-github-event".to_owned(), "push".to_owned())]);
    }

    #[test]
    fn each_forge_says_what_it_is_about_in_its_own_way() {
        let mut headers = HeaderMap::new();
        headers.insert("x-gitlab-event", "Push Hook".parse().unwrap());
        assert_eq!(names(Forge::Gitlab, &headers), ("Push Hook".to_owned(), None));
        assert_eq!(names(Forge::Github, &headers), ("unknown".to_owned(), None));
        let repository = |body: &str| Payload::read(body.as_bytes()).repository();
        assert_eq!(
            repository(r#"{"project":{"path_with_namespace":"team/web"},"x":[{}]}"#).as_deref(),
            Some("team/web")
        );
        assert_eq!(repository(r#"{"repository":{"full_name":"team/web","id":1}}"#).as_deref(), Some("team/web"));
        assert_eq!((repository("not json"), repository("{\"repository\":1}")), (None, None));
    }
}

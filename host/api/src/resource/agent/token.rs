//! Tokens with which agents join, each once.

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        agent::{AgentToken, CreatedAgentToken, NewAgentToken},
        page::{Page, PageQuery},
    },
    id::AgentTokenId,
};
use oxide_store::{AgentTokenRow, Credential, CredentialKind};
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Created, Json, NoContent, Path, Query},
    page,
    resource::{agent::check_labels, maybe_json::MaybeJson},
    route::{Access, Route, Tag},
    state::ServerState,
    text::{NAME_LENGTH_MAX, check_text},
};

/// How long a token works if nothing is said: an hour.
const USUAL_MS: u64 = 60 * 60 * 1000;
/// How long a token works at most: 30 days.
const LONGEST_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/agent-tokens", "create_agent_token", create)
            .tag(Tag::Agents)
            .access(Access::Organization(Role::Admin))
            .summary("Makes a token with which one agent may join, once. It is shown only now.")
            .description(
                "With `labels` the agent gets exactly these. Without, it chooses its labels itself, and so may get any job, \
                 with the secrets of that job.",
            )
            .body::<NewAgentToken>()
            .optional_body()
            .answer::<CreatedAgentToken>(201, "The token."),
        Route::get("/api/v1/agent-tokens", "list_agent_tokens", list)
            .tag(Tag::Agents)
            .access(Access::Organization(Role::Admin))
            .summary("Lists tokens with which agents may join, or have joined.")
            .query::<PageQuery>()
            .answer::<Page<AgentToken>>(200, "Tokens, without the tokens themselves."),
        Route::delete("/api/v1/agent-tokens/{token}", "delete_agent_token", delete)
            .tag(Tag::Agents)
            .access(Access::Organization(Role::Admin))
            .summary("Removes a token: nobody joins with it any more.")
            .answer_empty(204, "It is gone."),
    ]
}

fn shown(row: AgentTokenRow) -> AgentToken {
    AgentToken {
        id: row.id,
        name: row.name,
        labels: row.labels,
        created_by: row.created_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        used_at: row.used_at,
        used_by: row.used_by,
    }
}

async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    MaybeJson(new): MaybeJson<NewAgentToken>,
) -> Result<Created<CreatedAgentToken>, ApiError> {
    let now = state.now();
    let expires_at = new.expires_at.unwrap_or(now.plus_millis(USUAL_MS));
    if expires_at <= now || expires_at > now.plus_millis(LONGEST_MS) {
        return Err(ApiError::invalid("`expires_at` is in the past, or more than 30 days ahead"));
    }
    check_text("name", &new.name, NAME_LENGTH_MAX)?;
    new.labels.as_deref().map_or(Ok(()), check_labels)?;
    let made = Credential::generate(CredentialKind::Registration);
    let credential = made.map_err(|error| ApiError::internal("draw a random number", error))?;
    let row = AgentTokenRow {
        id: AgentTokenId(Uuid::now_v7()),
        name: new.name,
        labels: new.labels,
        created_by: caller.user().ok(),
        created_at: now,
        expires_at,
        used_at: None,
        used_by: None,
    };
    let mut transaction = state.store.begin().await?;
    transaction.insert_agent_token(&row, &credential.hash()).await?;
    transaction.commit().await?;
    let token = credential.expose().to_owned();
    let location = format!("/api/v1/agent-tokens/{}", row.id);
    Ok(Created(location, CreatedAgentToken { token, about: shown(row) }))
}

async fn list(
    State(state): State<ServerState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AgentToken>>, ApiError> {
    Ok(Json(page::map(state.store.agent_tokens(&page::request_of(query)?).await?, shown)))
}

async fn delete(State(state): State<ServerState>, Path(token): Path<String>) -> Result<NoContent, ApiError> {
    let missing = || ApiError::not_found("token", &token);
    let id: AgentTokenId = token.parse().map_err(|_| missing())?;
    let mut transaction = state.store.begin().await?;
    if !transaction.remove_agent_token(id).await? {
        return Err(missing());
    }
    transaction.commit().await?;
    Ok(NoContent)
}

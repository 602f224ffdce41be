//! Agents, as people see them; `token.rs` lets them join, `link.rs` is what they send.

pub mod link;
pub mod token;

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        agent::{Agent, DrainAgent},
        page::{Page, PageQuery},
    },
    id::AgentId,
    time::Timestamp,
};
use oxide_store::AgentRow;

use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Json, NoContent, Path, Query},
    page,
    resource::maybe_json::MaybeJson,
    route::{Access, Route, Tag},
    state::ServerState,
    text::{NAME_LENGTH_MAX, check_line, check_text},
};

/// How many labels an agent has at most.
const LABELS_MAX: usize = 100;

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/agents", "list_agents", list)
            .tag(Tag::Agents)
            .access(Access::Organization(Role::Viewer))
            .summary("Lists agents, by name.")
            .query::<PageQuery>()
            .answer::<Page<Agent>>(200, "Agents."),
        Route::get("/api/v1/agents/{agent}", "get_agent", get)
            .tag(Tag::Agents)
            .access(Access::Organization(Role::Viewer))
            .summary("Reads an agent.")
            .answer::<Agent>(200, "The agent."),
        Route::post("/api/v1/agents/{agent}/drain", "drain_agent", drain)
            .tag(Tag::Agents)
            .access(Access::Organization(Role::Admin))
            .summary("Gives an agent no more jobs, or gives it jobs again.")
            .body::<DrainAgent>()
            .optional_body()
            .answer::<Agent>(200, "The agent; it ends the jobs that it has."),
        Route::delete("/api/v1/agents/{agent}", "delete_agent", delete)
            .tag(Tag::Agents)
            .access(Access::Organization(Role::Admin))
            .summary("Deregisters an agent: its jobs are lost, and it is refused from now on.")
            .answer_empty(204, "It is gone."),
    ]
}

/// Is what an agent says of itself something that can be shown?
pub(crate) fn check_said(name: &str, labels: &[String], slots: u32, version: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::invalid("an agent has a name"));
    }
    check_text("name", name, NAME_LENGTH_MAX)?;
    check_text("version", version, NAME_LENGTH_MAX)?;
    if slots == 0 || slots > 10_000 {
        return Err(ApiError::invalid("an agent has 1 to 10,000 slots"));
    }
    check_labels(labels)
}

/// Are these labels that an agent may have?
fn check_labels(labels: &[String]) -> Result<(), ApiError> {
    if labels.len() > LABELS_MAX {
        return Err(ApiError::invalid(format!("an agent has at most {LABELS_MAX} labels")));
    }
    labels.iter().try_for_each(|label| match label.is_empty() {
        true => Err(ApiError::invalid("a label is not empty")),
        false => check_line("label", label, NAME_LENGTH_MAX),
    })
}

/// An agent as it is shown at this time.
fn shown(row: AgentRow, now: Timestamp) -> Agent {
    Agent {
        id: row.id,
        status: row.status_at(now),
        name: row.name,
        labels: row.labels,
        capabilities: row.capabilities,
        slots: row.slots,
        version: row.version,
        draining: row.draining,
        registered_at: row.registered_at,
        last_heartbeat_at: row.last_heartbeat_at,
        metrics: row.metrics,
    }
}

async fn find(state: &ServerState, reference: &str) -> Result<AgentRow, ApiError> {
    let found = match reference.parse::<AgentId>() {
        Ok(id) => state.store.agent(id).await?,
        Err(_) => None,
    };
    found.filter(|row| row.deregistered_at.is_none()).ok_or_else(|| {
        ApiError::not_found("agent", reference)
            .suggest("`GET /api/v1/agents` lists them; agents are named by their ids")
    })
}

async fn list(State(state): State<ServerState>, Query(query): Query<PageQuery>) -> Result<Json<Page<Agent>>, ApiError> {
    let now = state.now();
    let found = state.store.list_agents(false, &page::request_of(query)?).await?;
    Ok(Json(page::map(found, |row| shown(row, now))))
}

async fn get(State(state): State<ServerState>, Path(agent): Path<String>) -> Result<Json<Agent>, ApiError> {
    let row = find(&state, &agent).await?;
    Ok(Json(shown(row, state.now())))
}

async fn drain(
    State(state): State<ServerState>,
    Path(agent): Path<String>,
    MaybeJson(DrainAgent { drain }): MaybeJson<DrainAgent>,
) -> Result<Json<Agent>, ApiError> {
    let row = find(&state, &agent).await?;
    state.engine.control.drain_agent(row.id, drain).await?;
    let row = find(&state, &agent).await?;
    Ok(Json(shown(row, state.now())))
}

async fn delete(
    State(state): State<ServerState>,
    caller: Caller,
    Path(agent): Path<String>,
) -> Result<NoContent, ApiError> {
    let row = find(&state, &agent).await?;
    let by = caller.actor();
    let by = by.strip_prefix("user:").unwrap_or(&by);
    state.engine.control.deregister_agent(row.id, format!("removed by {by}")).await?;
    Ok(NoContent)
}

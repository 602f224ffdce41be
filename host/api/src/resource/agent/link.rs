//! What agents send over HTTPS: joining, and the five messages of [`oxide_core::protocol`].
//!
//! Statuses mean something to agents: 401 and 403 end them, so only a credential that is not good gets one; 409 lets them
//! register again; 503 lets them try again; 422 says that a message can never be taken.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use oxide_core::{
    api::{
        agent::{JoinAgent, JoinedAgent, LeaseRequest},
        error::ErrorKind,
    },
    event::AgentStatus,
    id::AgentId,
    protocol::{
        Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, LinkError, OrchestratorLink as _, Register,
        Report,
    },
};
use oxide_store::{AgentRow, Credential, CredentialHash, CredentialKind, Joining};
use uuid::Uuid;

use crate::{
    agent_door::AgentDoor,
    caller::Caller,
    error::ApiError,
    extract::{Json, NoContent, json_response},
    resource::agent::check_said,
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The largest message of an agent, with some room for what is around it.
const MESSAGE_BYTES_MAX: usize = 40 << 20;
/// How long a lease or a heartbeat may be held open.
const HELD: Duration = Duration::from_secs(60);

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/agent/join", "join_agent", join)
            .tag(Tag::AgentLink)
            .access(Access::Public)
            .summary("Makes an agent known, with a token that works once. Answers with the credential of the agent.")
            .body::<JoinAgent>()
            .answer::<JoinedAgent>(201, "The agent; its credential is shown only now.")
            .errors(&[ErrorKind::Unauthorized]),
        Route::post("/api/v1/agent/register", "register_agent", register)
            .tag(Tag::AgentLink)
            .access(Access::Agent)
            .not_audited()
            .summary("An agent says who it is.")
            .body::<Register>()
            .answer_empty(204, "It is known."),
        Route::post("/api/v1/agent/lease", "lease_job", lease)
            .tag(Tag::AgentLink)
            .access(Access::Agent)
            .not_audited()
            .patience(HELD)
            .summary("An agent waits for a job, for half a minute at most.")
            .body::<LeaseRequest>()
            .answer::<Lease>(200, "A job.")
            .answer_empty(204, "There was none.")
            .errors(&[ErrorKind::Conflict]),
        Route::post("/api/v1/agent/report", "report_job", report)
            .tag(Tag::AgentLink)
            .access(Access::Agent)
            .not_audited()
            .summary("An agent tells what happened since its last report.")
            .body::<Report>()
            .body_bytes_max(MESSAGE_BYTES_MAX)
            .answer::<Acknowledgement>(200, "What became of it.")
            .errors(&[ErrorKind::Conflict]),
        Route::post("/api/v1/agent/heartbeat", "beat_heart", heartbeat)
            .tag(Tag::AgentLink)
            .access(Access::Agent)
            .not_audited()
            .patience(HELD)
            .summary("An agent lives. Answered when there is something to say, after some seconds at the latest.")
            .body::<Heartbeat>()
            .answer::<HeartbeatAnswer>(200, "What there is to say.")
            .errors(&[ErrorKind::Conflict]),
        Route::post("/api/v1/agent/complete", "complete_job", complete)
            .tag(Tag::AgentLink)
            .access(Access::Agent)
            .not_audited()
            .summary("An agent has ended a job.")
            .body::<Complete>()
            .body_bytes_max(MESSAGE_BYTES_MAX)
            .answer::<Acknowledgement>(200, "What became of it.")
            .errors(&[ErrorKind::Conflict]),
    ]
}

async fn join(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<JoinAgent>,
) -> Result<Response, ApiError> {
    let name = new.name.trim();
    check_said(name, &new.labels, new.slots, &new.version)?;
    let made = Credential::generate(CredentialKind::Agent);
    let credential = made.map_err(|error| ApiError::internal("draw a random number", error))?;
    let (now, id) = (state.now(), AgentId(Uuid::now_v7()));
    let row = AgentRow {
        id,
        name: name.to_owned(),
        labels: new.labels,
        capabilities: new.capabilities,
        slots: new.slots,
        version: new.version,
        registered_at: now,
        status: AgentStatus::Offline,
        last_heartbeat_at: None,
        metrics: None,
        draining: false,
        deregistered_at: None,
    };
    let mut transaction = state.store.begin().await?;
    let joining = transaction.join_agent(&CredentialHash::of(&new.token), &row, &credential.hash(), now).await?;
    let refused = |why: &str| {
        ApiError::new(ErrorKind::Unauthorized, format!("the registration token {why}"))
            .suggest("`POST /api/v1/agent-tokens` makes another one")
    };
    match joining {
        Joining::Joined => {}
        Joining::Unknown => return Err(refused("is not known")),
        Joining::Expired => return Err(refused("has expired")),
        Joining::Used => return Err(refused("was used before: each works once")),
    }
    transaction.commit().await?;
    caller.note(serde_json::json!({ "agent": id, "name": row.name }));
    let credential = credential.expose().to_owned();
    Ok(json_response(StatusCode::CREATED, &JoinedAgent { id, credential }))
}

/// An agent speaks for itself only.
fn check(caller: &Caller, agent: AgentId) -> Result<(), ApiError> {
    match caller.agent()? == agent {
        true => Ok(()),
        false => Err(ApiError::forbidden("the credential belongs to another agent")),
    }
}

/// What an agent is told about an error.
fn told(error: LinkError) -> ApiError {
    match error {
        LinkError::Refused { reason } => ApiError::forbidden(reason),
        LinkError::Rejected { reason } => ApiError::invalid(reason),
        LinkError::Closed => ApiError::unavailable("the server is ending"),
        LinkError::Unavailable(cause) => {
            let not_registered = cause
                .downcast_ref::<oxide_orchestrator::OrchestratorError>()
                .is_some_and(|error| matches!(error, oxide_orchestrator::OrchestratorError::UnknownAgent));
            match not_registered {
                true => ApiError::conflict("the agent has not registered").suggest("register again"),
                false => ApiError::unavailable("the server cannot take it now").with_cause(cause),
            }
        }
    }
}

/// What the orchestrator holds back until there is something to say, or this server ends.
async fn held<T>(state: &ServerState, asked: impl Future<Output = Result<T, LinkError>>) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        answer = asked => answer.map_err(told),
        () = state.engine.bus.closed() => Err(told(LinkError::Closed)),
    }
}

async fn register(
    State(state): State<ServerState>,
    caller: Caller,
    Json(message): Json<Register>,
) -> Result<NoContent, ApiError> {
    check(&caller, message.agent)?;
    AgentDoor(state).register(message).await.map_err(told)?;
    Ok(NoContent)
}

async fn lease(
    State(state): State<ServerState>,
    caller: Caller,
    Json(LeaseRequest { agent }): Json<LeaseRequest>,
) -> Result<Response, ApiError> {
    check(&caller, agent)?;
    match held(&state, state.engine.control.lease(agent)).await? {
        Some(lease) => Ok(json_response(StatusCode::OK, &lease)),
        None => Ok(NoContent.into_response()),
    }
}

async fn report(
    State(state): State<ServerState>,
    caller: Caller,
    Json(message): Json<Report>,
) -> Result<Json<Acknowledgement>, ApiError> {
    check(&caller, message.agent)?;
    state.engine.control.report(message).await.map(Json).map_err(told)
}

async fn heartbeat(
    State(state): State<ServerState>,
    caller: Caller,
    Json(message): Json<Heartbeat>,
) -> Result<Json<HeartbeatAnswer>, ApiError> {
    check(&caller, message.agent)?;
    held(&state, state.engine.control.heartbeat(message)).await.map(Json)
}

async fn complete(
    State(state): State<ServerState>,
    caller: Caller,
    Json(message): Json<Complete>,
) -> Result<Json<Acknowledgement>, ApiError> {
    check(&caller, message.agent)?;
    state.engine.control.complete(message).await.map(Json).map_err(told)
}

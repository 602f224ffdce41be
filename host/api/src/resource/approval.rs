//! Stages that wait for people.

use axum::extract::State;
use oxide_core::{
    access::{Area, Role},
    api::{
        approval::{Approval, ApprovalQuery, ApprovalVote, NewVote},
        error::ErrorKind,
        page::Page,
    },
    approval::{Decision, may_vote, wanted},
    id::ApprovalId,
};
use oxide_orchestrator::Vote;
use oxide_store::{ApprovalDetails, ApprovalFilter, VoteRow};
use serde_json::json;

use crate::{
    caller::{Caller, Who},
    error::ApiError,
    extract::{Json, Path, Query},
    page,
    resource::{maybe_json::MaybeJson, scope},
    route::{Access, Route, Tag},
    state::ServerState,
    text::{TEXT_LENGTH_MAX, check_text},
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/approvals", "list_approvals", list)
            .tag(Tag::Approvals)
            .access(Access::Project(Role::Viewer))
            .summary("Lists approvals, newest first.")
            .query::<ApprovalQuery>()
            .answer::<Page<Approval>>(200, "Approvals."),
        Route::get("/api/v1/approvals/{approval}", "get_approval", get)
            .tag(Tag::Approvals)
            .access(Access::Project(Role::Viewer))
            .summary("Reads an approval with the answers so far.")
            .answer::<Approval>(200, "The approval."),
        Route::post("/api/v1/approvals/{approval}/approve", "approve", approve)
            .tag(Tag::Approvals)
            .access(Access::Project(Role::Viewer))
            .summary("Agrees that a stage begins. Only those whom the pipeline names as approvers may.")
            .body::<NewVote>()
            .optional_body()
            .answer::<Approval>(200, "How it stands now.")
            .errors(&[ErrorKind::Conflict]),
        Route::post("/api/v1/approvals/{approval}/reject", "reject", reject)
            .tag(Tag::Approvals)
            .access(Access::Project(Role::Viewer))
            .summary("Refuses that a stage begins: one refusal is enough.")
            .body::<NewVote>()
            .optional_body()
            .answer::<Approval>(200, "How it stands now.")
            .errors(&[ErrorKind::Conflict]),
    ]
}

fn shown(found: ApprovalDetails) -> Approval {
    let vote = |row: VoteRow| ApprovalVote {
        user: row.user,
        name: row.vote.user,
        approve: row.vote.decision == Decision::Approve,
        comment: row.vote.comment,
        at: row.vote.at,
    };
    let row = found.approval;
    Approval {
        id: row.id,
        run: row.run,
        project: found.project,
        pipeline_name: found.pipeline_name,
        stage: found.stage_name,
        status: row.status,
        approvers: row.approvers,
        minimum: row.minimum,
        created_at: row.created_at,
        expires_at: row.expires_at,
        ended_at: row.ended_at,
        votes: found.votes.into_iter().map(vote).collect(),
    }
}

async fn find(state: &ServerState, caller: &Caller, reference: &str) -> Result<ApprovalDetails, ApiError> {
    let missing = || {
        ApiError::not_found("approval", reference).suggest("`GET /api/v1/approvals?status=waiting` lists what waits")
    };
    let found = match reference.parse::<ApprovalId>() {
        Ok(id) => state.store.approval(id).await?,
        Err(_) => None,
    };
    let Some((found, project)) = found.and_then(|found| found.project.map(|project| (found, project))) else {
        let _ = caller.hidden();
        return Err(missing());
    };
    match caller.check(project) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
        checked => checked.map(|()| found),
    }
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<ApprovalQuery>,
) -> Result<Json<Page<Approval>>, ApiError> {
    let projects = scope::wanted(&state, &caller, query.project.as_deref()).await?;
    let filter = ApprovalFilter { projects, run: query.run, status: query.status };
    let found = state.store.approvals(&filter, &page::request(query.limit, query.cursor)?).await?;
    Ok(Json(page::map(found, shown)))
}

async fn get(
    State(state): State<ServerState>,
    caller: Caller,
    Path(approval): Path<String>,
) -> Result<Json<Approval>, ApiError> {
    Ok(Json(shown(find(&state, &caller, &approval).await?)))
}

async fn approve(
    State(state): State<ServerState>,
    caller: Caller,
    Path(approval): Path<String>,
    MaybeJson(vote): MaybeJson<NewVote>,
) -> Result<Json<Approval>, ApiError> {
    decide(&state, &caller, &approval, true, vote).await
}

async fn reject(
    State(state): State<ServerState>,
    caller: Caller,
    Path(approval): Path<String>,
    MaybeJson(vote): MaybeJson<NewVote>,
) -> Result<Json<Approval>, ApiError> {
    decide(&state, &caller, &approval, false, vote).await
}

async fn decide(
    state: &ServerState,
    caller: &Caller,
    reference: &str,
    approve: bool,
    NewVote { comment }: NewVote,
) -> Result<Json<Approval>, ApiError> {
    let found = find(state, caller, reference).await?;
    let Who::User { id, name, .. } = &caller.who else {
        return Err(ApiError::forbidden("only users decide approvals"));
    };
    let row = &found.approval;
    let role = found.project.and_then(|project| caller.role(project));
    if !may_vote(&row.approvers, name, role) {
        return Err(ApiError::forbidden(format!(
            "you are none of the approvers: it takes {}",
            wanted(&row.approvers, row.minimum)
        )));
    }
    // Whoever the pipeline names may decide, also a viewer; but a token that may only look does not.
    caller.rights.check_scope(Area::Api, Role::Runner)?;
    comment.as_deref().map_or(Ok(()), |comment| check_text("comment", comment, TEXT_LENGTH_MAX))?;
    let comment = comment.filter(|comment| !comment.trim().is_empty());
    let decision = if approve { Decision::Approve } else { Decision::Reject };
    let vote = Vote { run: row.run, approval: row.id, user: *id, name: name.clone(), decision, comment };
    state.engine.control.vote(vote).await?;
    caller.note(json!({ "approval": row.id, "run": row.run, "approve": approve }));
    Ok(Json(shown(find(state, caller, reference).await?)))
}

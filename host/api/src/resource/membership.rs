//! Members of projects.

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        page::{Page, PageQuery},
        project::{Member, MemberChange},
    },
};
use oxide_store::MemberRow;
use serde_json::json;

use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Json, NoContent, Path, Query},
    page,
    resource::{project, user},
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/projects/{project}/members", "list_members", list)
            .tag(Tag::Projects)
            .access(Access::Project(Role::Viewer))
            .summary("Lists the members of a project, by name.")
            .query::<PageQuery>()
            .answer::<Page<Member>>(200, "Members."),
        Route::put("/api/v1/projects/{project}/members/{user}", "put_member", put)
            .tag(Tag::Projects)
            .access(Access::Project(Role::Admin))
            .summary("Makes a user a member of a project, or gives a member another role.")
            .body::<MemberChange>()
            .answer::<Member>(200, "The member."),
        Route::delete("/api/v1/projects/{project}/members/{user}", "remove_member", remove)
            .tag(Tag::Projects)
            .access(Access::Project(Role::Admin))
            .summary("Takes a user out of a project.")
            .answer_empty(204, "The user is no member."),
    ]
}

fn shown(row: MemberRow) -> Member {
    Member { user: row.user, name: row.user_name, role: row.role }
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Path(project): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Member>>, ApiError> {
    let project = project::find(&state, &caller, &project, Role::Viewer).await?;
    Ok(Json(page::map(state.store.members(project.id, &page::request_of(query)?).await?, shown)))
}

async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path((project, user)): Path<(String, String)>,
    Json(change): Json<MemberChange>,
) -> Result<Json<Member>, ApiError> {
    let project = project::find(&state, &caller, &project, Role::Admin).await?;
    let user = user::find(&state, &user).await?;
    let mut transaction = state.store.begin().await?;
    transaction.put_member(project.id, user.id, change.role).await?;
    transaction.commit().await?;
    caller.note(json!({ "user": user.name, "role": change.role }));
    Ok(Json(Member { user: user.id, name: user.name, role: change.role }))
}

async fn remove(
    State(state): State<ServerState>,
    caller: Caller,
    Path((project, user)): Path<(String, String)>,
) -> Result<NoContent, ApiError> {
    let project = project::find(&state, &caller, &project, Role::Admin).await?;
    let found = user::find(&state, &user).await?;
    let mut transaction = state.store.begin().await?;
    if !transaction.remove_member(project.id, found.id).await? {
        return Err(ApiError::not_found("member", user));
    }
    transaction.commit().await?;
    caller.note(json!({ "user": found.name }));
    Ok(NoContent)
}

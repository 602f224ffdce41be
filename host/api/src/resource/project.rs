//! Projects.

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        error::ErrorKind,
        page::{Page, PageQuery},
        project::{NewProject, Project, ProjectChange},
    },
    id::ProjectId,
};
use oxide_planner::remote::check_address;
use oxide_store::{PageRequest, ProjectRow};
use serde_json::json;
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::ApiError,
    etag::IfMatch,
    extract::{Created, Json, NoContent, Path, Query},
    page,
    resource::user::{check_name, some_text},
    route::{Access, Route, Tag},
    state::ServerState,
    text::{TEXT_LENGTH_MAX, check_text},
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/projects", "list_projects", list)
            .tag(Tag::Projects)
            .access(Access::SignedIn)
            .summary("Lists the projects that the caller may see, by name.")
            .query::<PageQuery>()
            .answer::<Page<Project>>(200, "Projects."),
        Route::post("/api/v1/projects", "create_project", create)
            .tag(Tag::Projects)
            .access(Access::Organization(Role::Admin))
            .summary("Makes a project; the caller becomes its first member.")
            .body::<NewProject>()
            .answer::<Project>(201, "The project.")
            .errors(&[ErrorKind::Conflict]),
        Route::get("/api/v1/projects/{project}", "get_project", get)
            .tag(Tag::Projects)
            .access(Access::Project(Role::Viewer))
            .summary("A project.")
            .answer::<Project>(200, "The project."),
        Route::patch("/api/v1/projects/{project}", "update_project", update)
            .tag(Tag::Projects)
            .access(Access::Project(Role::Admin))
            .summary("Changes a project.")
            .body::<ProjectChange>()
            .answer::<Project>(200, "The project as it is now.")
            .errors(&[ErrorKind::Conflict, ErrorKind::PreconditionFailed]),
        Route::delete("/api/v1/projects/{project}", "delete_project", delete)
            .tag(Tag::Projects)
            .access(Access::Project(Role::Admin))
            .summary(
                "Removes a project with its pipelines, members, tokens and secrets. Its runs stay for administrators.",
            )
            .answer_empty(204, "It is gone."),
    ]
}

fn shown(row: ProjectRow, role: Role) -> Project {
    let ProjectRow { id, name, description, repository, created_at } = row;
    Project { id, name, description, repository, created_at, role }
}

/// The project with this name or id, if the caller has this role in it. Counts as the check of the route.
///
/// # Errors
/// 404 if there is none that the caller may see, 403 if the role does not reach.
pub async fn find(state: &ServerState, caller: &Caller, reference: &str, role: Role) -> Result<ProjectRow, ApiError> {
    let found = known(state, reference).await?;
    let hidden =
        || ApiError::not_found("project", reference).suggest("`GET /api/v1/projects` lists those that you may see");
    let found = found.ok_or_else(hidden)?;
    match caller.check_role(found.id, role) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(hidden()),
        checked => checked.map(|()| found),
    }
}

/// The project with this name or id, whoever asks.
pub(super) async fn known(state: &ServerState, reference: &str) -> Result<Option<ProjectRow>, ApiError> {
    Ok(match reference.parse::<ProjectId>() {
        Ok(id) => state.store.project(id).await?,
        Err(_) => state.store.project_by_name(reference).await?,
    })
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Project>>, ApiError> {
    let request = page::request_of(query)?;
    let found = match caller.visible_projects() {
        None => state.store.projects(None, &request).await?,
        // A token that is bound to a project, or of no use here, sees less than its user is a member of.
        Some(visible) if caller.rights.limit.is_some() => {
            let mut all = state.store.projects_by_id(&visible).await?;
            all.sort_by(|a, b| a.name.cmp(&b.name));
            narrow(all, &request)?
        }
        Some(_) => state.store.projects(Some(caller.user()?), &request).await?,
    };
    Ok(Json(page::map(found, |row| {
        let role = caller.role(row.id).unwrap_or(Role::Viewer);
        shown(row, role)
    })))
}

/// A page of a list that is in memory; the cursor is the name of the last one.
fn narrow(all: Vec<ProjectRow>, request: &PageRequest) -> Result<Page<ProjectRow>, ApiError> {
    let after = request.cursor.as_deref();
    let mut items: Vec<_> = all.into_iter().filter(|row| after.is_none_or(|after| row.name.as_str() > after)).collect();
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| has_more).map(|last| last.name.clone());
    Ok(Page { items, next_cursor })
}

/// What a project or a pipeline is for; an empty text says nothing.
///
/// # Errors
/// 422 if it is too long, or steers a terminal.
pub(super) fn checked_description(text: Option<String>) -> Result<Option<String>, ApiError> {
    text.as_deref().map_or(Ok(()), |text| check_text("description", text, TEXT_LENGTH_MAX))?;
    Ok(some_text(text))
}

/// Where the code of a project or a pipeline is; an empty text says nothing.
///
/// # Errors
/// 422 if git could not be asked for it.
pub(super) fn checked_repository(state: &ServerState, address: Option<String>) -> Result<Option<String>, ApiError> {
    let address = some_text(address);
    let reach = state.engine.pipelines.reach();
    address
        .as_deref()
        .map_or(Ok(()), |address| check_address(address, reach))
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(address)
}

async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<NewProject>,
) -> Result<Created<Project>, ApiError> {
    check_name(&new.name)?;
    let user = caller.user()?;
    let row = ProjectRow {
        id: ProjectId(Uuid::now_v7()),
        name: new.name,
        description: checked_description(new.description)?,
        repository: checked_repository(&state, new.repository)?,
        created_at: state.now(),
    };
    let mut transaction = state.store.begin().await?;
    transaction.insert_project(&row).await?;
    transaction.put_member(row.id, user, Role::Admin).await?;
    transaction.commit().await?;
    caller.note_project(row.id);
    caller.note(json!({ "name": row.name }));
    Ok(Created(format!("/api/v1/projects/{}", row.id), shown(row, Role::Admin)))
}

async fn get(
    State(state): State<ServerState>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<Json<Project>, ApiError> {
    let row = find(&state, &caller, &project, Role::Viewer).await?;
    let role = caller.role(row.id).unwrap_or(Role::Viewer);
    Ok(Json(shown(row, role)))
}

async fn update(
    State(state): State<ServerState>,
    caller: Caller,
    Path(project): Path<String>,
    if_match: IfMatch,
    Json(change): Json<ProjectChange>,
) -> Result<Json<Project>, ApiError> {
    let found = find(&state, &caller, &project, Role::Admin).await?;
    let role = caller.role(found.id).unwrap_or(Role::Admin);
    change.name.as_deref().map(check_name).transpose()?;
    let mut transaction = state.store.begin().await?;
    let mut row = transaction.project(found.id).await?.ok_or_else(|| caller.hidden())?;
    if_match.check(&shown(row.clone(), role))?;
    if let Some(name) = change.name {
        row.name = name;
    }
    if change.description.is_some() {
        row.description = checked_description(change.description)?;
    }
    if change.repository.is_some() {
        row.repository = checked_repository(&state, change.repository)?;
    }
    transaction.update_project(&row).await?;
    transaction.commit().await?;
    Ok(Json(shown(row, role)))
}

async fn delete(
    State(state): State<ServerState>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<NoContent, ApiError> {
    let row = find(&state, &caller, &project, Role::Admin).await?;
    let mut transaction = state.store.begin().await?;
    transaction.remove_project(row.id).await?;
    transaction.commit().await?;
    caller.note(json!({ "name": row.name }));
    Ok(NoContent)
}

//! Pipelines: kept with all their versions, checked as a whole before they are kept.

mod upload;
mod validate;

use axum::extract::{Request, State};
use oxide_core::{
    access::Role,
    api::{
        error::ErrorKind,
        page::{Page, PageQuery},
        pipeline::{
            NewPipeline, Pipeline, PipelineChange, PipelineDetails, PipelineQuery, PipelineText, PipelineVersion,
            PipelineVersionDetails, UploadQuery, Validation,
        },
    },
    event::{Event, EventKind},
    id::PipelineId,
    pipeline::Schedule,
    schedule,
    time::Timestamp,
};
use oxide_store::{PipelineFilter, PipelineRow, PipelineWrite, ScheduleRow, Transaction, VersionRow, WriteBatch};
use serde_json::json;
use uuid::Uuid;

pub use validate::{accept, lock_of, refused};

use crate::{
    caller::Caller,
    error::ApiError,
    etag::IfMatch,
    extract::{Created, Json, NoContent, Path, Query},
    page,
    resource::{project, scope},
    route::{Access, Route, Tag},
    state::ServerState,
    text::{NAME_LENGTH_MAX, check_line},
};

/// The project that is meant if a request names none.
pub const DEFAULT_PROJECT: &str = "default";

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/pipelines", "create_pipeline", create)
            .tag(Tag::Pipelines)
            .access(Access::Project(Role::Maintainer))
            .summary("Stores a pipeline.")
            .description(
                "The body is JSON, or the YAML text itself (then `?project=`, `?name=` … say the rest), or a form with the \
                 file in the part `pipeline` and, if there is one, `oxide.lock` in the part `lock`. The whole body has 10 MB at \
                 most, the text 1,000,000 lines and 100,000 values, the lock 4 MiB. A part that says what it is says YAML or \
                 plain text. Plugins of registries that the lock does not have are looked up and verified now; what is \
                 stored is what will run.",
            )
            .query::<UploadQuery>()
            .body::<NewPipeline>()
            .body_of("application/yaml")
            .body_like::<upload::Form>("multipart/form-data")
            .body_bytes_max(upload::BODY_BYTES_MAX)
            .answer::<PipelineDetails>(201, "The pipeline.")
            .errors(&[ErrorKind::Conflict, ErrorKind::NotFound]),
        Route::get("/api/v1/pipelines", "list_pipelines", list)
            .tag(Tag::Pipelines)
            .access(Access::Project(Role::Viewer))
            .summary("Lists pipelines, by name.")
            .query::<PipelineQuery>()
            .answer::<Page<Pipeline>>(200, "Pipelines."),
        Route::post("/api/v1/pipelines/validate", "validate_pipeline", validate::validate)
            .tag(Tag::Pipelines)
            .access(Access::SignedIn)
            .summary("Says whether a text is a pipeline that could be stored, and stores nothing.")
            .body::<PipelineText>()
            .body_of("application/yaml")
            .body_bytes_max(upload::BODY_BYTES_MAX)
            .not_audited()
            .answer::<Validation>(200, "What is right or wrong with it."),
        Route::get("/api/v1/pipelines/{pipeline}", "get_pipeline", get)
            .tag(Tag::Pipelines)
            .access(Access::Project(Role::Viewer))
            .summary("Reads a pipeline with the text of its latest version.")
            .answer::<PipelineDetails>(200, "The pipeline."),
        Route::put("/api/v1/pipelines/{pipeline}", "update_pipeline", update)
            .tag(Tag::Pipelines)
            .access(Access::Project(Role::Maintainer))
            .summary("Changes a pipeline. A new text makes a new version.")
            .query::<UploadQuery>()
            .body::<PipelineChange>()
            .body_of("application/yaml")
            .body_like::<upload::Form>("multipart/form-data")
            .body_bytes_max(upload::BODY_BYTES_MAX)
            .answer::<PipelineDetails>(200, "The pipeline as it is now.")
            .errors(&[ErrorKind::Conflict, ErrorKind::PreconditionFailed]),
        Route::delete("/api/v1/pipelines/{pipeline}", "delete_pipeline", delete)
            .tag(Tag::Pipelines)
            .access(Access::Project(Role::Maintainer))
            .summary("Removes a pipeline. Its runs stay.")
            .answer_empty(204, "It is removed.")
            .errors(&[ErrorKind::PreconditionFailed]),
        Route::get("/api/v1/pipelines/{pipeline}/versions", "list_pipeline_versions", versions)
            .tag(Tag::Pipelines)
            .access(Access::Project(Role::Viewer))
            .summary("Lists the versions of a pipeline, newest first.")
            .query::<PageQuery>()
            .answer::<Page<PipelineVersion>>(200, "Versions."),
        Route::get("/api/v1/pipelines/{pipeline}/versions/{version}", "get_pipeline_version", version)
            .tag(Tag::Pipelines)
            .access(Access::Project(Role::Viewer))
            .summary("Reads a version of a pipeline with its text.")
            .answer::<PipelineVersionDetails>(200, "The version."),
    ]
}

fn shown(row: PipelineRow) -> Pipeline {
    Pipeline {
        id: row.id,
        project: row.project,
        name: row.name,
        description: row.description,
        repository: row.repository,
        version: row.latest_version,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

fn shown_version(row: VersionRow) -> PipelineVersion {
    PipelineVersion { version: row.version, created_by: row.created_by, created_at: row.created_at }
}

/// A pipeline that the caller may use as the route says.
///
/// # Errors
/// 404 if there is none, or the caller may not know of it; 403 if the caller's role does not reach.
pub async fn find(state: &ServerState, caller: &Caller, reference: &str) -> Result<PipelineRow, ApiError> {
    find_in(state, caller, None, reference).await
}

/// The same where names are those of a project, by name or id; if none is said, of the one that is meant then.
///
/// # Errors
/// As [`find`].
pub async fn find_in(
    state: &ServerState,
    caller: &Caller,
    project: Option<&str>,
    reference: &str,
) -> Result<PipelineRow, ApiError> {
    let missing =
        || ApiError::not_found("pipeline", reference).suggest("`GET /api/v1/pipelines` lists those that you may see");
    let found = match reference.parse::<PipelineId>() {
        Ok(id) => state.store.pipeline(id).await?,
        Err(_) => match project::known(state, project.unwrap_or(DEFAULT_PROJECT)).await? {
            Some(project) => state.store.pipeline_by_name(project.id, reference).await?,
            None => None,
        },
    };
    let Some(row) = found.filter(|row| row.deleted_at.is_none()) else {
        let _ = caller.hidden();
        return Err(missing());
    };
    match caller.check(row.project) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
        checked => checked.map(|()| row),
    }
}

async fn details(state: &ServerState, row: PipelineRow) -> Result<PipelineDetails, ApiError> {
    let found = state.store.pipeline_version(row.id, row.latest_version).await?;
    let (_, text) = found.ok_or_else(|| ApiError::internal("read the pipeline", "its latest version is not there"))?;
    Ok(PipelineDetails { about: shown(row), source: text.source, lock: text.lock })
}

async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<Created<PipelineDetails>, ApiError> {
    let new = upload::new_pipeline(query, request).await?;
    let reference = new.project.as_deref().unwrap_or(DEFAULT_PROJECT);
    let project = project::find(&state, &caller, reference, Role::Maintainer).await?;
    let accepted = accept(&state, &new.source, new.lock.as_deref()).await?;
    let name = check_name(new.name.unwrap_or_else(|| accepted.name.clone()))?;
    let description = project::checked_description(new.description)?;
    let repository = project::checked_repository(&state, new.repository)?;
    let (now, id) = (state.now(), PipelineId(Uuid::now_v7()));
    let row = oxide_store::NewPipeline {
        id,
        project: project.id,
        name: name.clone(),
        description,
        repository,
        text: oxide_store::PipelineText { source: new.source, lock: accepted.lock.to_text() },
        created_by: caller.user().ok(),
        created_at: now,
    };
    let mut transaction = state.store.begin().await?;
    let row = transaction.create_pipeline(&row).await.map_err(|error| match ApiError::from(error) {
        error if error.kind() == ErrorKind::Conflict => error.suggest(
            "or change the one that has it with `PUT /api/v1/pipelines/{id}`; `GET /api/v1/pipelines` tells its id",
        ),
        error => error,
    })?;
    put_schedules(&mut transaction, id, &accepted.schedules, now).await?;
    let kind = EventKind::PipelineCreated { pipeline: id, name, version: row.latest_version };
    tell(&mut transaction, Event::of_project(project.id, now, kind)).await?;
    transaction.commit().await?;
    caller.note(json!({ "pipeline": id, "name": row.name }));
    let details = details(&state, row).await?;
    Ok(Created(format!("/api/v1/pipelines/{id}"), details))
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<PipelineQuery>,
) -> Result<Json<Page<Pipeline>>, ApiError> {
    let projects = scope::wanted(&state, &caller, query.project.as_deref()).await?;
    let filter = PipelineFilter { projects, name: query.name };
    let found = state.store.pipelines(&filter, &page::request(query.limit, query.cursor)?).await?;
    Ok(Json(page::map(found, shown)))
}

async fn get(
    State(state): State<ServerState>,
    caller: Caller,
    Path(pipeline): Path<String>,
) -> Result<Json<PipelineDetails>, ApiError> {
    let row = find(&state, &caller, &pipeline).await?;
    Ok(Json(details(&state, row).await?))
}

async fn update(
    State(state): State<ServerState>,
    caller: Caller,
    Path(pipeline): Path<String>,
    if_match: IfMatch,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<Json<PipelineDetails>, ApiError> {
    let row = find(&state, &caller, &pipeline).await?;
    let (before, version) = (details(&state, row.clone()).await?, row.latest_version);
    if_match.check(&before)?;
    let change = upload::pipeline_change(query, request).await?;
    let accepted = match &change.source {
        Some(source) => Some(accept(&state, source, change.lock.as_deref()).await?),
        None if change.lock.is_some() => Some(accept(&state, &before.source, change.lock.as_deref()).await?),
        None => None,
    };
    let source = change.source.unwrap_or(before.source);
    let now = state.now();
    let change = oxide_store::PipelineChange {
        name: change.name.map(check_name).transpose()?,
        description: change.description.map(|text| project::checked_description(Some(text))).transpose()?,
        repository: change.repository.map(|address| project::checked_repository(&state, Some(address))).transpose()?,
        text: accepted.as_ref().map(|accepted| oxide_store::PipelineText { source, lock: accepted.lock.to_text() }),
        by: caller.user().ok(),
        expected: Some(version),
    };
    let mut transaction = state.store.begin().await?;
    let row = match transaction.change_pipeline(row.id, change, now).await? {
        PipelineWrite::Changed { pipeline, .. } => {
            if let Some(accepted) = &accepted {
                put_schedules(&mut transaction, pipeline.id, &accepted.schedules, now).await?;
            }
            let (id, name, version) = (pipeline.id, pipeline.name.clone(), pipeline.latest_version);
            let kind = EventKind::PipelineUpdated { pipeline: id, name, version };
            tell(&mut transaction, Event::of_project(pipeline.project, now, kind)).await?;
            transaction.commit().await?;
            pipeline
        }
        PipelineWrite::Unchanged(pipeline) => pipeline,
        PipelineWrite::Conflict { latest_version } => {
            return Err(ApiError::conflict("somebody else has just changed the pipeline")
                .with_details(format!("its latest version is {latest_version} now"))
                .suggest("read it again, then repeat the change"));
        }
        PipelineWrite::Missing => return Err(ApiError::not_found("pipeline", pipeline)),
    };
    Ok(Json(details(&state, row).await?))
}

async fn delete(
    State(state): State<ServerState>,
    caller: Caller,
    Path(pipeline): Path<String>,
    if_match: IfMatch,
) -> Result<NoContent, ApiError> {
    let row = find(&state, &caller, &pipeline).await?;
    if_match.check(&details(&state, row.clone()).await?)?;
    let now = state.now();
    let mut transaction = state.store.begin().await?;
    match transaction.delete_pipeline(row.id, None, now).await? {
        PipelineWrite::Changed { .. } => {
            transaction.set_schedules(row.id, &[]).await?;
            let kind = EventKind::PipelineDeleted { pipeline: row.id, name: row.name };
            tell(&mut transaction, Event::of_project(row.project, now, kind)).await?;
            transaction.commit().await?;
            Ok(NoContent)
        }
        PipelineWrite::Unchanged(_) => Ok(NoContent),
        PipelineWrite::Conflict { .. } | PipelineWrite::Missing => Err(ApiError::not_found("pipeline", pipeline)),
    }
}

async fn versions(
    State(state): State<ServerState>,
    caller: Caller,
    Path(pipeline): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<PipelineVersion>>, ApiError> {
    let row = find(&state, &caller, &pipeline).await?;
    let found = state.store.pipeline_versions(row.id, &page::request_of(query)?).await?;
    Ok(Json(page::map(found, shown_version)))
}

async fn version(
    State(state): State<ServerState>,
    caller: Caller,
    Path((pipeline, version)): Path<(String, u64)>,
) -> Result<Json<PipelineVersionDetails>, ApiError> {
    let row = find(&state, &caller, &pipeline).await?;
    let found = state.store.pipeline_version(row.id, version).await?;
    let (version, text) = found.ok_or_else(|| ApiError::not_found("version", version))?;
    Ok(Json(PipelineVersionDetails { about: shown_version(version), source: text.source, lock: text.lock }))
}

fn check_name(name: String) -> Result<String, ApiError> {
    let name = name.trim().to_owned();
    check_line("name", &name, NAME_LENGTH_MAX)?;
    match name.is_empty() {
        true => Err(ApiError::invalid("the name of the pipeline is empty")),
        false => Ok(name),
    }
}

async fn put_schedules(
    transaction: &mut Transaction,
    pipeline: PipelineId,
    schedules: &[Schedule],
    now: Timestamp,
) -> Result<(), ApiError> {
    let row = |(Schedule { cron, timezone }, position): (&Schedule, u32)| {
        let (cron, timezone) = (cron.clone(), timezone.clone().unwrap_or_else(|| "UTC".to_owned()));
        // It was checked with the text; a day that never comes is no reason to refuse the pipeline.
        let next_at = schedule::next(&cron, &timezone, now).ok()?;
        Some(ScheduleRow { pipeline, position, cron, timezone, next_at })
    };
    let rows: Vec<ScheduleRow> = schedules.iter().zip(0..).filter_map(row).collect();
    Ok(transaction.set_schedules(pipeline, &rows).await?)
}

/// Writes an event; it must be the last that is written.
pub(crate) async fn tell(transaction: &mut Transaction, event: Event) -> Result<(), ApiError> {
    let mut batch = WriteBatch::default();
    batch.event(event);
    transaction.write(&batch).await?;
    Ok(())
}

//! Runs: begun, looked at, cancelled, repeated.

mod findings;
mod start;
pub(crate) mod view;

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        error::ErrorKind,
        page::{Page, PageQuery},
        plugin::PluginRef,
        run::{
            CancelRun, NewRun, RetryRun, Run, RunAnnotation, RunDetails, RunQuery, RunSource, RunSummary, TestReport,
        },
    },
    id::{PipelineId, RunId},
    plan::Plan,
};
use oxide_orchestrator::Retry;
use oxide_store::{RunFilter, RunRow};
use serde_json::json;
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Created, Json, Path, Query},
    page,
    resource::{maybe_json::MaybeJson, pipeline, scope},
    route::{Access, Route, Tag},
    state::ServerState,
    text::check_text,
};

/// The longest reason for cancelling a run, in characters.
const REASON_MAX: usize = 500;

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/pipelines/{pipeline}/runs", "create_run", create)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Runner))
            .summary("Starts a run of a pipeline.")
            .description(
                "Without a commit the repository of the pipeline is asked what the branch or tag stands for; without any of \
                 them, its own branch is meant. A pipeline without a repository has no `git` facts.",
            )
            .body::<NewRun>()
            .optional_body()
            .patience(std::time::Duration::from_secs(60))
            .answer::<Run>(201, "The run.")
            .errors(&[ErrorKind::BadGateway]),
        Route::get("/api/v1/runs", "list_runs", list)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Viewer))
            .summary("Lists runs, newest first.")
            .query::<RunQuery>()
            .answer::<Page<Run>>(200, "Runs."),
        Route::get("/api/v1/runs/{run}", "get_run", get)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Viewer))
            .summary("Reads a run with its stages, jobs, attempts and steps.")
            .answer::<RunDetails>(200, "The run."),
        Route::post("/api/v1/runs/{run}/cancel", "cancel_run", cancel)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Runner))
            .summary("Lets a run end: gracefully, or at once.")
            .body::<CancelRun>()
            .optional_body()
            .answer::<Run>(200, "The run; it ends as soon as its agents have stopped it."),
        Route::post("/api/v1/runs/{run}/retry", "retry_run", retry)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Runner))
            .summary("Repeats a run that has ended, as a new run: all of it, or what failed.")
            .body::<RetryRun>()
            .optional_body()
            .answer::<Run>(201, "The new run.")
            .errors(&[ErrorKind::Conflict]),
        Route::get("/api/v1/runs/{run}/source", "get_run_source", source)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Viewer))
            .summary("Reads the text that a run was made from, and the digests of its plugins.")
            .answer::<RunSource>(200, "The text and the plugins."),
        Route::get("/api/v1/runs/{run}/plan", "get_run_plan", plan)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Viewer))
            .summary("Reads what a run does: every stage, job and step with its grants and limits.")
            .answer::<Plan>(200, "The plan."),
        Route::get("/api/v1/runs/{run}/annotations", "list_run_annotations", annotations)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Viewer))
            .summary("Lists what steps remarked on places in the source.")
            .query::<PageQuery>()
            .answer::<Page<RunAnnotation>>(200, "Remarks, in the order of the run."),
        Route::get("/api/v1/runs/{run}/summaries", "list_run_summaries", summaries)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Viewer))
            .summary("Lists the summaries of steps.")
            .query::<PageQuery>()
            .answer::<Page<RunSummary>>(200, "Summaries, in the order of the run."),
        Route::get("/api/v1/runs/{run}/tests", "list_run_tests", tests)
            .tag(Tag::Runs)
            .access(Access::Project(Role::Viewer))
            .summary("Lists what steps read in test reports.")
            .query::<PageQuery>()
            .answer::<Page<TestReport>>(200, "Reports, in the order of the run."),
    ]
}

/// A run that the caller may use as the route says.
///
/// # Errors
/// 404 if there is none, or the caller may not know of it; 403 if the caller's role does not reach.
pub async fn find(state: &ServerState, caller: &Caller, reference: &str) -> Result<RunRow, ApiError> {
    let missing = || ApiError::not_found("run", reference).suggest("`GET /api/v1/runs` lists those that you may see");
    let found = match reference.parse::<RunId>() {
        Ok(id) => state.store.run(id).await?,
        Err(_) => None,
    };
    let Some((row, project)) = found.and_then(|row| row.origin.project.map(|project| (row, project))) else {
        let _ = caller.hidden();
        return Err(missing());
    };
    match caller.check(project) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
        checked => checked.map(|()| row),
    }
}

async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Path(pipeline): Path<String>,
    MaybeJson(wanted): MaybeJson<NewRun>,
) -> Result<Created<Run>, ApiError> {
    let pipeline = pipeline::find(&state, &caller, &pipeline).await?;
    let id = start::start(&state, &caller, pipeline, wanted).await?;
    caller.note(json!({ "run": id }));
    created(&state, id).await
}

/// The answer for a run that has just been stored.
async fn created(state: &ServerState, id: RunId) -> Result<Created<Run>, ApiError> {
    let row = state.store.run(id).await?.ok_or_else(|| ApiError::internal("read the run", "it is not there"))?;
    Ok(Created(format!("/api/v1/runs/{id}"), view::run(row)))
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<RunQuery>,
) -> Result<Json<Page<Run>>, ApiError> {
    let projects = scope::wanted(&state, &caller, query.project.as_deref()).await?;
    let (pipeline, pipeline_name) = match query.pipeline.or(query.pipeline_config_id) {
        None => (None, None),
        Some(reference) => match reference.parse::<PipelineId>() {
            Ok(id) => (Some(id), None),
            Err(_) => (None, Some(reference)),
        },
    };
    let filter = RunFilter {
        projects,
        pipeline,
        pipeline_name,
        statuses: query.status.into_iter().collect(),
        branch: query.branch,
        since: query.since,
        until: query.until,
    };
    let found = state.store.runs(&filter, &page::request(query.limit, query.cursor)?).await?;
    Ok(Json(page::map(found, view::run)))
}

async fn get(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<Json<RunDetails>, ApiError> {
    let row = find(&state, &caller, &run).await?;
    Ok(Json(view::of_row(&state, row).await?))
}

async fn cancel(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    MaybeJson(CancelRun { reason, kill }): MaybeJson<CancelRun>,
) -> Result<Json<Run>, ApiError> {
    let row = find(&state, &caller, &run).await?;
    let by = caller.actor();
    let by = by.strip_prefix("user:").unwrap_or(&by);
    reason.as_deref().map_or(Ok(()), |reason| check_text("reason", reason, REASON_MAX))?;
    let reason = match reason.filter(|reason| !reason.trim().is_empty()) {
        Some(reason) => format!("cancelled by {by}: {}", reason.trim()),
        None => format!("cancelled by {by}"),
    };
    match kill {
        true => state.engine.control.kill(row.id, reason).await?,
        false => state.engine.control.cancel(row.id, reason).await?,
    }
    let row = state.store.run(row.id).await?.unwrap_or(row);
    Ok(Json(view::run(row)))
}

async fn retry(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    MaybeJson(RetryRun { failed_only }): MaybeJson<RetryRun>,
) -> Result<Created<Run>, ApiError> {
    let row = find(&state, &caller, &run).await?;
    let id = RunId(Uuid::now_v7());
    let retry = Retry { run: row.id, id, failed_only, by: caller.user().ok() };
    state.engine.control.retry(retry).await?;
    caller.note(json!({ "run": id }));
    created(&state, id).await
}

async fn source(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<Json<RunSource>, ApiError> {
    let row = find(&state, &caller, &run).await?;
    let (source, plan) = (state.store.source_text(row.id).await?, state.store.plan(row.id).await?);
    let mut plugins: Vec<PluginRef> = Vec::new();
    for step in plan.jobs.iter().flat_map(|job| &job.steps) {
        let plugin = view::plugin(&step.plugin);
        if !plugins.contains(&plugin) {
            plugins.push(plugin);
        }
    }
    Ok(Json(RunSource { source, plugins }))
}

async fn plan(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<Json<Plan>, ApiError> {
    let row = find(&state, &caller, &run).await?;
    Ok(Json(state.store.plan(row.id).await?))
}

async fn annotations(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RunAnnotation>>, ApiError> {
    let row = find(&state, &caller, &run).await?;
    let request = page::request_of(query)?;
    let (jobs, steps) = (state.store.jobs(row.id).await?, state.store.steps(row.id).await?);
    let all = findings::annotations(&state.store.plan(row.id).await?, &jobs, &steps);
    Ok(Json(page::of_whole(all, &request, |entry| (entry.job, entry.attempt, entry.step))?))
}

async fn summaries(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RunSummary>>, ApiError> {
    let row = find(&state, &caller, &run).await?;
    let request = page::request_of(query)?;
    let (jobs, steps) = (state.store.jobs(row.id).await?, state.store.steps(row.id).await?);
    let all = findings::summaries(&state.store.plan(row.id).await?, &jobs, &steps);
    Ok(Json(page::of_whole(all, &request, |entry| (entry.job, entry.attempt, entry.step))?))
}

async fn tests(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<TestReport>>, ApiError> {
    let row = find(&state, &caller, &run).await?;
    let request = page::request_of(query)?;
    let (jobs, steps) = (state.store.jobs(row.id).await?, state.store.steps(row.id).await?);
    let all = findings::tests(&state.store.plan(row.id).await?, &jobs, &steps);
    Ok(Json(page::of_whole(all, &request, |entry| (entry.job, entry.attempt, entry.step))?))
}

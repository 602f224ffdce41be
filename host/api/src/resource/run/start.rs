//! Begins runs of stored pipelines.

use std::sync::Arc;

use oxide_core::{
    api::{error::ErrorKind, run::NewRun},
    event::{Event, EventKind},
    grant::Trust,
    id::RunId,
    plan::JobContext,
};
use oxide_planner::{
    UsedPlugin,
    remote::{self, GitFacts, RemoteError, Wanted},
};
use oxide_store::{PipelineRow, PluginUseRow, RunOrigin, WriteBatch};
use serde_json::json;
use uuid::Uuid;

use crate::{caller::Caller, error::ApiError, resource::pipeline, state::ServerState};

/// How far a priority may be from what is usual.
const PRIORITY_MAX: i64 = 1000;

/// Plans a run and hands it over. Answers with its id.
///
/// # Errors
/// What is wrong with what was asked for.
pub(super) async fn start(
    state: &ServerState,
    caller: &Caller,
    row: PipelineRow,
    wanted: NewRun,
) -> Result<RunId, ApiError> {
    let priority = wanted.priority.unwrap_or(0);
    if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&priority) {
        return Err(ApiError::invalid(format!("`priority` is -{PRIORITY_MAX} to {PRIORITY_MAX}, and not {priority}")));
    }
    let version = wanted.version.unwrap_or(row.latest_version);
    let found = state.store.pipeline_version(row.id, version).await?;
    let (_, text) = found.ok_or_else(|| {
        ApiError::invalid(format!("the pipeline has no version {version}; its latest is {}", row.latest_version))
    })?;
    let lock = pipeline::lock_of(&text)?;
    let repository = match &row.repository {
        Some(repository) => Some(repository.clone()),
        None => state.store.project(row.project).await?.and_then(|project| project.repository),
    };
    let git = git_facts(state, repository.as_deref(), &wanted).await?;
    let actor = caller.actor();
    let trigger = json!({ "kind": "manual", "by": actor.strip_prefix("user:").unwrap_or(&actor) });
    let context = JobContext {
        git: git.as_ref().map(GitFacts::to_map).unwrap_or_default(),
        trigger: trigger.as_object().cloned().unwrap_or_default(),
        inputs: wanted.inputs,
        trust: Trust::Full,
        // Pipelines of one project share their caches.
        project: format!("project:{}", row.project),
    };
    let planned = state.engine.pipelines.plan(&text.source, &lock, context, wanted.only.as_deref()).await;
    let mut planned = planned.map_err(|error| pipeline::refused(error, &text.source))?;
    planned.plan.pipeline = row.name;
    let id = RunId(Uuid::now_v7());
    let git = git.unwrap_or_default();
    let run = oxide_store::NewRun {
        id,
        plan: Arc::new(planned.plan),
        source_text: text.source,
        project_dir: git.repository,
        origin: RunOrigin {
            project: Some(row.project),
            pipeline: Some(row.id),
            version: Some(version),
            trigger: Some(trigger),
            git_ref: git.reference,
            git_branch: git.branch,
            git_sha: Some(git.sha).filter(|sha| !sha.is_empty()),
            priority,
            created_by: caller.user().ok(),
            ..RunOrigin::default()
        },
    };
    state.engine.control.submit(run).await?;
    note_plugins(state, &planned.plugins).await;
    Ok(id)
}

/// The commit that is meant; none if the pipeline has no repository.
async fn git_facts(
    state: &ServerState,
    repository: Option<&str>,
    wanted: &NewRun,
) -> Result<Option<GitFacts>, ApiError> {
    let Some(repository) = repository else {
        if wanted.branch.is_some() || wanted.tag.is_some() || wanted.sha.is_some() {
            return Err(ApiError::invalid("the pipeline has no repository, so it has no branches, tags and commits")
                .suggest("give it one: `PUT /api/v1/pipelines/{id}` with `{\"repository\": \"https://…\"}`"));
        }
        return Ok(None);
    };
    let wanted = Wanted { branch: wanted.branch.clone(), tag: wanted.tag.clone(), sha: wanted.sha.clone() };
    remote::find_commit(repository, &wanted, state.engine.pipelines.reach()).await.map(Some).map_err(|error| {
        let kind = match error {
            RemoteError::Address(_)
            | RemoteError::NotReached(_)
            | RemoteError::Name { .. }
            | RemoteError::Unknown { .. }
            | RemoteError::Empty(_) => ErrorKind::Invalid,
            RemoteError::NoGit(_) => ErrorKind::Internal,
            RemoteError::TooSlow { .. } | RemoteError::Refused { .. } => ErrorKind::BadGateway,
        };
        ApiError::new(kind, error.to_string())
    })
}

/// Counts the plugins of a run. The run goes on without that.
async fn note_plugins(state: &ServerState, plugins: &[UsedPlugin]) {
    if let Err(error) = try_note_plugins(state, plugins).await {
        tracing::warn!("could not count the plugins of a run: {error}");
    }
}

async fn try_note_plugins(state: &ServerState, plugins: &[UsedPlugin]) -> Result<(), ApiError> {
    let now = state.now();
    let mut batch = WriteBatch::default();
    for used in plugins {
        if state.store.plugin_use(&used.digest).await?.is_none() {
            let kind = EventKind::PluginLoaded {
                digest: used.digest.clone(),
                reference: used.reference.clone(),
                capabilities: used.capabilities.iter().copied().collect(),
                agent: None,
            };
            batch.event(Event::of_server(now, kind));
        }
    }
    let row = |used: &UsedPlugin| PluginUseRow {
        digest: used.digest.clone(),
        reference: used.reference.clone(),
        capabilities: used.capabilities.clone(),
        first_used_at: now,
        last_used_at: now,
        uses: 1,
    };
    let mut transaction = state.store.begin().await?;
    transaction.add_plugin_uses(&plugins.iter().map(row).collect::<Vec<_>>()).await?;
    transaction.write(&batch).await?;
    transaction.commit().await?;
    Ok(())
}

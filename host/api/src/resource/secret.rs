//! Secrets: values go in, and never come out.

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        page::Page,
        secret::{NewSecret, Secret, SecretPlace, SecretQuery, SecretScope},
    },
    id::SecretId,
    secret::{SECRET_BYTES_MIN, SecretValue, UnusableSecret, is_secret_name},
};
use oxide_store::{SecretFilter, SecretOwner, SecretRow, VaultError};
use serde_json::json;
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::{ApiError, ErrorKind},
    extract::{Created, Json, NoContent, Path, Query},
    page,
    resource::{
        pipeline::{self, DEFAULT_PROJECT},
        project,
    },
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/secrets", "put_secret", put)
            .tag(Tag::Secrets)
            .access(Access::Project(Role::Maintainer))
            .summary("Stores a secret, or gives one of this name a new value.")
            .description("A secret of the organization needs an administrator.")
            .body::<NewSecret>()
            .answer::<Secret>(201, "What is known of it; the value is not shown again.")
            .errors(&[ErrorKind::NotFound]),
        Route::get("/api/v1/secrets", "list_secrets", list)
            .tag(Tag::Secrets)
            .access(Access::Project(Role::Maintainer))
            .summary("Lists secrets by name, without their values.")
            .query::<SecretQuery>()
            .answer::<Page<Secret>>(200, "Secrets, without their values.")
            .errors(&[ErrorKind::Invalid]),
        Route::delete("/api/v1/secrets/{name}", "delete_secret", delete)
            .tag(Tag::Secrets)
            .access(Access::Project(Role::Maintainer))
            .summary("Removes a secret.")
            .query::<SecretPlace>()
            .answer_empty(204, "It is gone.")
            .errors(&[ErrorKind::Invalid]),
    ]
}

fn shown(row: SecretRow) -> Option<Secret> {
    let (scope, pipeline) = match row.owner {
        SecretOwner::Server => return None,
        SecretOwner::Organization => (SecretScope::Organization, None),
        SecretOwner::Project(_) => (SecretScope::Project, None),
        SecretOwner::Pipeline(id) => (SecretScope::Pipeline, Some(id)),
    };
    Some(Secret {
        id: row.id,
        name: row.name,
        scope,
        project: row.project,
        pipeline,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// Whose secret is meant, if the caller may change it.
async fn owner(
    state: &ServerState,
    caller: &Caller,
    scope: SecretScope,
    project: Option<&str>,
    pipeline: Option<&str>,
) -> Result<SecretOwner, ApiError> {
    match scope {
        SecretScope::Organization => {
            caller.check_organization(Role::Admin)?;
            Ok(SecretOwner::Organization)
        }
        SecretScope::Project => {
            let found = project::find(state, caller, project.unwrap_or(DEFAULT_PROJECT), Role::Maintainer).await?;
            Ok(SecretOwner::Project(found.id))
        }
        SecretScope::Pipeline => {
            let reference = pipeline.ok_or_else(|| {
                ApiError::invalid("a secret of a pipeline names its pipeline")
                    .suggest("add `\"pipeline\": \"NAME\"`, in the query `pipeline=NAME`")
            })?;
            Ok(SecretOwner::Pipeline(pipeline::find_in(state, caller, project, reference).await?.id))
        }
    }
}

async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<NewSecret>,
) -> Result<Created<Secret>, ApiError> {
    let owner = owner(&state, &caller, new.scope, new.project.as_deref(), new.pipeline.as_deref()).await?;
    if !is_secret_name(&new.name) {
        return Err(ApiError::invalid(
            "the name of a secret is made of letters, digits and `_`, at most 100, and begins with no digit",
        ));
    }
    // A value counts its bytes, the document characters: few large ones would do for the one and not for the other.
    if new.value.chars().count() < SECRET_BYTES_MIN {
        return Err(ApiError::invalid(UnusableSecret::Short(new.value.chars().count()).to_string()));
    }
    let value = SecretValue::new(new.value).map_err(|error| ApiError::invalid(error.to_string()))?;
    let (now, id) = (state.now(), SecretId(Uuid::now_v7()));
    let secret = oxide_store::NewSecret { id, owner, name: &new.name, value: &value, by: caller.user().ok(), at: now };
    let mut transaction = state.store.begin().await?;
    state.engine.vault.put(&mut transaction, &secret).await.map_err(of_vault)?;
    transaction.commit().await?;
    caller.note(json!({ "name": new.name, "scope": new.scope }));
    let filter = match owner {
        SecretOwner::Project(id) => SecretFilter { kind: Some(new.scope), projects: Some(vec![id]), pipeline: None },
        SecretOwner::Pipeline(id) => SecretFilter { kind: Some(new.scope), projects: None, pipeline: Some(id) },
        SecretOwner::Organization | SecretOwner::Server => {
            SecretFilter { kind: Some(SecretScope::Organization), ..SecretFilter::default() }
        }
    };
    let stored = find(&state, &filter, &new.name).await?;
    Ok(Created(format!("/api/v1/secrets/{}", new.name), stored))
}

/// The secret of this name.
async fn find(state: &ServerState, filter: &SecretFilter, name: &str) -> Result<Secret, ApiError> {
    let mut request = oxide_store::PageRequest::first(200);
    loop {
        let page = state.store.secrets(filter, &request).await?;
        if let Some(row) = page.items.iter().find(|row| row.name == name) {
            return shown(row.clone()).ok_or_else(|| ApiError::not_found("secret", name));
        }
        request = request.after(&page).ok_or_else(|| ApiError::not_found("secret", name))?;
    }
}

/// Why a secret could not be kept.
pub(crate) fn of_vault(error: VaultError) -> ApiError {
    let hint = error.hint();
    let error = ApiError::internal("use the secrets", error);
    hint.into_iter().fold(error, ApiError::suggest)
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<SecretQuery>,
) -> Result<Json<Page<Secret>>, ApiError> {
    let scope = query.scope.unwrap_or_default();
    let owner = owner(&state, &caller, scope, query.project.as_deref(), query.pipeline.as_deref()).await?;
    let filter = match owner {
        SecretOwner::Project(id) => SecretFilter { kind: Some(scope), projects: Some(vec![id]), pipeline: None },
        SecretOwner::Pipeline(id) => SecretFilter { kind: Some(scope), projects: None, pipeline: Some(id) },
        SecretOwner::Organization | SecretOwner::Server => {
            SecretFilter { kind: Some(SecretScope::Organization), ..SecretFilter::default() }
        }
    };
    let found = state.store.secrets(&filter, &page::request(query.limit, query.cursor)?).await?;
    let items = found.items.into_iter().filter_map(shown).collect();
    Ok(Json(Page { items, next_cursor: found.next_cursor }))
}

async fn delete(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<SecretPlace>,
) -> Result<NoContent, ApiError> {
    let scope = query.scope.unwrap_or_default();
    let owner = owner(&state, &caller, scope, query.project.as_deref(), query.pipeline.as_deref()).await?;
    let mut transaction = state.store.begin().await?;
    if !transaction.remove_secret(owner, &name).await? {
        return Err(ApiError::not_found("secret", name).suggest("`GET /api/v1/secrets` lists the names"));
    }
    transaction.commit().await?;
    caller.note(json!({ "name": name, "scope": scope }));
    Ok(NoContent)
}

//! The plugin registry below `/v2/`, with the tokens and roles of the server.
//!
//! Programs of registries send a name and a password: the password is the token, the name does not matter. Whoever is known
//! may pull, agents and servers, too: pipelines of all projects may use all plugins. The first part of a repository's name is a
//! project: who maintains that one may push and delete there. Elsewhere only administrators may. A token that is for one project
//! only reads what belongs to it.

use std::net::IpAddr;

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use oxide_core::access::{Area, Denied, Rights, Role};
use serde_json::json;

use crate::{
    address::ClientAddress,
    caller::{Known, Who},
    credential,
    error::{ApiError, ErrorKind},
    route::guard::identify,
    state::ServerState,
};

/// Puts the guard before a registry.
pub fn guarded(state: &ServerState, registry: Router) -> Router {
    registry.layer(middleware::from_fn_with_state(state.clone(), guard))
}

async fn guard(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.0);
    let (mut parts, body) = request.into_parts();
    match admit(&state, &parts, address).await {
        Ok(()) => {
            // Who this is has been found out; the registry behind has no accounts, and knows names and passwords only.
            parts.headers.remove(header::AUTHORIZATION);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => refused(&error),
    }
}

/// May this request pass?
async fn admit(state: &ServerState, parts: &Parts, address: IpAddr) -> Result<(), ApiError> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if reads && is_a_server(state, parts) {
        return Ok(());
    }
    let Known { who, rights, .. } = identify(state, &parts.headers, address).await?;
    match who {
        // Agents pull what their jobs need.
        Who::Agent { .. } if reads => Ok(()),
        Who::Agent { .. } => Err(ApiError::forbidden("agents push no plugins")),
        _ if reads => match rights.check_organization(Area::Registry, Role::Viewer) {
            // Programs ask here whether they are known.
            Err(Denied::Bound) if is_base(parts.uri.path()) => Ok(rights.check_scope(Area::Registry, Role::Viewer)?),
            Err(Denied::Bound) => check_project(state, &rights, parts.uri.path(), Role::Viewer).await,
            checked => Ok(checked?),
        },
        _ => check_project(state, &rights, parts.uri.path(), Role::Maintainer).await,
    }
}

/// May the caller do this in the project that a path belongs to, or, if it belongs to none, everywhere?
async fn check_project(state: &ServerState, rights: &Rights, path: &str, needed: Role) -> Result<(), ApiError> {
    let project = match project_of(path) {
        Some(name) => state.store.project_by_name(name).await?,
        None => None,
    };
    match project {
        Some(project) => Ok(rights.check(Area::Registry, project.id, needed)?),
        None => Ok(rights.check_organization(Area::Registry, needed)?),
    }
}

/// `/v2/` itself names no repository.
fn is_base(path: &str) -> bool {
    matches!(path, "/v2" | "/v2/")
}

/// Servers read the plugins of pipelines that they plan.
fn is_a_server(state: &ServerState, parts: &Parts) -> bool {
    let shown = credential::basic_password(&parts.headers);
    matches!((&state.engine.registry_secret, shown), (Some(secret), Some(shown)) if secret.is(&shown))
}

/// The name of the project that a repository belongs to: `web` in `/v2/web/tools/lint/manifests/1`. What is encoded in a
/// path is no name of a project.
fn project_of(path: &str) -> Option<&str> {
    path.strip_prefix("/v2/")?.split('/').next()
}

/// Errors as programs of registries read them.
fn refused(error: &ApiError) -> Response {
    let (status, code) = match error.kind() {
        ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
        ErrorKind::Forbidden | ErrorKind::NotFound => (StatusCode::FORBIDDEN, "DENIED"),
        ErrorKind::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN"),
    };
    let body = json!({ "errors": [{ "code": code, "message": error.message() }] }).to_string();
    let kind = (header::CONTENT_TYPE, "application/json");
    match status {
        StatusCode::UNAUTHORIZED => {
            (status, [kind, (header::WWW_AUTHENTICATE, "Basic realm=\"oxide\"")], body).into_response()
        }
        _ => (status, [kind], body).into_response(),
    }
}

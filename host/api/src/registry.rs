//! The plugin registry below `/v2/`, with the tokens and roles of the server.
//!
//! Programs of registries send a name and a password: the password is the token, the name does not matter. Whoever is known
//! may pull, agents and servers, too: pipelines of all projects may use all plugins. The first part of a repository's name is a
//! project: who maintains that one may push and delete there. Elsewhere only administrators may. A token that is for one project
//! only reads what belongs to it.
//!
//! Manifests that were pushed or deleted are in the audit log. Blobs, which have no names
//! but their digests, are not.

use std::net::IpAddr;

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use oxide_core::access::{Area, Denied, Rights, Role};
use oxide_registry::server::manifest_of;
use serde_json::json;

use crate::{
    address::ClientAddress,
    audit,
    caller::{Caller, Who},
    credential,
    error::{self, ApiError, ErrorKind},
    route::guard::{identify, to_the_end},
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
        Ok(caller) => {
            // Who this is has been found out; the registry behind has no accounts, and knows names and passwords only.
            parts.headers.remove(header::AUTHORIZATION);
            let change = change_of(&parts.method, parts.uri.path());
            let request = Request::from_parts(parts, body);
            match (change, caller) {
                // A change and its entry in the audit log belong together, whether or not somebody still waits.
                (Some(change), Some(caller)) => {
                    to_the_end(tokio::spawn(run_audited(state, caller, change, request, next))).await
                }
                _ => next.run(request).await,
            }
        }
        Err(error) => refused(&error),
    }
}

/// What a request does to a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    /// As the audit log calls it.
    action: &'static str,
    repository: String,
    /// The tag or digest.
    reference: String,
}

/// The change that the audit log is to tell of, if this is one.
fn change_of(method: &Method, path: &str) -> Option<Change> {
    let action = match *method {
        Method::PUT => "push_plugin",
        Method::DELETE => "delete_plugin",
        _ => return None,
    };
    let (repository, reference) = manifest_of(path)?;
    Some(Change { action, repository, reference })
}

/// Has the registry answer, and tells the audit log if it did what it was asked.
async fn run_audited(state: ServerState, caller: Caller, change: Change, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    let Change { action, repository, reference } = change;
    let first = repository.split('/').next().unwrap_or_default();
    match state.store.project_by_name(first).await {
        Ok(Some(project)) => caller.note_project(project.id),
        Ok(None) => {}
        Err(error) => tracing::error!(repository, "could not find its project: {}", error::chain(&error)),
    }
    caller.note(json!({ "repository": repository, "reference": reference }));
    audit::changed(&state, &caller, action, &path).await;
    response
}

/// May this request pass? Says who asks; none is another server, which only reads.
async fn admit(state: &ServerState, parts: &Parts, address: IpAddr) -> Result<Option<Caller>, ApiError> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if reads && is_a_server(state, parts) {
        return Ok(None);
    }
    let caller = Caller::known(identify(state, &parts.headers, address).await?, address);
    check(state, &caller, parts, reads).await?;
    Ok(Some(caller))
}

/// May this caller do this?
async fn check(state: &ServerState, caller: &Caller, parts: &Parts, reads: bool) -> Result<(), ApiError> {
    let rights = &caller.rights;
    match &caller.who {
        // Agents pull what their jobs need.
        Who::Agent { .. } if reads => Ok(()),
        Who::Agent { .. } => Err(ApiError::forbidden("agents push no plugins")),
        _ if reads => match rights.check_organization(Area::Registry, Role::Viewer) {
            // Programs ask here whether they are known.
            Err(Denied::Bound) if is_base(parts.uri.path()) => Ok(rights.check_scope(Area::Registry, Role::Viewer)?),
            Err(Denied::Bound) => check_project(state, rights, parts.uri.path(), Role::Viewer).await,
            checked => Ok(checked?),
        },
        _ => check_project(state, rights, parts.uri.path(), Role::Maintainer).await,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_manifests_that_change_are_told_and_no_spelling_hides_them() {
        let told = |method: Method, path: &str| {
            change_of(&method, path).map(|change| (change.action, change.repository, change.reference))
        };
        let lint = |action| Some((action, "web/lint".to_owned(), "1.0".to_owned()));
        assert_eq!(told(Method::PUT, "/v2/web/lint/manifests/1.0"), lint("push_plugin"));
        assert_eq!(told(Method::DELETE, "/v2/web/lint/manifests/1.0"), lint("delete_plugin"));
        assert_eq!(told(Method::PUT, "/v2/web/lint/%6danifests/1%2e0"), lint("push_plugin"));
        assert_eq!(told(Method::GET, "/v2/web/lint/manifests/1.0"), None);
        assert_eq!(told(Method::PUT, "/v2/web/lint/blobs/uploads/1"), None);
    }
}

//! The plugin registry below `/v2/`, with the tokens and roles of the server.
//!
//! Programs of registries send a name and a password: the password is the token, the name does not matter. Whoever is known
//! may pull; who maintains a project may push.

use std::net::IpAddr;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use oxide_core::access::{Area, Role};
use serde_json::json;

use crate::{
    address::ClientAddress,
    caller::Who,
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
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match admit(&state, request.headers().clone(), address, reads).await {
        Ok(()) => next.run(request).await,
        Err(error) => refused(&error),
    }
}

/// May this request pass?
async fn admit(state: &ServerState, headers: HeaderMap, address: IpAddr, reads: bool) -> Result<(), ApiError> {
    let (who, rights) = identify(state, &headers, address).await?;
    match who {
        // Agents pull what their jobs need.
        Who::Agent { .. } if reads => Ok(()),
        Who::Agent { .. } => Err(ApiError::forbidden("agents push no plugins")),
        _ if reads => Ok(rights.check_organization(Area::Registry, Role::Viewer)?),
        _ => {
            let maintains =
                rights.roles.keys().any(|project| rights.check(Area::Registry, *project, Role::Maintainer).is_ok());
            match maintains {
                true => Ok(()),
                false => Ok(rights.check_organization(Area::Registry, Role::Maintainer)?),
            }
        }
    }
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

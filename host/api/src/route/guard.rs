//! What stands before every route: who asks, may it, how often, how much, how long; and what is left behind of it.

use std::{collections::BTreeSet, io, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use http_body_util::Limited;
use oxide_core::access::{Area, Role};
use schemars::generate::SchemaSettings;
use tokio::task::JoinHandle;

use super::{About, Access, Rate, Tag};
use crate::{
    address::ClientAddress,
    audit, authenticate,
    caller::{Caller, Known, Who},
    credential::{self, Credential, Shown},
    csrf,
    error::{ApiError, ErrorKind},
    etag,
    sign_in::cookies,
    state::ServerState,
};

/// What a guard knows of its route.
#[derive(Clone)]
pub struct Gate {
    state: ServerState,
    about: Arc<About>,
    /// The names of the parameters of the query.
    query: Arc<BTreeSet<String>>,
}

impl Gate {
    /// The guard of a route.
    pub fn new(state: ServerState, about: About) -> Gate {
        let query = query_names(&about).into();
        Gate { state, about: Arc::new(about), query }
    }
}

/// The names of the parameters that the query of a route may have.
pub fn query_names(about: &About) -> BTreeSet<String> {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let schema = about.query.map(|schema| schema(&mut generator));
    let properties = schema.as_ref().and_then(|schema| schema.get("properties")).and_then(|value| value.as_object());
    properties.into_iter().flat_map(|properties| properties.keys().cloned()).collect()
}

/// Lets a request through to its handler, or not.
pub async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.0);
    let (parts, body) = request.into_parts();
    match enter(&gate, &parts, address).await {
        Ok(caller) => answer(&gate, caller, parts, body, next).await,
        Err(error) => {
            // Who shows nothing has not tried to sign in.
            if error.kind() == ErrorKind::Unauthorized && shows_something(&parts.headers) {
                audit::refused(&gate.state, &gate.about, address, parts.uri.path(), &error).await;
            }
            error.into_response()
        }
    }
}

fn shows_something(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || cookies::read(headers, cookies::ACCESS).is_some()
}

/// May this request come in?
async fn enter(gate: &Gate, request: &Parts, address: IpAddr) -> Result<Caller, ApiError> {
    let (state, about) = (&gate.state, &gate.about);
    if about.rate == Rate::SignIn {
        state.limits.sign_in(address)?;
    }
    let headers = &request.headers;
    let needed = match about.access {
        Access::Public | Access::Signed => {
            if about.rate == Rate::Usual {
                state.limits.address(address)?;
            }
            check_request(gate, request)?;
            return Ok(Caller::nobody(address));
        }
        Access::Project(role) | Access::Organization(role) => Some(role),
        Access::SignedIn | Access::Agent => None,
    };
    let caller = Caller::known(identify(state, headers, address).await?, address).needs(needed);
    match (about.access, &caller.who) {
        (Access::Agent, Who::Agent { .. }) => {}
        (Access::Agent, _) => {
            return Err(ApiError::forbidden("only agents may do this")
                .suggest("agents show the credential that they got when they joined: `oxide agent`"));
        }
        (_, Who::Agent { .. }) => return Err(ApiError::forbidden("agents may not do this")),
        (Access::Organization(role), _) => caller.rights.check_organization(Area::Api, role)?,
        (Access::SignedIn, _) => caller.rights.check_scope(Area::Api, Role::Viewer)?,
        _ => {}
    }
    check_request(gate, request)?;
    Ok(caller)
}

/// Who shows this?
pub async fn identify(state: &ServerState, headers: &HeaderMap, address: IpAddr) -> Result<Known, ApiError> {
    let shown = credential::shown(headers)
        .and_then(|shown| shown.ok_or_else(|| ApiError::unauthorized("this needs a token, and the request has none")));
    let shown = match shown {
        Ok(shown) => Shown::from(shown),
        Err(error) => {
            state.limits.address(address)?;
            return Err(error);
        }
    };
    let hash = &shown.hash;
    if !state.limits.is_known(hash) {
        state.limits.address(address)?;
    }
    let (who, rights) = match authenticate::authenticate(state, &shown).await {
        Ok(found) => found,
        Err(error) => {
            state.limits.forget(hash);
            return Err(error);
        }
    };
    state.limits.know(hash);
    match shown.credential {
        Credential::Agent(_) => state.limits.agent(hash)?,
        _ => state.limits.token(hash)?,
    }
    Ok(Known { who, rights, shown })
}

/// Is the request, for itself, one that the route takes?
fn check_request(gate: &Gate, request: &Parts) -> Result<(), ApiError> {
    let about = &gate.about;
    csrf::check(&request.method, &request.headers, &gate.state.settings)?;
    if !about.takes_any_query {
        check_query(request.uri.query().unwrap_or_default(), &gate.query)?;
    }
    let length = request.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > about.body_bytes_max as u64) {
        return Err(too_large(about));
    }
    Ok(())
}

fn too_large(about: &About) -> ApiError {
    let most = oxide_core::quantity::bytes(about.body_bytes_max as u64);
    ApiError::new(ErrorKind::TooLarge, format!("the body is larger than {most}, which is what this route takes"))
}

/// A parameter that is not known is a slip of the pen more often than not.
fn check_query(query: &str, known: &BTreeSet<String>) -> Result<(), ApiError> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if !known.contains(name) {
            let shown: String = name.chars().take(100).collect();
            let error = ApiError::bad_request(format!("the query has no parameter `{shown}`"));
            let all = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(match known.is_empty() {
                true => error.suggest("this route has no parameters in its query"),
                false => error.suggest(format!("the parameters are {all}")),
            });
        }
    }
    Ok(())
}

/// Has the request answered, within its bounds.
async fn answer(gate: &Gate, caller: Caller, mut parts: Parts, body: Body, next: Next) -> Response {
    let about = &gate.about;
    parts.extensions.insert(caller.clone());
    let headers = parts.headers.clone();
    let body = bounded(body, gate.state.settings.body_silence, about.body_bytes_max);
    let handled = handle(gate.clone(), caller, Request::from_parts(parts, body), next);
    let handled: Pin<Box<dyn Future<Output = Response> + Send>> = match about.is_audited {
        // A change and its entry in the audit log belong together, whether or not somebody still waits for the answer.
        true => Box::pin(to_the_end(tokio::spawn(handled))),
        false => Box::pin(handled),
    };
    let response = match about.patience {
        None => handled.await,
        Some(patience) => match tokio::time::timeout(patience, handled).await {
            Ok(response) => response,
            Err(_) => ApiError::unavailable("the answer took too long").into_response(),
        },
    };
    if is_good(&response) && about.has_etag() && response.body().size_hint().exact().is_some() {
        return etag::put(response, &headers).await;
    }
    response
}

fn is_good(response: &Response) -> bool {
    response.status().is_success() || response.status().is_redirection()
}

/// What a task answers that nobody stops.
pub async fn to_the_end(task: JoinHandle<Response>) -> Response {
    match task.await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => ApiError::unavailable("the server is ending").into_response(),
        },
    }
}

/// Has the handler answer, and leaves behind what is to be left.
async fn handle(gate: Gate, caller: Caller, request: Request, next: Next) -> Response {
    let Gate { state, about, .. } = gate;
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if !is_good(&response) {
        return response;
    }
    if matches!(about.access, Access::Project(_)) && !caller.is_checked() {
        tracing::error!(operation = about.name, "answered without asking whether the caller may");
        if cfg!(debug_assertions) {
            return ApiError::internal("answer", "the handler did not check the project").into_response();
        }
    }
    if about.is_audited {
        audit::done(&state, &about, &caller, &path).await;
        if matches!(about.tag, Tag::SignIn | Tag::Users | Tag::Tokens | Tag::Projects) {
            state.rights_changed.send_replace(());
        }
    }
    response
}

/// The same body, which ends with an error when nothing comes for a while, or too much.
fn bounded(body: Body, silence: Duration, bytes_max: usize) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let pieces = stream::unfold(Some(body.into_data_stream()), move |pieces| async move {
        let mut pieces = pieces?;
        match tokio::time::timeout(silence, pieces.next()).await {
            Ok(Some(piece)) => Some((piece.map_err(axum::BoxError::from), Some(pieces))),
            Ok(None) => None,
            Err(_) => Some((Err(io::Error::from(io::ErrorKind::TimedOut).into()), None)),
        }
    });
    Body::new(Limited::new(Body::from_stream(pieces), bytes_max))
}

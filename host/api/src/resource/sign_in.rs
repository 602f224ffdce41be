//! The routes of signing in.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use oxide_core::api::{
    error::ErrorKind,
    sign_in::{BeginQuery, CallbackQuery, Provider, Providers, Refresh, Session, Setup, SetupDone},
};
use serde_json::json;

use crate::{
    audit,
    caller::{By, Caller, Who},
    error::ApiError,
    extract::{Json, NoContent, Path, Query, json_response},
    route::{Access, Rate, Route, Tag},
    settings::ProviderKind,
    sign_in::{cookies, provider, session, setup},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/sign-in", "list_sign_in_providers", providers)
            .tag(Tag::SignIn)
            .access(Access::Public)
            .summary("Lists the ways to sign in with a browser.")
            .answer::<Providers>(200, "The ways."),
        Route::post("/api/v1/sign-in/setup", "set_up", set_up)
            .tag(Tag::SignIn)
            .access(Access::Public)
            .rate(Rate::SignIn)
            .not_audited()
            .summary("Makes the first administrator with the code that the server printed, once.")
            .body::<Setup>()
            .answer::<SetupDone>(201, "The administrator and a token, which is shown in this answer only.")
            .errors(&[ErrorKind::Unauthorized, ErrorKind::Conflict]),
        Route::post("/api/v1/sign-in/refresh", "refresh_session", refresh)
            .tag(Tag::SignIn)
            .access(Access::Public)
            .rate(Rate::SignIn)
            .not_audited()
            .summary("Exchanges a refresh token for a new session.")
            .description(
                "A refresh token works once. When one comes a second time somebody has a copy of it, and all sessions that \
                 followed from it end. Browsers send an empty object; theirs is in a cookie.",
            )
            .body::<Refresh>()
            .answer::<Session>(200, "The session.")
            .errors(&[ErrorKind::Unauthorized, ErrorKind::Forbidden]),
        Route::post("/api/v1/sign-out", "sign_out", sign_out)
            .tag(Tag::SignIn)
            .access(Access::SignedIn)
            .summary("Ends the session of this request.")
            .answer_empty(204, "It has ended.")
            .errors(&[ErrorKind::Conflict]),
        Route::get("/api/v1/sign-in/{provider}", "begin_sign_in", begin)
            .tag(Tag::SignIn)
            .access(Access::Public)
            .rate(Rate::SignIn)
            .summary("Sends a browser to a provider.")
            .query::<BeginQuery>()
            .answer_empty(303, "To the provider.")
            .errors(&[ErrorKind::BadGateway]),
        Route::get("/api/v1/sign-in/{provider}/callback", "finish_sign_in", finish)
            .tag(Tag::SignIn)
            .access(Access::Public)
            .rate(Rate::SignIn)
            .any_query()
            .summary("Takes a browser back from a provider, and gives it a session in cookies.")
            .query::<CallbackQuery>()
            .answer_empty(303, "To where the browser wanted to go.")
            .errors(&[ErrorKind::Unauthorized, ErrorKind::Forbidden, ErrorKind::Conflict, ErrorKind::BadGateway]),
    ]
}

async fn providers(State(state): State<ServerState>) -> Json<Providers> {
    let shown = |provider: &crate::settings::Provider| Provider {
        name: provider.name.clone(),
        kind: match provider.kind {
            ProviderKind::GitHub { .. } => "github".into(),
            ProviderKind::Oidc { .. } => "oidc".into(),
        },
        begin: format!("/api/v1/sign-in/{}", provider.name),
    };
    Json(Providers { items: state.settings.providers.iter().map(shown).collect() })
}

async fn set_up(
    State(state): State<ServerState>,
    caller: Caller,
    Json(body): Json<Setup>,
) -> Result<Response, ApiError> {
    const TARGET: &str = "/api/v1/sign-in/setup";
    match setup::run(&state, body).await {
        Ok(done) => {
            let details = json!({ "user": done.user.id, "name": done.user.name });
            audit::tell(&state, "setup".into(), "set_up", TARGET, caller.address, details).await;
            let mut response = json_response(StatusCode::CREATED, &done);
            no_store(response.headers_mut());
            Ok(response)
        }
        Err(error) => {
            let details = json!({ "refused": error.message() });
            audit::tell(&state, "nobody".into(), "refused", TARGET, caller.address, details).await;
            Err(error)
        }
    }
}

async fn refresh(
    State(state): State<ServerState>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<Refresh>,
) -> Result<Response, ApiError> {
    let in_cookie = cookies::read(&headers, cookies::REFRESH);
    let is_browser = body.refresh_token.is_none() && in_cookie.is_some();
    let shown = body.refresh_token.or(in_cookie);
    let shown = shown.ok_or_else(|| ApiError::unauthorized("there is no refresh token").suggest("sign in"))?;
    match session::renew(&state, &shown).await {
        Ok(session) => {
            let mut response = json_response(StatusCode::OK, &session);
            no_store(response.headers_mut());
            if is_browser {
                session::set_cookies(response.headers_mut(), &session, &state.settings);
            }
            Ok(response)
        }
        Err(error) => {
            let details = json!({ "refused": error.message() });
            audit::tell(&state, "nobody".into(), "refused", "/api/v1/sign-in/refresh", caller.address, details).await;
            let mut response = error.into_response();
            if is_browser {
                session::remove_cookies(response.headers_mut(), &state.settings);
            }
            Ok(response)
        }
    }
}

fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

async fn sign_out(State(state): State<ServerState>, caller: Caller) -> Result<Response, ApiError> {
    let Who::User { by: By::Session(id) | By::Cookie(id), .. } = caller.who else {
        return Err(ApiError::conflict("a token is no session").suggest("revoke it with `DELETE /api/v1/tokens/{id}`"));
    };
    session::end(&state, id).await?;
    let mut response = NoContent.into_response();
    session::remove_cookies(response.headers_mut(), &state.settings);
    Ok(response)
}

async fn begin(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    Query(query): Query<BeginQuery>,
) -> Result<Response, ApiError> {
    provider::begin(&state, &name, query.redirect).await
}

async fn finish(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Query(query): Query<CallbackQuery>,
) -> Result<Response, ApiError> {
    match provider::finish(&state, &name, query, &headers, caller.address).await {
        Ok(response) => Ok(response),
        Err(error) => {
            let details = json!({ "provider": name.chars().take(100).collect::<String>(), "refused": error.message() });
            audit::tell(&state, "nobody".into(), "refused", "/api/v1/sign-in", caller.address, details).await;
            Err(error)
        }
    }
}

//! Sessions: an access token for minutes, and a refresh token that works once.

use axum::http::{HeaderMap, header};
use oxide_core::{
    api::sign_in::Session,
    id::{SessionId, UserId},
    time::Timestamp,
};
use oxide_store::{Credential, CredentialHash, CredentialKind, NewSession, Renewal, Transaction, UserRow};
use uuid::Uuid;

use super::{cookies, jwt};
use crate::{error::ApiError, resource::user::shown_user, settings::Settings, state::ServerState};

/// Where the refresh token of a browser is sent.
const REFRESH_PATH: &str = "/api/v1/sign-in";

/// Begins a session of a user.
///
/// # Errors
/// The store cannot be written, or nothing can be signed.
pub async fn begin(state: &ServerState, transaction: &mut Transaction, user: &UserRow) -> Result<Session, ApiError> {
    let (new, refresh) = prepare(state)?;
    transaction.insert_session(user.id, &new).await?;
    answer(state, user, &new, refresh.expose())
}

/// Exchanges a refresh token for a new session. One that comes a second time was copied: all that followed from it ends.
///
/// # Errors
/// 401 if it is not known, or no longer.
pub async fn renew(state: &ServerState, refresh: &str) -> Result<Session, ApiError> {
    let (new, new_refresh) = prepare(state)?;
    let mut transaction = state.store.begin().await?;
    let renewal = transaction.renew_session(&CredentialHash::of(refresh), &new).await?;
    transaction.commit().await?;
    let again = |message: &str| Err(ApiError::unauthorized(message).suggest("sign in again"));
    let user = match renewal {
        Renewal::Renewed(user) => user,
        Renewal::Unknown => return again("the refresh token is not known"),
        Renewal::Expired => return again("the refresh token has expired"),
        Renewal::Revoked => return again("the session was ended"),
        Renewal::JustRenewed => {
            return Err(ApiError::unauthorized("the refresh token was exchanged a moment ago")
                .suggest("use what that exchange answered"));
        }
        Renewal::Reused(_) => {
            return again("the refresh token was used before: somebody may have a copy, so the session was ended");
        }
    };
    let user = state.store.user(user).await?.filter(|user| user.disabled_at.is_none());
    let user = user.ok_or_else(|| ApiError::unauthorized("the user may no longer sign in"))?;
    answer(state, &user, &new, new_refresh.expose())
}

/// Ends a session.
///
/// # Errors
/// The store cannot be written.
pub async fn end(state: &ServerState, session: SessionId) -> Result<(), ApiError> {
    let mut transaction = state.store.begin().await?;
    transaction.end_session(session, state.now()).await?;
    transaction.commit().await?;
    Ok(())
}

/// Forgets sessions that ended long ago, and sign-ins that nobody finished. A server does so every hour or so.
///
/// # Errors
/// The store cannot be written.
pub async fn prune(state: &ServerState) -> Result<(), ApiError> {
    const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
    let now = state.now();
    let mut transaction = state.store.begin().await?;
    transaction.prune_sessions(Timestamp(now.0.saturating_sub(KEPT_MS))).await?;
    transaction.prune_sign_ins(now).await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends everything that speaks for a user: sessions, and tokens too.
///
/// # Errors
/// The store cannot be written.
pub async fn end_all(transaction: &mut Transaction, user: UserId, at: Timestamp) -> Result<(), ApiError> {
    transaction.end_sessions_of(user, at).await?;
    transaction.revoke_tokens_of(user, at).await?;
    Ok(())
}

fn prepare(state: &ServerState) -> Result<(NewSession, Credential), ApiError> {
    let refresh = Credential::generate(CredentialKind::Refresh)
        .map_err(|error| ApiError::internal("draw a random number", error))?;
    let now = state.now();
    let new = NewSession {
        id: SessionId(Uuid::now_v7()),
        refresh_hash: refresh.hash(),
        created_at: now,
        expires_at: now.plus_millis(millis(state.settings.refresh)),
    };
    Ok((new, refresh))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn answer(state: &ServerState, user: &UserRow, new: &NewSession, refresh: &str) -> Result<Session, ApiError> {
    let expires_at = new.created_at.plus_millis(millis(state.settings.session));
    Ok(Session {
        access_token: jwt::session(user.id, new.id, &state.settings.session_key, new.created_at, expires_at)?,
        token_type: "Bearer".into(),
        expires_at,
        refresh_token: refresh.to_owned(),
        refresh_expires_at: new.expires_at,
        user: shown_user(user.clone()),
    })
}

/// Gives a browser its session.
pub fn set_cookies(headers: &mut HeaderMap, session: &Session, settings: &Settings) {
    let is_secure = settings.is_https();
    let access = cookies::set(cookies::ACCESS, &session.access_token, "/", settings.session.as_secs(), is_secure);
    let seconds = settings.refresh.as_secs();
    let refresh = cookies::set(cookies::REFRESH, &session.refresh_token, REFRESH_PATH, seconds, is_secure);
    headers.append(header::SET_COOKIE, access);
    headers.append(header::SET_COOKIE, refresh);
}

/// Takes its session from a browser.
pub fn remove_cookies(headers: &mut HeaderMap, settings: &Settings) {
    let is_secure = settings.is_https();
    headers.append(header::SET_COOKIE, cookies::remove(cookies::ACCESS, "/", is_secure));
    headers.append(header::SET_COOKIE, cookies::remove(cookies::REFRESH, REFRESH_PATH, is_secure));
}

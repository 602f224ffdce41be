//! Finds who shows a credential, and what that one may do.

use oxide_core::{access::Rights, id::TokenId};
use oxide_store::{CredentialHash, TokenState, UserRow};

use crate::{
    caller::{By, Who},
    credential::{Credential, Shown},
    error::ApiError,
    sign_in::jwt,
    state::ServerState,
};

/// Who shows this?
///
/// # Errors
/// 401 if it is not right, or no longer.
pub async fn authenticate(state: &ServerState, shown: &Shown) -> Result<(Who, Rights), ApiError> {
    match &shown.credential {
        Credential::Token(_) => by_token(state, &shown.hash).await,
        Credential::Agent(_) => by_agent(state, &shown.hash).await,
        Credential::Session(text) => by_session(state, text, By::Session).await,
        Credential::Cookie(text) => by_session(state, text, By::Cookie).await,
    }
}

async fn by_token(state: &ServerState, hash: &CredentialHash) -> Result<(Who, Rights), ApiError> {
    let found = state.store.token_by_hash(hash).await?;
    let (token, user) = found.ok_or_else(|| ApiError::unauthorized("the token is not known"))?;
    let now = state.now();
    match token.state(now) {
        TokenState::Usable => {}
        TokenState::Expired => return Err(ApiError::unauthorized("the token has expired")),
        TokenState::Revoked => return Err(ApiError::unauthorized("the token was revoked")),
    }
    check_enabled(&user)?;
    if token.is_touch_due(now) {
        touch(state.clone(), token.id);
    }
    let rights =
        Rights { is_admin: user.is_admin, roles: state.store.roles(user.id).await?, limit: Some(token.limit()) };
    Ok((Who::User { id: user.id, name: user.name, by: By::Token(token.id) }, rights))
}

/// Notes in the background that a token was used: nobody waits for it, and nothing fails by it.
fn touch(state: ServerState, token: TokenId) {
    tokio::spawn(async move {
        let now = state.now();
        let touched = async {
            let mut transaction = state.store.begin().await?;
            transaction.touch_token(token, now).await?;
            transaction.commit().await
        };
        if let Err(error) = touched.await {
            tracing::warn!("could not note that a token was used: {}", crate::error::chain(&error));
        }
    });
}

async fn by_agent(state: &ServerState, hash: &CredentialHash) -> Result<(Who, Rights), ApiError> {
    let agent = state.store.agent_by_credential(hash).await?;
    let agent = agent.ok_or_else(|| ApiError::unauthorized("the credential of the agent is not known"))?;
    if agent.deregistered_at.is_some() {
        return Err(ApiError::unauthorized("the agent was deregistered"));
    }
    Ok((Who::Agent { id: agent.id }, Rights::default()))
}

async fn by_session(
    state: &ServerState,
    text: &str,
    by: fn(oxide_core::id::SessionId) -> By,
) -> Result<(Who, Rights), ApiError> {
    let claims = jwt::read_session(text, &state.settings.session_key, state.now())?;
    let session = state.store.session(claims.sid).await?;
    let ended = || ApiError::unauthorized("the session was ended").suggest("sign in again");
    if session.is_none_or(|session| session.revoked_at.is_some() || session.user != claims.sub) {
        return Err(ended());
    }
    let user = state.store.user(claims.sub).await?.ok_or_else(ended)?;
    check_enabled(&user)?;
    let rights = Rights { is_admin: user.is_admin, roles: state.store.roles(user.id).await?, limit: None };
    Ok((Who::User { id: user.id, name: user.name, by: by(claims.sid) }, rights))
}

fn check_enabled(user: &UserRow) -> Result<(), ApiError> {
    match user.disabled_at {
        None => Ok(()),
        Some(_) => Err(ApiError::unauthorized(format!("the user `{}` is disabled", user.name))),
    }
}

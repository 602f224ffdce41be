//! API tokens of the caller, and of others for administrators.

use axum::extract::State;
use oxide_core::{
    access::{Role, Scope},
    api::{
        page::{Page, PageQuery},
        token::{CreatedToken, NewToken, Token},
    },
    id::{TokenId, UserId},
    time::Timestamp,
};
use oxide_store::{Credential, CredentialKind, PageRequest, TokenRow};
use serde_json::json;
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::{ApiError, ErrorKind},
    extract::{Created, Json, NoContent, Path, Query},
    page,
    resource::{project, user},
    route::{Access, Route, Tag},
    state::ServerState,
    text::{NAME_LENGTH_MAX, check_text},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a token works if nothing is said.
const USUAL_MS: u64 = 90 * DAY_MS;
/// How long a token works at most.
const LONGEST_MS: u64 = 366 * DAY_MS;

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/tokens", "list_tokens", list_own)
            .tag(Tag::Tokens)
            .access(Access::SignedIn)
            .summary("Lists the caller's tokens, newest first. The tokens themselves are shown once, when they are made.")
            .query::<PageQuery>()
            .answer::<Page<Token>>(200, "Tokens."),
        Route::post("/api/v1/tokens", "create_token", create_own)
            .tag(Tag::Tokens)
            .access(Access::SignedIn)
            .summary("Makes a token for the caller. It is shown in this answer only.")
            .description(
                "A token may do at most what its user may. A token that is made with a token may do at most what that one \
                 may, works no longer, and is revoked with it.",
            )
            .body::<NewToken>()
            .answer::<CreatedToken>(201, "The token.")
            .errors(&[ErrorKind::NotFound]),
        Route::delete("/api/v1/tokens/{token}", "revoke_token", revoke)
            .tag(Tag::Tokens)
            .access(Access::SignedIn)
            .summary("Revokes a token: one of the caller, or any if the caller is an administrator.")
            .description(
                "The tokens that its user has made with it are revoked, too. A token can revoke itself, and others that may do \
                 no more, unless it is for the registry only.",
            )
            .answer_empty(204, "It works no more."),
        Route::get("/api/v1/users/{user}/tokens", "list_tokens_of_user", list_of)
            .tag(Tag::Tokens)
            .access(Access::Organization(Role::Admin))
            .summary("Lists the tokens of a user, newest first.")
            .query::<PageQuery>()
            .answer::<Page<Token>>(200, "Tokens."),
        Route::post("/api/v1/users/{user}/tokens", "create_token_of_user", create_for)
            .tag(Tag::Tokens)
            .access(Access::Organization(Role::Admin))
            .summary("Makes a token for a user, such as a machine. It is shown in this answer only.")
            .body::<NewToken>()
            .answer::<CreatedToken>(201, "The token."),
    ]
}

/// A token as it is shown.
pub fn shown_token(row: TokenRow) -> Token {
    let TokenRow { id, name, prefix, scopes, project, created_at, expires_at, last_used_at, revoked_at, .. } = row;
    Token { id, name, prefix, scopes, project, created_at, expires_at, last_used_at, revoked_at }
}

async fn list(state: &ServerState, user: UserId, request: PageRequest) -> Result<Json<Page<Token>>, ApiError> {
    Ok(Json(page::map(state.store.tokens(Some(user), &request).await?, shown_token)))
}

async fn list_own(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Token>>, ApiError> {
    list(&state, caller.user()?, page::request_of(query)?).await
}

async fn list_of(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Token>>, ApiError> {
    let user = user::find(&state, &user).await?;
    list(&state, user.id, page::request_of(query)?).await
}

async fn create_own(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<Created<CreatedToken>, ApiError> {
    let user = caller.user()?;
    create(&state, &caller, user, new).await
}

async fn create_for(
    State(state): State<ServerState>,
    caller: Caller,
    Path(user): Path<String>,
    Json(new): Json<NewToken>,
) -> Result<Created<CreatedToken>, ApiError> {
    let user = user::find(&state, &user).await?;
    create(&state, &caller, user.id, new).await
}

async fn create(
    state: &ServerState,
    caller: &Caller,
    user: UserId,
    new: NewToken,
) -> Result<Created<CreatedToken>, ApiError> {
    if new.name.is_empty() {
        return Err(ApiError::invalid("a token needs a name"));
    }
    check_text("name", &new.name, NAME_LENGTH_MAX)?;
    let now = state.now();
    let wanted = match &new.project {
        Some(reference) => Some(project::find(state, caller, reference, Role::Viewer).await?.id),
        None => None,
    };
    // What the caller's own token takes away stays taken away.
    let limit = caller.rights.limit.as_ref();
    let own_end = match caller.token() {
        Some(token) => state.store.token(token).await?.and_then(|token| token.expires_at),
        None => None,
    };
    let scopes = scopes(new.scopes, limit.map(|limit| limit.scopes.as_slice()))?;
    let project = match (limit.and_then(|limit| limit.project), wanted) {
        (Some(bound), Some(wanted)) if bound != wanted => {
            return Err(ApiError::forbidden(
                "this token is bound to one project, and can make tokens for that one only",
            ));
        }
        (bound, wanted) => bound.or(wanted),
    };
    let expires_at = end(new.expires_at, own_end, now)?;
    let credential =
        Credential::generate(CredentialKind::Api).map_err(|error| ApiError::internal("draw a random number", error))?;
    let row = TokenRow {
        id: TokenId(Uuid::now_v7()),
        user,
        name: new.name,
        prefix: credential.prefix().to_owned(),
        scopes,
        project,
        // What an administrator makes for others stays.
        made_by: caller.token().filter(|_| caller.user().is_ok_and(|maker| maker == user)),
        created_at: now,
        expires_at: Some(expires_at),
        last_used_at: None,
        revoked_at: None,
    };
    let mut transaction = state.store.begin().await?;
    if !transaction.insert_token(&row, &credential.hash()).await? {
        return Err(ApiError::unauthorized("the token was revoked"));
    }
    transaction.commit().await?;
    caller.note(json!({ "token": row.id, "prefix": row.prefix, "scopes": row.scopes, "user": row.user }));
    let location = format!("/api/v1/tokens/{}", row.id);
    Ok(Created(location, CreatedToken { token: credential.expose().to_owned(), about: shown_token(row) }))
}

/// Which scopes a new token gets, made by somebody whose token has these; none: by a session.
fn scopes(wanted: Option<Vec<Scope>>, own: Option<&[Scope]>) -> Result<Vec<Scope>, ApiError> {
    let all = own.map_or_else(|| Scope::ALL.to_vec(), <[Scope]>::to_vec);
    let Some(mut wanted) = wanted else { return Ok(all) };
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Err(ApiError::invalid("a token without scopes may do nothing")
            .suggest(format!("the scopes are {}", Scope::ALL.map(Scope::as_str).join(", "))));
    }
    match wanted.iter().find(|scope| !is_within(**scope, &all)) {
        Some(beyond) => {
            Err(ApiError::forbidden(format!("this token has not the scope `{beyond}`, and cannot give it")))
        }
        None => Ok(wanted),
    }
}

/// Does having these scopes mean having this one?
fn is_within(scope: Scope, own: &[Scope]) -> bool {
    let rank = |scope: Scope| [Scope::Read, Scope::Run, Scope::Maintain, Scope::Admin].iter().position(|s| *s == scope);
    own.contains(&scope)
        || match (scope, rank(scope)) {
            (_, Some(rank_of)) => own.iter().any(|own| rank(*own) >= Some(rank_of)),
            (Scope::RegistryRead, None) => own.iter().any(|own| rank(*own).is_some() || *own == Scope::RegistryWrite),
            (_, None) => own.iter().any(|own| rank(*own) >= Some(2)),
        }
}

/// When a new token ends to work.
fn end(wanted: Option<Timestamp>, own: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, ApiError> {
    let latest = own.unwrap_or(Timestamp(i64::MAX)).min(now.plus_millis(LONGEST_MS));
    match wanted {
        None => Ok(now.plus_millis(USUAL_MS).min(latest)),
        Some(wanted) if wanted <= now => Err(ApiError::invalid("`expires_at` is over already")),
        Some(wanted) if wanted > latest => {
            Err(ApiError::invalid(format!("a token made here works until {} at most", latest.to_rfc3339())))
        }
        Some(wanted) => Ok(wanted),
    }
}

async fn revoke(
    State(state): State<ServerState>,
    caller: Caller,
    Path(token): Path<String>,
) -> Result<NoContent, ApiError> {
    let unknown = || ApiError::not_found("token", &token);
    let id: TokenId = token.parse().map_err(|_| unknown())?;
    let found = state.store.token(id).await?.ok_or_else(unknown)?;
    let is_own = found.user == caller.user()?;
    if !is_own && caller.check_organization(Role::Admin).is_err() {
        return Err(unknown());
    }
    // A token bound to one project does not reach those that are not.
    let bound = caller.rights.limit.as_ref().and_then(|limit| limit.project);
    if bound.is_some() && found.project != bound {
        return Err(unknown());
    }
    if caller.token() != Some(id)
        && let Some(limit) = &caller.rights.limit
        && let Some(beyond) = found.scopes.iter().find(|scope| !is_within(**scope, &limit.scopes))
    {
        return Err(ApiError::forbidden(format!("that token has the scope `{beyond}`, and this one has not"))
            .suggest("revoke it with a token that may as much, or after signing in"));
    }
    let mut transaction = state.store.begin().await?;
    transaction.revoke_token(id, state.now()).await?;
    transaction.commit().await?;
    caller.note(json!({ "token": id, "prefix": found.prefix, "user": found.user }));
    Ok(NoContent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_no_more_than_it_has() {
        assert_eq!(scopes(None, None).unwrap(), Scope::ALL);
        assert_eq!(scopes(None, Some(&[Scope::Read])).unwrap(), [Scope::Read]);
        assert_eq!(scopes(Some(vec![Scope::Read]), Some(&[Scope::Maintain])).unwrap(), [Scope::Read]);
        assert_eq!(scopes(Some(vec![Scope::RegistryRead]), Some(&[Scope::Read])).unwrap(), [Scope::RegistryRead]);
        for beyond in [Scope::Run, Scope::Maintain, Scope::Admin, Scope::RegistryWrite] {
            assert!(scopes(Some(vec![beyond]), Some(&[Scope::Read])).is_err(), "{beyond}");
            assert!(scopes(Some(vec![beyond]), Some(&[Scope::RegistryRead])).is_err(), "{beyond}");
        }
        assert!(scopes(Some(vec![Scope::Read]), Some(&[Scope::RegistryWrite])).is_err());
        assert!(scopes(Some(Vec::new()), None).is_err());
    }

    #[test]
    fn a_token_ends() {
        let now = Timestamp(1_000_000);
        assert_eq!(end(None, None, now).unwrap(), now.plus_millis(USUAL_MS));
        assert_eq!(end(None, Some(now.plus_millis(5)), now).unwrap(), now.plus_millis(5));
        assert!(end(Some(now), None, now).is_err());
        assert!(end(Some(now.plus_millis(LONGEST_MS + 1)), None, now).is_err());
        assert!(end(Some(now.plus_millis(10)), Some(now.plus_millis(5)), now).is_err());
    }
}

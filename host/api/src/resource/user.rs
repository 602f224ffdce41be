//! Users.

use axum::extract::State;
use oxide_core::{
    access::{Role, Scope},
    api::{
        error::ErrorKind,
        page::{Page, PageQuery},
        user::{Me, NewUser, User, UserChange},
    },
    id::UserId,
};
use oxide_store::UserRow;
use serde_json::json;
use uuid::Uuid;

use crate::{
    caller::{Caller, Who},
    error::ApiError,
    etag::IfMatch,
    extract::{Created, Json, Path, Query},
    page,
    route::{Access, Route, Tag},
    sign_in::session,
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/user", "get_me", me)
            .tag(Tag::Users)
            .access(Access::SignedIn)
            .summary("Who the caller is, and what it may do.")
            .answer::<Me>(200, "The caller."),
        Route::get("/api/v1/users", "list_users", list)
            .tag(Tag::Users)
            .access(Access::Organization(Role::Admin))
            .summary("Lists users by name.")
            .query::<PageQuery>()
            .answer::<Page<User>>(200, "Users."),
        Route::post("/api/v1/users", "create_user", create)
            .tag(Tag::Users)
            .access(Access::Organization(Role::Admin))
            .summary(
                "Makes a user: a person who will sign in with this e-mail address, or a machine that gets a token.",
            )
            .body::<NewUser>()
            .answer::<User>(201, "The user.")
            .errors(&[ErrorKind::Conflict]),
        Route::get("/api/v1/users/{user}", "get_user", get)
            .tag(Tag::Users)
            .access(Access::Organization(Role::Admin))
            .summary("A user.")
            .answer::<User>(200, "The user."),
        Route::patch("/api/v1/users/{user}", "update_user", update)
            .tag(Tag::Users)
            .access(Access::Organization(Role::Admin))
            .summary("Changes a user; disabling one ends its sessions and revokes its tokens.")
            .body::<UserChange>()
            .answer::<User>(200, "The user as it is now.")
            .errors(&[ErrorKind::Conflict, ErrorKind::PreconditionFailed]),
    ]
}

/// A user as it is shown.
pub fn shown_user(row: UserRow) -> User {
    let UserRow { id, name, email, is_admin, created_at, disabled_at } = row;
    User { id, name, email, is_admin, created_at, disabled_at }
}

/// Is it a name that can stand in a path?
///
/// # Errors
/// 422 if not.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let begins_well = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let is_good = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    // A name that looks like an id would hide the one with that id.
    if !begins_well || !is_good || name.len() > 100 || Uuid::parse_str(name).is_ok() {
        let shown: String = name.chars().take(100).collect();
        return Err(ApiError::invalid(format!("`{shown}` cannot be a name"))
            .suggest("use letters, digits, `-`, `_` and `.`, at most 100, and begin with a letter or digit"));
    }
    Ok(())
}

/// An empty text takes away.
pub(crate) fn some_text(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The user with this name or id.
///
/// # Errors
/// 404.
pub async fn find(state: &ServerState, reference: &str) -> Result<UserRow, ApiError> {
    let found = match reference.parse::<UserId>() {
        Ok(id) => state.store.user(id).await?,
        Err(_) => state.store.user_by_name(reference).await?,
    };
    found.ok_or_else(|| ApiError::not_found("user", reference))
}

/// Is it an e-mail address? An empty text takes it away.
///
/// # Errors
/// 422 if not.
pub(crate) fn check_email(email: Option<&String>) -> Result<(), ApiError> {
    match email {
        Some(email) if email.is_empty() => Ok(()),
        Some(email)
            if email.chars().count() > 320
                || email.chars().any(|c| c.is_whitespace() || c.is_control())
                || !email
                    .split_once('@')
                    .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@')) =>
        {
            Err(ApiError::invalid("the e-mail address cannot be one").suggest("write it as `name@example.com`"))
        }
        _ => Ok(()),
    }
}

async fn me(State(state): State<ServerState>, caller: Caller) -> Result<Json<Me>, ApiError> {
    let Who::User { id, .. } = &caller.who else { return Err(ApiError::forbidden("only users may do this")) };
    let user = state.store.user(*id).await?.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
    let limit = caller.rights.limit.as_ref();
    let bound = limit.and_then(|limit| limit.project);
    let ids: Vec<_> = caller.rights.roles.keys().copied().filter(|id| bound.is_none_or(|bound| bound == *id)).collect();
    let projects = state.store.projects_by_id(&ids).await?;
    let roles = projects.into_iter().filter_map(|project| Some((project.name, *caller.rights.roles.get(&project.id)?)));
    let scopes = limit.map_or_else(|| Scope::ALL.to_vec(), |limit| limit.scopes.clone());
    Ok(Json(Me { user: shown_user(user), roles: roles.collect(), scopes, project: bound }))
}

async fn list(State(state): State<ServerState>, Query(query): Query<PageQuery>) -> Result<Json<Page<User>>, ApiError> {
    Ok(Json(page::map(state.store.users(&page::request_of(query)?).await?, shown_user)))
}

async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<NewUser>,
) -> Result<Created<User>, ApiError> {
    check_name(&new.name)?;
    check_email(new.email.as_ref())?;
    let row = UserRow {
        id: UserId(Uuid::now_v7()),
        name: new.name,
        email: some_text(new.email),
        is_admin: new.is_admin,
        created_at: state.now(),
        disabled_at: None,
    };
    let mut transaction = state.store.begin().await?;
    transaction.insert_user(&row).await?;
    transaction.commit().await?;
    caller.note(json!({ "user": row.id, "name": row.name, "is_admin": row.is_admin }));
    Ok(Created(format!("/api/v1/users/{}", row.id), shown_user(row)))
}

async fn get(State(state): State<ServerState>, Path(user): Path<String>) -> Result<Json<User>, ApiError> {
    Ok(Json(shown_user(find(&state, &user).await?)))
}

async fn update(
    State(state): State<ServerState>,
    caller: Caller,
    Path(user): Path<String>,
    if_match: IfMatch,
    Json(change): Json<UserChange>,
) -> Result<Json<User>, ApiError> {
    let found = find(&state, &user).await?;
    change.name.as_deref().map(check_name).transpose()?;
    check_email(change.email.as_ref())?;
    let now = state.now();
    let mut transaction = state.store.begin().await?;
    let before = transaction.user(found.id).await?.ok_or_else(|| ApiError::not_found("user", &user))?;
    if_match.check(&shown_user(before.clone()))?;
    let mut after = before.clone();
    if let Some(name) = change.name {
        after.name = name;
    }
    if change.email.is_some() {
        after.email = some_text(change.email);
    }
    if let Some(is_admin) = change.is_admin {
        after.is_admin = is_admin;
    }
    match change.is_disabled {
        Some(true) => after.disabled_at = before.disabled_at.or(Some(now)),
        Some(false) => after.disabled_at = None,
        None => {}
    }
    transaction.update_user(&after).await?;
    if transaction.count_admins().await? == 0 {
        return Err(ApiError::conflict("there would be no administrator left")
            .suggest("make another user an administrator first"));
    }
    if after.disabled_at.is_some() && before.disabled_at.is_none() {
        session::end_all(&mut transaction, after.id, now).await?;
    }
    transaction.commit().await?;
    caller.note(json!({ "user": after.id, "is_admin": after.is_admin, "is_disabled": after.disabled_at.is_some() }));
    Ok(Json(shown_user(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_name_and_a_host() {
        for good in ["", "ann@example.com", "ä@ö"] {
            assert!(check_email(Some(&good.to_owned())).is_ok(), "{good}");
        }
        for bad in ["@", "ann", "ann@", "@example.com", "a@b@c", "a b@c", "a@b\0", &format!("{}@b", "a".repeat(320))] {
            assert!(check_email(Some(&bad.to_owned())).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_can_stand_in_paths() {
        for good in ["ann", "a.b-c_d", "7"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "a b", "ä", &"a".repeat(101), "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}

//! The first administrator: made once, with a code that the server prints, as long as there is none.

use oxide_core::{
    access::Scope,
    api::{
        sign_in::{Setup, SetupDone},
        token::CreatedToken,
    },
    id::{ProjectId, TokenId, UserId},
    time::Timestamp,
};
use oxide_store::{
    Credential, CredentialHash, CredentialKind, ProjectRow, Store, StoreError, TokenRow, Transaction, UserRow,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    credential,
    error::{ApiError, ErrorKind},
    resource::{
        pipeline::DEFAULT_PROJECT,
        token::shown_token,
        user::{check_email, check_name, shown_user, some_text},
    },
    state::ServerState,
};

/// How codes begin.
pub const BEGINNING: &str = "oxide_set_";
/// How long a code works: a day.
const CODE_MS: u64 = 24 * 60 * 60 * 1000;
/// How long the token of the first administrator works: 90 days.
const TOKEN_MS: u64 = 90 * 24 * 60 * 60 * 1000;

const CODE: &str = "setup_code";
const DONE: &str = "setup_done";

/// What the store holds of a code.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Code {
    hash: String,
    expires_at: Timestamp,
}

/// A code for people, for the first administrator: it works for a day, once. None if there is an administrator. Each start
/// of a server makes a new one in the place of the last.
///
/// # Errors
/// The store cannot be read or written.
pub async fn new_code(store: &Store, now: Timestamp) -> Result<Option<String>, ApiError> {
    if store.count_admins().await? > 0 {
        return Ok(None);
    }
    let code = format!("{BEGINNING}{}", credential::random_text()?);
    let mut transaction = store.begin().await?;
    transaction.put_setting(CODE, &Code { hash: hash(&code), expires_at: now.plus_millis(CODE_MS) }).await?;
    // An administrator that was removed or disabled makes room for a new first one.
    transaction.remove_setting(DONE).await?;
    transaction.commit().await?;
    Ok(Some(code))
}

/// Is there no administrator yet?
///
/// # Errors
/// The store cannot be read.
pub async fn is_needed(store: &Store) -> Result<bool, StoreError> {
    Ok(store.count_admins().await? == 0)
}

/// Makes the first administrator.
///
/// # Errors
/// 409 if there is one, 401 if the code is wrong or its time is over.
pub async fn run(state: &ServerState, setup: Setup) -> Result<SetupDone, ApiError> {
    let now = state.now();
    if !is_needed(&state.store).await? {
        return Err(ApiError::conflict("there is an administrator already").suggest("ask them for a token"));
    }
    let name = setup.name.unwrap_or_else(|| "admin".into());
    check_name(&name)?;
    check_email(setup.email.as_ref())?;
    let code = state.store.setting::<Code>(CODE).await?;
    let code = code.filter(|code| is_same(&code.hash, &hash(&setup.code)));
    let code = code.ok_or_else(|| {
        ApiError::unauthorized("the setup code is wrong").suggest("use the code that the server printed last")
    })?;
    if code.expires_at <= now {
        return Err(ApiError::unauthorized("the setup code has expired")
            .suggest("start the server again: it prints a new one, as long as there is no administrator"));
    }
    let id = UserId(Uuid::now_v7());
    let user = UserRow { id, name, email: some_text(setup.email), is_admin: true, created_at: now, disabled_at: None };
    let credential =
        Credential::generate(CredentialKind::Api).map_err(|error| ApiError::internal("draw a random number", error))?;
    let token = TokenRow {
        id: TokenId(Uuid::now_v7()),
        user: id,
        name: "setup".into(),
        prefix: credential.prefix().to_owned(),
        scopes: Scope::ALL.to_vec(),
        project: None,
        made_by: None,
        created_at: now,
        expires_at: Some(now.plus_millis(TOKEN_MS)),
        last_used_at: None,
        revoked_at: None,
    };
    let mut transaction = state.store.begin().await?;
    // Two who have the same code race: one of them gets it.
    if !transaction.claim_setting(DONE, &id).await? || !transaction.remove_setting(CODE).await? {
        return Err(ApiError::new(ErrorKind::Conflict, "somebody has just used the setup code"));
    }
    transaction.insert_user(&user).await?;
    transaction.insert_token(&token, &credential.hash()).await?;
    make_default_project(&state.store, &mut transaction, now).await?;
    transaction.commit().await?;
    Ok(SetupDone {
        user: shown_user(user),
        token: CreatedToken { token: credential.expose().to_owned(), about: shown_token(token) },
    })
}

/// The project that requests mean which name none. It is made once: who removes or renames it does not find it again.
async fn make_default_project(store: &Store, transaction: &mut Transaction, now: Timestamp) -> Result<(), StoreError> {
    let id = ProjectId(Uuid::now_v7());
    let is_known = store.project_by_name(DEFAULT_PROJECT).await?.is_some();
    if is_known || !transaction.claim_setting("default_project", &id).await? {
        return Ok(());
    }
    let description = Some("What names no other project.".to_owned());
    let row = ProjectRow { id, name: DEFAULT_PROJECT.to_owned(), description, repository: None, created_at: now };
    transaction.insert_project(&row).await
}

fn hash(code: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, code.as_bytes()).as_ref())
}

/// Compares hashes; how long it takes tells nothing that helps, for what was hashed is random.
fn is_same(stored: &str, shown: &str) -> bool {
    CredentialHash::of(stored) == CredentialHash::of(shown)
}

//! API tokens of users. What is stored is their hash.

use oxide_core::{
    access::{Scope, TokenLimit},
    api::page::Page,
    id::{ProjectId, TokenId, UserId},
    time::Timestamp,
};

use crate::{
    CredentialHash, PageRequest, Store, StoreError, Transaction, UserRow,
    list::List,
    row::{get, json, maybe_parse, maybe_time, parse, time, to_json},
    sql::{Query, Row, query},
    user,
};

/// When a token was used is written once in this time, not at each request.
pub const TOUCH_EVERY_MS: u64 = 60_000;

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// The id.
    pub id: TokenId,
    /// Whom it speaks for.
    pub user: UserId,
    /// What the user calls it.
    pub name: String,
    /// How it begins, to tell tokens from each other.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The only project that it may be used for.
    pub project: Option<ProjectId>,
    /// The token of the same user with which it was made: it ends with that one.
    pub made_by: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends to work.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Does a token work?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It does.
    Usable,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl TokenRow {
    /// Does it work at this time?
    pub fn state(&self, now: Timestamp) -> TokenState {
        if self.revoked_at.is_some() {
            TokenState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            TokenState::Expired
        } else {
            TokenState::Usable
        }
    }

    /// Is it time to write that it was used? See [`Transaction::touch_token`].
    pub fn is_touch_due(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| now.millis_since(last) >= TOUCH_EVERY_MS)
    }

    /// How it narrows the rights of its user.
    pub fn limit(&self) -> TokenLimit {
        TokenLimit { scopes: self.scopes.clone(), project: self.project }
    }
}

const COLUMNS: &str = "tokens.id AS token_id, tokens.user_id AS token_user, tokens.name AS token_name, prefix, scopes, \
                       tokens.project AS token_project, made_by, tokens.created_at AS token_created_at, expires_at, \
                       last_used_at, revoked_at";

fn read(row: &Row) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: parse(row, "token_id")?,
        user: parse(row, "token_user")?,
        name: get(row, "token_name")?,
        prefix: get(row, "prefix")?,
        scopes: json(row, "scopes")?,
        project: maybe_parse(row, "token_project")?,
        made_by: maybe_parse(row, "made_by")?,
        created_at: time(row, "token_created_at")?,
        expires_at: maybe_time(row, "expires_at")?,
        last_used_at: maybe_time(row, "last_used_at")?,
        revoked_at: maybe_time(row, "revoked_at")?,
    })
}

impl Transaction {
    /// Stores a new token by its hash. `false`, and nothing is stored, if the token that it is made with is revoked.
    ///
    /// # Errors
    /// The store cannot be written, or there is no such user or project.
    pub async fn insert_token(&mut self, token: &TokenRow, hash: &CredentialHash) -> Result<bool, StoreError> {
        if let Some(made_by) = token.made_by {
            // Written as it is: until this transaction ends, nobody revokes it.
            let text = "UPDATE tokens SET revoked_at = NULL WHERE id = $1 AND revoked_at IS NULL";
            if query("look at the token of a token", text).bind(made_by).execute(self.connection()).await? == 0 {
                return Ok(false);
            }
        }
        query(
            "write a token",
            "INSERT INTO tokens (id, user_id, name, hash, prefix, scopes, project, made_by, created_at, expires_at, \
             last_used_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(token.id)
        .bind(token.user)
        .bind(&token.name)
        .bind(hash.as_str())
        .bind(&token.prefix)
        .bind(to_json(&token.scopes))
        .bind(token.project)
        .bind(token.made_by)
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(token.last_used_at)
        .bind(token.revoked_at)
        .execute(self.connection())
        .await?;
        Ok(true)
    }

    /// Makes a token useless for good, and those that were made with it. `false` if there was nothing left to revoke.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn revoke_token(&mut self, id: TokenId, at: Timestamp) -> Result<bool, StoreError> {
        let text = "WITH RECURSIVE made (id) AS (SELECT id FROM tokens WHERE id = $2 UNION \
                    SELECT tokens.id FROM tokens JOIN made ON tokens.made_by = made.id) \
                    UPDATE tokens SET revoked_at = $1 WHERE id IN (SELECT id FROM made) AND revoked_at IS NULL";
        Ok(self.revoke(|| query("revoke a token", text).bind(at).bind(id)).await? > 0)
    }

    /// Makes all tokens of a user useless for good. Returns how many.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn revoke_tokens_of(&mut self, user: UserId, at: Timestamp) -> Result<u64, StoreError> {
        let text = "UPDATE tokens SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL";
        self.revoke(|| query("revoke the tokens of a user", text).bind(at).bind(user)).await
    }

    /// Revokes until nothing is left. While a statement waits for a token that another one is being made with, that one is
    /// stored, and only the next statement sees it.
    async fn revoke(&mut self, statement: impl Fn() -> Query) -> Result<u64, StoreError> {
        let mut revoked = 0;
        loop {
            match statement().execute(self.connection()).await? {
                0 => return Ok(revoked),
                more => revoked += more,
            }
        }
    }

    /// Tells when a token was used, unless it was told less than a minute ago. Ask [`TokenRow::is_touch_due`] first: then a
    /// request does not even begin a transaction for it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn touch_token(&mut self, id: TokenId, at: Timestamp) -> Result<bool, StoreError> {
        let text = "UPDATE tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= $3)";
        let touched = query("write that a token was used", text)
            .bind(at)
            .bind(id)
            .bind(at.0.saturating_sub(TOUCH_EVERY_MS as i64))
            .execute(self.connection())
            .await?;
        Ok(touched == 1)
    }
}

impl Store {
    /// The token with this hash and its user, whatever their states: one read by an index.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn token_by_hash(&self, hash: &CredentialHash) -> Result<Option<(TokenRow, UserRow)>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS}, users.id AS id, users.name AS name, email, is_admin, users.created_at AS created_at, \
             disabled_at FROM tokens JOIN users ON users.id = tokens.user_id WHERE tokens.hash = $1"
        );
        let row = query("look for a token", text).bind(hash.as_str());
        let row = row.fetch_optional(&mut self.reader().await?).await?;
        row.map(|row| Ok((read(&row)?, user::read(&row)?))).transpose()
    }

    /// A token by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn token(&self, id: TokenId) -> Result<Option<TokenRow>, StoreError> {
        let row = query("read a token", format!("SELECT {COLUMNS} FROM tokens WHERE tokens.id = $1")).bind(id);
        row.fetch_optional(&mut self.reader().await?).await?.as_ref().map(read).transpose()
    }

    /// The tokens of a user, newest first, or of all users.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn tokens(&self, user: Option<UserId>, request: &PageRequest) -> Result<Page<TokenRow>, StoreError> {
        let rows = List::new("list tokens", &format!("SELECT {COLUMNS} FROM tokens"))
            .maybe("tokens.user_id = ?", user)
            .maybe("tokens.id < ?", request.key::<TokenId>()?)
            .fetch(&mut self.reader().await?, "tokens.id DESC", request)
            .await?;
        let tokens = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(tokens, |last: &TokenRow| last.id.to_string()))
    }
}

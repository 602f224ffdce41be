//! Sessions of users who signed in.
//!
//! A refresh token works once: it is exchanged for a new one, and a new row follows the old one. Whoever shows one that was
//! exchanged before has stolen it, or was stolen from: the whole line of sessions then ends.

use oxide_core::{
    id::{SessionId, UserId},
    time::Timestamp,
};

use crate::{
    CredentialHash, Store, StoreError, Transaction,
    row::{maybe_parse, maybe_time, parse, time},
    sql::{Row, query},
};

/// So long after an exchange the old token may come again without harm: two windows of one browser do that, and so does an
/// answer that got lost. It is refused, but nothing ends by it.
pub const EXCHANGE_GRACE_MS: u64 = 10_000;

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The id.
    pub id: SessionId,
    /// Who signed in.
    pub user: UserId,
    /// When it began, or was renewed.
    pub created_at: Timestamp,
    /// When its refresh token ends to work.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
    /// The session that followed when it was renewed.
    pub replaced_by: Option<SessionId>,
}

/// A session that is to be stored.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The id.
    pub id: SessionId,
    /// The hash of its refresh token.
    pub refresh_hash: CredentialHash,
    /// When it begins.
    pub created_at: Timestamp,
    /// When its refresh token ends to work.
    pub expires_at: Timestamp,
}

/// What became of an exchange of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The new session is stored, for this user.
    Renewed(UserId),
    /// There is no such token.
    Unknown,
    /// Its time is over.
    Expired,
    /// The session was ended.
    Revoked,
    /// It was exchanged a moment ago. Nothing was changed.
    JustRenewed,
    /// It was exchanged before: somebody has a copy. All sessions that followed from it are ended.
    Reused(UserId),
}

const COLUMNS: &str = "id, user_id, created_at, expires_at, revoked_at, replaced_by";

fn read(row: &Row) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: parse(row, "id")?,
        user: parse(row, "user_id")?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        revoked_at: maybe_time(row, "revoked_at")?,
        replaced_by: maybe_parse(row, "replaced_by")?,
    })
}

impl Transaction {
    /// Stores a new session of a user.
    ///
    /// # Errors
    /// The store cannot be written, or there is no such user.
    pub async fn insert_session(&mut self, user: UserId, session: &NewSession) -> Result<(), StoreError> {
        query(
            "write a session",
            "INSERT INTO sessions (id, user_id, refresh_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(session.id)
        .bind(user)
        .bind(session.refresh_hash.as_str())
        .bind(session.created_at)
        .bind(session.expires_at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Exchanges a refresh token for a new session. Commit whatever the answer is: a token that was used twice ends sessions.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn renew_session(&mut self, old: &CredentialHash, new: &NewSession) -> Result<Renewal, StoreError> {
        let now = new.created_at;
        let exchanged = query(
            "renew a session",
            "UPDATE sessions SET replaced_by = $1 \
             WHERE refresh_hash = $2 AND replaced_by IS NULL AND revoked_at IS NULL AND expires_at > $3 \
             RETURNING user_id",
        )
        .bind(new.id)
        .bind(old.as_str())
        .bind(now)
        .fetch_optional(self.connection())
        .await?;
        if let Some(row) = exchanged {
            let user = parse(&row, "user_id")?;
            self.insert_session(user, new).await?;
            return Ok(Renewal::Renewed(user));
        }
        let found = query("read a session", format!("SELECT {COLUMNS} FROM sessions WHERE refresh_hash = $1"))
            .bind(old.as_str())
            .fetch_optional(self.connection())
            .await?;
        let Some(session) = found.as_ref().map(read).transpose()? else { return Ok(Renewal::Unknown) };
        match session.replaced_by {
            _ if session.revoked_at.is_some() => Ok(Renewal::Revoked),
            None => Ok(Renewal::Expired),
            Some(next) if self.began_within(next, now, EXCHANGE_GRACE_MS).await? => Ok(Renewal::JustRenewed),
            Some(_) => {
                self.end_session(session.id, now).await?;
                Ok(Renewal::Reused(session.user))
            }
        }
    }

    async fn began_within(&mut self, id: SessionId, now: Timestamp, millis: u64) -> Result<bool, StoreError> {
        let row = query("read a session", "SELECT created_at FROM sessions WHERE id = $1").bind(id);
        let row = row.fetch_optional(self.connection()).await?;
        let began = row.map(|row| time(&row, "created_at")).transpose()?;
        Ok(began.is_some_and(|began| now.millis_since(began) < millis))
    }

    /// Ends a session and all that followed from it. Returns how many that were.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn end_session(&mut self, id: SessionId, at: Timestamp) -> Result<u64, StoreError> {
        query(
            "end a session",
            "WITH RECURSIVE line (id, next) AS ( \
                 SELECT id, replaced_by FROM sessions WHERE id = $1 \
                 UNION SELECT sessions.id, sessions.replaced_by FROM sessions JOIN line ON sessions.id = line.next \
             ) UPDATE sessions SET revoked_at = $2 WHERE revoked_at IS NULL AND id IN (SELECT id FROM line)",
        )
        .bind(id)
        .bind(at)
        .execute(self.connection())
        .await
    }

    /// Ends all sessions of a user. Returns how many that were.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn end_sessions_of(&mut self, user: UserId, at: Timestamp) -> Result<u64, StoreError> {
        let text = "UPDATE sessions SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL";
        query("end the sessions of a user", text).bind(at).bind(user).execute(self.connection()).await
    }

    /// Forgets sessions whose time was over before. Returns how many.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn prune_sessions(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let text = "DELETE FROM sessions WHERE expires_at < $1";
        query("remove old sessions", text).bind(before).execute(self.connection()).await
    }
}

impl Store {
    /// A session by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let row = query("read a session", format!("SELECT {COLUMNS} FROM sessions WHERE id = $1")).bind(id);
        row.fetch_optional(&mut self.reader().await?).await?.as_ref().map(read).transpose()
    }

    /// The session that a refresh token belongs to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn session_by_refresh(&self, hash: &CredentialHash) -> Result<Option<SessionRow>, StoreError> {
        let row = query("read a session", format!("SELECT {COLUMNS} FROM sessions WHERE refresh_hash = $1"));
        let row = row.bind(hash.as_str()).fetch_optional(&mut self.reader().await?).await?;
        row.as_ref().map(read).transpose()
    }
}

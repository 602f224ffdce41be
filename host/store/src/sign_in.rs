//! Sign-ins on their way to a provider and back.

use oxide_core::time::Timestamp;

use crate::{
    StoreError, Transaction,
    row::{get, time},
    sql::query,
};

/// A sign-in that has begun.
#[derive(Clone, PartialEq, Eq)]
pub struct SignInState {
    /// The random text that comes back with the answer of the provider.
    pub state: String,
    /// The provider.
    pub provider: String,
    /// What proves that the one who began is the one who ends it (PKCE).
    pub verifier: String,
    /// Where to go afterwards.
    pub redirect: String,
    /// Until when it may end.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SignInState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignInState").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Transaction {
    /// Stores a sign-in that begins.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn begin_sign_in(&mut self, sign_in: &SignInState) -> Result<(), StoreError> {
        query(
            "write a sign-in",
            "INSERT INTO sign_in_states (state, provider, verifier, redirect, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&sign_in.state)
        .bind(&sign_in.provider)
        .bind(&sign_in.verifier)
        .bind(&sign_in.redirect)
        .bind(sign_in.expires_at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes a sign-in that began, once; none if there is none, or its time is over.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn take_sign_in(&mut self, state: &str, now: Timestamp) -> Result<Option<SignInState>, StoreError> {
        let row = query(
            "read a sign-in",
            "DELETE FROM sign_in_states WHERE state = $1 RETURNING state, provider, verifier, redirect, expires_at",
        )
        .bind(state)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let sign_in = SignInState {
            state: get(&row, "state")?,
            provider: get(&row, "provider")?,
            verifier: get(&row, "verifier")?,
            redirect: get(&row, "redirect")?,
            expires_at: time(&row, "expires_at")?,
        };
        Ok(Some(sign_in).filter(|sign_in| sign_in.expires_at > now))
    }

    /// Forgets sign-ins whose time is over. Returns how many.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn prune_sign_ins(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let text = "DELETE FROM sign_in_states WHERE expires_at <= $1";
        query("remove old sign-ins", text).bind(now).execute(self.connection()).await
    }
}

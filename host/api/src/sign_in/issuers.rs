//! What issuers say of themselves, and their keys: kept for a while, so that not each sign-in asks for them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use oxide_core::time::Timestamp;
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value as Json;

use super::provider::{ProviderError, ask, url};

/// How long an issuer is not asked again, in milliseconds.
pub const KEPT_MS: i64 = 10 * 60 * 1000;

/// What an issuer says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Discovery {
    /// Its name, which its tokens have, too.
    pub issuer: String,
    /// Where browsers go.
    pub authorization_endpoint: String,
    /// Where a code is exchanged for tokens.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where more is told of a user.
    pub userinfo_endpoint: Option<String>,
    /// How we may say at the token endpoint who we are.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What was heard of issuers.
#[derive(Default)]
pub struct Issuers {
    documents: Kept<Discovery>,
    keys: Kept<JwkSet>,
}

/// Asks issuers, or remembers what they said.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Asks.
    pub http: &'a Client,
    /// What was heard before.
    pub issuers: &'a Issuers,
    /// The present.
    pub now: Timestamp,
}

impl Asking<'_> {
    /// What an issuer says of itself.
    ///
    /// # Errors
    /// It cannot be reached, or what it says is not of it.
    pub async fn document(self, issuer: &str) -> Result<Arc<Discovery>, ProviderError> {
        if let Some(known) = self.issuers.documents.get(issuer, self.now) {
            return Ok(known);
        }
        let address = url(issuer, "/.well-known/openid-configuration")?;
        let found: Discovery = ask("the discovery document", self.http.get(address)).await?;
        if found.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return Err(ProviderError::Answer(format!("the discovery document is of `{}`", found.issuer)));
        }
        Ok(self.issuers.documents.put(issuer, self.now, found))
    }

    /// The keys at an address, if they were asked for not long ago. There may be newer ones.
    pub fn known_keys(self, jwks_uri: &str) -> Option<Arc<JwkSet>> {
        self.issuers.keys.get(jwks_uri, self.now)
    }

    /// The keys that are at an address now.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn keys(self, jwks_uri: &str) -> Result<Arc<JwkSet>, ProviderError> {
        let found = read_keys(ask("the keys", self.http.get(url(jwks_uri, "")?)).await?);
        Ok(self.issuers.keys.put(jwks_uri, self.now, found))
    }
}

/// The keys that can be read; an issuer may have others of kinds that we do not know.
fn read_keys(set: Json) -> JwkSet {
    let keys = set["keys"].as_array().cloned().unwrap_or_default();
    JwkSet { keys: keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()).collect() }
}

/// Things by their address, and since when they are known.
struct Kept<T>(Mutex<HashMap<String, (Timestamp, Arc<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(Mutex::default())
    }
}

impl<T> Kept<T> {
    fn get(&self, address: &str, now: Timestamp) -> Option<Arc<T>> {
        let kept = self.lock();
        // A clock that was set back keeps nothing longer.
        let is_fresh = |since: Timestamp| (0..KEPT_MS).contains(&now.0.saturating_sub(since.0));
        kept.get(address).filter(|(since, _)| is_fresh(*since)).map(|(_, thing)| Arc::clone(thing))
    }

    fn put(&self, address: &str, now: Timestamp, thing: T) -> Arc<T> {
        let thing = Arc::new(thing);
        self.lock().insert(address.to_owned(), (now, Arc::clone(&thing)));
        thing
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Arc<T>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

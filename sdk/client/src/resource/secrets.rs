//! Secrets. Values go in and never come out.

use http::Method;
use oxide_core::api::{
    page::Page,
    secret::{NewSecret, Secret, SecretPlace, SecretQuery},
};

use crate::{
    Client, ClientError,
    transport::{Body, with_query},
};

impl Client {
    /// The names of secrets.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn secrets(&self, query: &SecretQuery) -> Result<Page<Secret>, ClientError> {
        let url = with_query(self.transport.url(["secrets"]), query);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// Keeps a secret; one of the same name and scope is replaced.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn set_secret(&self, secret: &NewSecret) -> Result<Secret, ClientError> {
        self.transport.json(Method::POST, self.transport.url(["secrets"]), Body::json(secret)).await
    }

    /// Forgets a secret of this place.
    ///
    /// # Errors
    /// There is none, the server cannot be reached, or says no.
    pub async fn delete_secret(&self, name: &str, place: &SecretPlace) -> Result<(), ClientError> {
        let url = with_query(self.transport.url(["secrets", name]), place);
        self.transport.json(Method::DELETE, url, Body::None).await
    }
}

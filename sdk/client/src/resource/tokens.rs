//! API tokens of the caller.

use http::Method;
use oxide_core::{
    api::{
        page::{Page, PageQuery},
        token::{CreatedToken, NewToken, Token},
    },
    id::TokenId,
};

use crate::{
    Client, ClientError,
    transport::{Body, with_query},
};

impl Client {
    /// The tokens of the caller.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn tokens(&self, query: &PageQuery) -> Result<Page<Token>, ClientError> {
        let url = with_query(self.transport.url(["tokens"]), query);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// Makes a token. It is shown in this answer only.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn create_token(&self, token: &NewToken) -> Result<CreatedToken, ClientError> {
        self.transport.json(Method::POST, self.transport.url(["tokens"]), Body::json(token)).await
    }

    /// Makes a token useless.
    ///
    /// # Errors
    /// There is none, the server cannot be reached, or says no.
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), ClientError> {
        let url = self.transport.url(["tokens", &id.to_string()]);
        self.transport.json(Method::DELETE, url, Body::None).await
    }
}

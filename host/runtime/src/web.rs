//! HTTP requests, as the runtime sees who answers them in the place of the network: the script of a plugin's test.
//!
//! What a step may reach, what becomes of its secrets and how long it waits is decided before and after, as on the network.

use async_trait::async_trait;
use bytes::Bytes;

/// A request as it would go over the wire, with the values of secrets in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRequest {
    /// `GET` and the like.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebResponse {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

/// Answers requests in the place of the network.
#[async_trait]
pub trait Responder: Send + Sync {
    /// Answers one request, or says why there is no answer.
    async fn respond(&self, request: WebRequest) -> Result<WebResponse, String>;
}

//! Carries calls to the server that leads, over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use oxide_orchestrator::{Call, Cause, Forward, OrchestratorError, Reply};
use oxide_store::LeaderInfo;

use super::ClusterSecret;

/// How long the leader may take: longer than it holds the longest call open.
const PATIENCE: Duration = Duration::from_secs(60);

/// Carries calls to the server that leads.
pub struct HttpForward {
    client: reqwest::Client,
    secret: ClusterSecret,
}

impl HttpForward {
    /// With the secret that all servers share.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(secret: ClusterSecret) -> Result<HttpForward, reqwest::Error> {
        // What is sent here is for this server alone: no proxy, no other place.
        let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = builder.connect_timeout(Duration::from_secs(5)).timeout(PATIENCE).build()?;
        Ok(HttpForward { client, secret })
    }
}

#[async_trait]
impl Forward for HttpForward {
    async fn forward(&self, leader: &LeaderInfo, call: Call) -> Result<Reply, OrchestratorError> {
        let Some(url) = &leader.url else { return Err(OrchestratorError::NoLeader) };
        let unreachable = |cause: &dyn std::error::Error| OrchestratorError::Unreachable {
            leader: url.clone(),
            cause: Cause::of(cause),
        };
        let body = serde_json::to_vec(&call).map_err(|error| unreachable(&error))?;
        let request = self.client.post(format!("{}/internal/v1/call", url.trim_end_matches('/')));
        let request = request
            .header(http::header::AUTHORIZATION, self.secret.bearer())
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body);
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| unreachable(&error))?;
        if !status.is_success() {
            let told = std::io::Error::other(format!("it answered with the status {status}"));
            return Err(unreachable(&told));
        }
        let answer: Result<Reply, OrchestratorError> =
            serde_json::from_slice(&bytes).map_err(|error| unreachable(&error))?;
        answer
    }
}

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
        match answer {
            // It has just lost the lead, or the address is that of another server.
            Err(OrchestratorError::NoLeader) => {
                Err(unreachable(&std::io::Error::other("the server at this address does not lead")))
            }
            answer => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::post};
    use oxide_core::{id::RunId, time::Timestamp};
    use uuid::Uuid;

    use super::*;

    /// Asks the server at an address, and answers with the words of what went wrong.
    async fn told(url: Option<String>) -> String {
        oxide_registry::use_ring_for_tls();
        let secret = ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap();
        let leader = LeaderInfo { server: "a".to_owned(), url, since: Timestamp(0) };
        let call = Call::Wait { run: RunId(Uuid::now_v7()) };
        let error = HttpForward::new(secret).unwrap().forward(&leader, call).await.unwrap_err();
        oxide_core::cause::in_one_line(&error)
    }

    /// A server that gives this answer to every call.
    async fn answering(status: u16, body: String) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = (http::StatusCode::from_u16(status).unwrap(), body);
        let routes = Router::new().route("/internal/v1/call", post(move || std::future::ready(answer.clone())));
        tokio::spawn(async { axum::serve(listener, routes).await });
        url
    }

    #[tokio::test]
    async fn an_address_that_is_not_the_leaders_is_named_with_what_is_there() {
        let no_leader: Result<Reply, OrchestratorError> = Err(OrchestratorError::NoLeader);
        let another = answering(200, serde_json::to_string(&no_leader).unwrap()).await;
        let error = told(Some(another.clone())).await;
        assert!(error.contains(&another) && error.ends_with("the server at this address does not lead"), "{error}");
        let stranger = answering(403, "this is for servers of the same database".to_owned()).await;
        let error = told(Some(stranger.clone())).await;
        assert!(error.contains(&stranger) && error.contains("403"), "{error}");
        let web_site = answering(200, "<html>".to_owned()).await;
        assert!(told(Some(web_site.clone())).await.contains(&web_site));
        let nobody = told(Some("http://127.0.0.1:1".to_owned())).await;
        assert!(nobody.contains("http://127.0.0.1:1, could not be reached"), "{nobody}");
        assert_eq!(told(None).await, OrchestratorError::NoLeader.to_string());
    }
}

//! Agents, and the tokens with which they join.

use http::Method;
use oxide_core::{
    api::{
        agent::{Agent, CreatedAgentToken, DrainAgent, NewAgentToken},
        page::{Page, PageQuery},
    },
    id::AgentId,
};

use crate::{
    Client, ClientError,
    transport::{Body, with_query},
};

impl Client {
    /// The agents that joined.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn agents(&self, query: &PageQuery) -> Result<Page<Agent>, ClientError> {
        let url = with_query(self.transport.url(["agents"]), query);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// Lets an agent finish its jobs and take no more, or lets it take jobs again.
    ///
    /// # Errors
    /// There is none, the server cannot be reached, or says no.
    pub async fn drain_agent(&self, id: AgentId, drain: bool) -> Result<Agent, ClientError> {
        let url = self.transport.url(["agents", &id.to_string(), "drain"]);
        self.transport.json(Method::POST, url, Body::json(&DrainAgent { drain })).await
    }

    /// Takes an agent's credential away. Its jobs get new attempts.
    ///
    /// # Errors
    /// There is none, the server cannot be reached, or says no.
    pub async fn delete_agent(&self, id: AgentId) -> Result<(), ClientError> {
        let url = self.transport.url(["agents", &id.to_string()]);
        self.transport.json(Method::DELETE, url, Body::None).await
    }

    /// Makes a token with which one agent can join.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn create_agent_token(&self, token: &NewAgentToken) -> Result<CreatedAgentToken, ClientError> {
        let url = self.transport.url(["agent-tokens"]);
        self.transport.json(Method::POST, url, Body::json(token)).await
    }
}

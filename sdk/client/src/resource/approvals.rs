//! Stages that wait for people.

use http::Method;
use oxide_core::{
    api::{
        approval::{Approval, ApprovalQuery, NewVote},
        page::Page,
    },
    id::ApprovalId,
};

use crate::{
    Client, ClientError,
    transport::{Body, with_query},
};

impl Client {
    /// Approvals, newest first.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn approvals(&self, query: &ApprovalQuery) -> Result<Page<Approval>, ClientError> {
        let url = with_query(self.transport.url(["approvals"]), query);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// Votes for or against.
    ///
    /// # Errors
    /// There is none or it has ended, the caller is no approver, the server cannot be reached, or says no.
    pub async fn vote(&self, id: ApprovalId, approve: bool, vote: &NewVote) -> Result<Approval, ClientError> {
        let word = if approve { "approve" } else { "reject" };
        let url = self.transport.url(["approvals", &id.to_string(), word]);
        self.transport.json(Method::POST, url, Body::json(vote)).await
    }
}

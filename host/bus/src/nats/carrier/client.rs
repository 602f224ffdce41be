//! The link of an agent that reaches its orchestrator over NATS.

use std::{fmt, time::Duration};

use async_nats::{Client, HeaderMap, Request, client::RequestErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{
    id::AgentId,
    protocol::{
        Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, LinkError, OrchestratorLink, Register, Report,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::JoinHandle;

use super::{
    parts::{self, LENGTH_MAX, Offer},
    wire::{CREDENTIAL, REQUEST, Status, message},
};
use crate::nats::Nats;

/// How long what is answered at once may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a lease, which the orchestrator holds open for 30 s.
const LEASE_PATIENCE: Duration = Duration::from_secs(30 + 10);
/// The same for a heartbeat, which it holds open for 10 s.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(10 + 10);

/// Why a message did not get through. All but a message that is too large may pass: the agent tries again.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// There is no connection.
    #[error("{0}")]
    NotConnected(String),
    /// The connection broke off while the agent waited.
    #[error("the connection to NATS broke off before `{message}` was answered")]
    Interrupted {
        /// The message.
        message: &'static str,
    },
    /// No server has subscribed.
    #[error("no server listens on `{subject}`; is one running with `oxide server --nats ADDRESS`, at the same NATS?")]
    NoServer {
        /// The subject.
        subject: String,
    },
    /// No answer came.
    #[error("no server answered `{message}` within {} s", patience.as_secs())]
    Silent {
        /// The message.
        message: &'static str,
        /// How long the agent waited.
        patience: Duration,
    },
    /// The message could not be sent.
    #[error("could not send `{message}` over NATS")]
    Send {
        /// The message.
        message: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The message is too large.
    #[error("`{message}` has {length} bytes; {LENGTH_MAX} are the most that are carried over NATS")]
    TooLarge {
        /// The message.
        message: &'static str,
        /// Its length.
        length: usize,
    },
    /// A server said that it cannot answer now.
    #[error("the server could not handle `{message}`: {reason}")]
    Answered {
        /// The message.
        message: &'static str,
        /// Its words.
        reason: String,
    },
    /// What came is no answer of ours.
    #[error("the answer to `{message}` could not be read; are agent and server of the same version?")]
    Unreadable {
        /// The message.
        message: &'static str,
        /// Why, if it has our form at all.
        #[source]
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl From<CarrierError> for LinkError {
    fn from(error: CarrierError) -> LinkError {
        match error {
            CarrierError::TooLarge { .. } => LinkError::Rejected { reason: error.to_string() },
            _ => LinkError::Unavailable(Box::new(error)),
        }
    }
}

/// The carrier as an agent sees it. Cheap to clone.
#[derive(Clone)]
pub struct CarrierClient {
    nats: Nats,
    credential: String,
}

impl fmt::Debug for CarrierClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarrierClient").field("nats", &self.nats.servers()).finish_non_exhaustive()
    }
}

impl CarrierClient {
    /// The link of the agent that has this credential.
    pub fn new(nats: Nats, credential: impl Into<String>) -> CarrierClient {
        CarrierClient { nats, credential: credential.into() }
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        message: &'static str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<A, LinkError> {
        // Else it would wait in the client, and be sent when nobody wants it any more.
        if let Some(problem) = self.nats.problem() {
            return Err(CarrierError::NotConnected(problem).into());
        }
        let mut interruptions = self.nats.interruptions();
        tokio::select! {
            answer = tokio::time::timeout(patience, self.exchange(message, body, patience)) => match answer {
                Ok(answer) => answer,
                Err(_) => Err(CarrierError::Silent { message, patience }.into()),
            },
            _ = interruptions.changed() => Err(CarrierError::Interrupted { message }.into()),
        }
    }

    async fn exchange<A: DeserializeOwned>(
        &self,
        message: &'static str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<A, LinkError> {
        let client = self.nats.client();
        let subject = self.nats.subjects().agent(message);
        let payload = serde_json::to_vec(body).map_err(|cause| CarrierError::Send { message, cause: cause.into() })?;
        let mut headers = HeaderMap::new();
        headers.insert(CREDENTIAL, self.credential.as_str());
        let under_way = UnderWay::new(&self.nats);
        headers.insert(REQUEST, under_way.id.as_str());
        let (payload, _offer) = self.fit(message, payload.into(), &mut headers).await?;
        let request = Request::new().payload(payload).headers(headers).timeout(Some(patience));
        let answer = client.send_request(subject.clone(), request).await.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => CarrierError::NoServer { subject },
            RequestErrorKind::TimedOut => CarrierError::Silent { message, patience },
            _ => CarrierError::Send { message, cause: Box::new(error) },
        })?;
        let unreadable = |cause| CarrierError::Unreadable { message, cause };
        let status = Status::read(answer.headers.as_ref()).ok_or_else(|| unreadable(None))?;
        let ours = self.nats.subjects().agent("part.");
        let offered_by_server = |subject: &str| subject.starts_with(&ours);
        let payload = parts::whole(client, answer.headers.as_ref(), answer.payload, offered_by_server).await;
        let payload = payload.map_err(|cause| unreadable(Some(Box::new(cause))))?;
        under_way.has_ended();
        let reason = || String::from_utf8_lossy(&payload).into_owned();
        match status {
            Status::Ok => Ok(serde_json::from_slice(&payload).map_err(|cause| unreadable(Some(Box::new(cause))))?),
            Status::Unavailable => Err(CarrierError::Answered { message, reason: reason() }.into()),
            Status::Rejected => Err(LinkError::Rejected { reason: reason() }),
            Status::Refused => Err(LinkError::Refused { reason: reason() }),
        }
    }

    /// The payload if it fits into one message; else it is offered until the second value is dropped.
    async fn fit(
        &self,
        message: &'static str,
        payload: Bytes,
        headers: &mut HeaderMap,
    ) -> Result<(Bytes, Option<Serving>), CarrierError> {
        let (client, length) = (self.nats.client(), payload.len());
        if length <= parts::room(client) {
            return Ok((payload, None));
        }
        if length > LENGTH_MAX {
            return Err(CarrierError::TooLarge { message, length });
        }
        let offer = Offer::make(client, client.new_inbox(), payload, headers).await;
        let offer = offer.map_err(|cause| CarrierError::Send { message, cause: Box::new(cause) })?;
        Ok((Bytes::new(), Some(Serving(tokio::spawn(offer.serve())))))
    }
}

/// An offer that ends with the request.
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request whose answer is awaited. If it is dropped before, the server is told: else it would give a job to nobody.
struct UnderWay {
    id: String,
    client: Client,
    forget: String,
    awaited: bool,
}

impl UnderWay {
    fn new(nats: &Nats) -> UnderWay {
        let inbox = nats.client().new_inbox();
        let id = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        let forget = nats.subjects().agent(message::FORGET);
        UnderWay { id, client: nats.client().clone(), forget, awaited: true }
    }

    fn has_ended(mut self) {
        self.awaited = false;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.awaited {
            let (client, subject, id) = (self.client.clone(), self.forget.clone(), self.id.clone());
            runtime.spawn(async move {
                // If it does not arrive, the server lets go when the poll ends.
                let _ = client.publish(subject, id.into()).await;
            });
        }
    }
}

#[async_trait]
impl OrchestratorLink for CarrierClient {
    async fn register(&self, message: Register) -> Result<(), LinkError> {
        self.ask(message::REGISTER, &message, PATIENCE).await
    }

    async fn lease(&self, agent: AgentId) -> Result<Option<Box<Lease>>, LinkError> {
        self.ask(message::LEASE, &agent, LEASE_PATIENCE).await
    }

    async fn report(&self, message: Report) -> Result<Acknowledgement, LinkError> {
        self.ask(message::REPORT, &message, PATIENCE).await
    }

    async fn heartbeat(&self, message: Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        self.ask(message::HEARTBEAT, &message, HEARTBEAT_PATIENCE).await
    }

    async fn complete(&self, message: Complete) -> Result<Acknowledgement, LinkError> {
        self.ask(message::COMPLETE, &message, PATIENCE).await
    }
}

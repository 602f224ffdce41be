//! Events, as they happen: as server-sent events, and by a WebSocket whose channels can change.

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode, header};
use oxide_core::api::event::{ChannelMessage, ClientMessage, EventPayload, EventQuery, ServerMessage};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use super::logs::read;
use crate::{Client, ClientError, follow::Follow, transport::with_query};

/// Events from a number on, without gaps. Goes on where it was cut.
#[derive(Debug)]
pub struct EventStream {
    follow: Follow,
}

impl Client {
    /// The events that the query names. Goes on where it was cut when the server comes back.
    pub fn follow_events(&self, query: &EventQuery) -> EventStream {
        let url = with_query(self.transport.url(["events"]), query);
        EventStream { follow: Follow::new(self.transport.clone(), url, None) }
    }

    /// Opens a WebSocket. No events come before [`Subscription::send`] asks for channels.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn subscribe(&self) -> Result<Subscription, ClientError> {
        let mut url = self.transport.url(["ws"]);
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).expect("both are schemes with a host");
        let unreachable = |cause: tungstenite::Error| match cause {
            tungstenite::Error::Http(response) => {
                let body = response.body().clone().unwrap_or_default();
                crate::transport::refusal(&url, response.status(), &body)
            }
            cause => ClientError::Unreachable { url: url.to_string(), cause: Box::new(cause) },
        };
        let mut request = url.as_str().into_client_request().map_err(unreachable)?;
        if let Some(token) = self.transport.token() {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::Address {
                url: url.to_string(),
                problem: "the token has characters that no token has".to_owned(),
            })?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.map_err(unreachable)?;
        Ok(Subscription { url: url.to_string(), socket })
    }
}

impl EventStream {
    /// The next event.
    ///
    /// # Errors
    /// The server says no, or is away for ten minutes.
    pub async fn next(&mut self) -> Result<Option<EventPayload>, ClientError> {
        match self.follow.next().await? {
            Some(event) => read(&event).map(Some),
            None => Ok(None),
        }
    }
}

/// What comes by a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// An event.
    Event(Box<ChannelMessage>),
    /// An answer to what was said.
    Said(ServerMessage),
}

/// An open WebSocket. It ends with the connection: begin again with the number of the last event.
#[derive(Debug)]
pub struct Subscription {
    url: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Subscription {
    /// Says which channels are wanted.
    ///
    /// # Errors
    /// The connection is cut.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), ClientError> {
        let text = serde_json::to_string(message).expect("messages have text keys and no failing serializers");
        let sent = self.socket.send(Message::text(text)).await;
        sent.map_err(|cause| ClientError::Unreachable { url: self.url.clone(), cause: Box::new(cause) })
    }

    /// What comes next; none when the server has ended the connection.
    ///
    /// # Errors
    /// The connection is cut, or what comes is none of this API.
    pub async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        while let Some(message) = self.socket.next().await {
            let unreachable = |cause| ClientError::Unreachable { url: self.url.clone(), cause: Box::new(cause) };
            let Message::Text(text) = message.map_err(unreachable)? else { continue };
            let event = serde_json::from_str(&text).map(|event| Received::Event(Box::new(event)));
            return match event.or_else(|_| serde_json::from_str(&text).map(Received::Said)) {
                Ok(received) => Ok(Some(received)),
                Err(cause) => Err(ClientError::Foreign {
                    url: self.url.clone(),
                    status: StatusCode::SWITCHING_PROTOCOLS,
                    problem: cause.to_string(),
                }),
            };
        }
        Ok(None)
    }
}

//! Follows a stream of server-sent events across cuts: connects again behind the last event that arrived.

use std::{collections::VecDeque, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Response, Url};

use crate::{
    ClientError,
    sse::{SseEvent, SseReader},
    transport::Transport,
};

/// A stream without a sign of life for so long is cut: servers send a comment every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The pause before connecting again; doubled up to [`PAUSE_MAX`] while it does not help.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a server may be away before the stream is given up.
const AWAY_MAX: Duration = Duration::from_secs(600);

/// An endless stream of events.
#[derive(Debug)]
pub(crate) struct Follow {
    transport: Transport,
    url: Url,
    last_id: Option<String>,
    connection: Option<(Response, SseReader)>,
    ready: VecDeque<SseEvent>,
    pause: Duration,
    away: Duration,
}

impl Follow {
    pub(crate) fn new(transport: Transport, url: Url, last_id: Option<String>) -> Follow {
        let away = Duration::ZERO;
        Follow { transport, url, last_id, connection: None, ready: VecDeque::new(), pause: PAUSE, away }
    }

    /// The next event; none when the server says that there will be no more (204). What arrived once does not arrive again. May
    /// be dropped while it waits.
    ///
    /// # Errors
    /// The server says no, or is away for ten minutes.
    pub(crate) async fn next(&mut self) -> Result<Option<SseEvent>, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.last_id.clone_from(&event.id);
                return Ok(Some(event));
            }
            let Some((response, reader)) = &mut self.connection else {
                if !self.connect().await? {
                    return Ok(None);
                }
                continue;
            };
            match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
                Ok(Ok(Some(bytes))) => match reader.take(&bytes) {
                    Ok(events) => {
                        (self.pause, self.away) = (PAUSE, Duration::ZERO);
                        self.ready.extend(events);
                    }
                    Err(problem) => {
                        let (url, status) = (self.url.to_string(), StatusCode::OK);
                        return Err(ClientError::Foreign { url, status, problem: problem.to_string() });
                    }
                },
                Ok(Ok(None) | Err(_)) | Err(_) => self.connection = None,
            }
        }
    }

    /// Connects behind the last event. False if there will be no more.
    async fn connect(&mut self) -> Result<bool, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(id) = self.last_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert("last-event-id", id);
        }
        match self.transport.stream(self.url.clone(), headers).await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => Ok(false),
            Ok(response) => {
                self.connection = Some((response, SseReader::default()));
                // A server that ends every stream at once is not asked without a pause.
                self.wait().await;
                Ok(true)
            }
            Err(error) if error.is_passing() && self.away < AWAY_MAX => {
                self.wait().await;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    async fn wait(&mut self) {
        if self.away > Duration::ZERO || self.connection.is_none() {
            tokio::time::sleep(self.pause).await;
        }
        self.away += self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

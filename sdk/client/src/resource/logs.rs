//! Logs of runs, as they grow.

use http::Method;
use oxide_core::{
    api::{
        log::{LogEnd, LogLine, LogLines, LogQuery},
        page::Page,
    },
    id::RunId,
};
use serde::de::DeserializeOwned;

use crate::{
    Client, ClientError,
    follow::Follow,
    sse::SseEvent,
    transport::{Body, with_query},
};

/// A piece of a log.
#[derive(Clone, Debug, PartialEq)]
pub enum LogPart {
    /// Neighbouring lines of one step.
    Lines(LogLines),
    /// There will be no more.
    End(LogEnd),
}

/// A log from its first line on, followed while the run goes on.
#[derive(Debug)]
pub struct LogStream {
    follow: Follow,
    ended: bool,
}

impl Client {
    /// Lines of the log of a run as it is now, from line 1 on.
    ///
    /// # Errors
    /// There is no such run, the server cannot be reached, or says no.
    pub async fn logs(&self, run: RunId, query: &LogQuery) -> Result<Page<LogLine>, ClientError> {
        let url = with_query(self.transport.url(["runs", &run.to_string(), "logs"]), query);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// The log of a run, or of the part of it that the query names, from line 1 on. Goes on where it was cut when the server
    /// comes back.
    pub fn follow_logs(&self, run: RunId, query: &LogQuery) -> LogStream {
        let url = with_query(self.transport.url(["runs", &run.to_string(), "logs", "stream"]), query);
        LogStream { follow: Follow::new(self.transport.clone(), url, None), ended: false }
    }
}

impl LogStream {
    /// The next piece; none after the end.
    ///
    /// # Errors
    /// The server says no, or is away for ten minutes.
    pub async fn next(&mut self) -> Result<Option<LogPart>, ClientError> {
        while !self.ended {
            let Some(event) = self.follow.next().await? else {
                self.ended = true;
                return Ok(None);
            };
            match event.event.as_deref() {
                Some("lines") => return Ok(Some(LogPart::Lines(read(&event)?))),
                Some("end") => {
                    self.ended = true;
                    return Ok(Some(LogPart::End(read(&event)?)));
                }
                // A newer server may say more.
                _ => {}
            }
        }
        Ok(None)
    }
}

pub(super) fn read<T: DeserializeOwned>(event: &SseEvent) -> Result<T, ClientError> {
    serde_json::from_str(&event.data).map_err(|cause| ClientError::Foreign {
        url: "a stream of events".to_owned(),
        status: http::StatusCode::OK,
        problem: cause.to_string(),
    })
}

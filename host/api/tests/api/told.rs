//! What a server tells by server-sent events, read one by one.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value as Json;

use crate::support::TestServer;

const PATIENCE: Duration = Duration::from_secs(60);

/// A stream of server-sent events.
pub struct Told {
    stream: Response,
    rest: String,
}

/// One of them.
pub struct ServerSent {
    pub event: String,
    pub id: String,
    pub data: Json,
}

impl Told {
    pub async fn open(server: &TestServer, path: &str, token: &str) -> Told {
        let request = server.request(Method::GET, path).bearer_auth(token).timeout(Duration::from_secs(300));
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200, "{path}");
        Told { stream, rest: String::new() }
    }

    /// The next one, without the signs of life between them.
    pub async fn next(&mut self) -> ServerSent {
        loop {
            while let Some(end) = self.rest.find("\n\n") {
                let block: String = self.rest.drain(..end + 2).collect();
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                    line.unwrap_or_default().trim_start().to_owned()
                };
                if block.lines().any(|line| line.starts_with("data")) {
                    let data = serde_json::from_str(&field("data")).unwrap();
                    return ServerSent { event: field("event"), id: field("id"), data };
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.stream.chunk()).await.expect("it comes").unwrap();
            self.rest.push_str(std::str::from_utf8(&chunk.expect("the stream goes on")).unwrap());
        }
    }

    /// The next one of a kind that begins with this.
    pub async fn next_of(&mut self, kind: &str) -> ServerSent {
        loop {
            let sent = self.next().await;
            if sent.event.starts_with(kind) {
                return sent;
            }
        }
    }
}

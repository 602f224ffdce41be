//! The way to an orchestrator of a test over HTTP, as small as it can be: keeps connections open, and checks who asks.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use oxide_core::{
    id::AgentId,
    protocol::{LinkError, OrchestratorLink},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::MemoryLink;

/// A server of HTTP on this machine; it ends with the runtime of the test.
pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

struct Shared {
    link: Arc<MemoryLink>,
    connections: AtomicUsize,
    /// The tokens that were not used yet.
    tokens: Mutex<Vec<String>>,
    agent: AgentId,
}

/// What an agent shows that has joined.
pub(crate) const CREDENTIAL: &str = "oxide_agt_good";

impl HttpServer {
    /// Agents join with the token `oxide_reg_good`, and get this id.
    pub(crate) async fn start(link: Arc<MemoryLink>, agent: AgentId) -> HttpServer {
        HttpServer::start_at("127.0.0.1:0", link, agent).await
    }

    pub(crate) async fn start_at(address: &str, link: Arc<MemoryLink>, agent: AgentId) -> HttpServer {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tokens = Mutex::new(vec!["oxide_reg_good".to_owned()]);
        let shared = Arc::new(Shared { link, connections: AtomicUsize::new(0), tokens, agent });
        let for_connections = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            // Ends all connections when it is ended.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                for_connections.connections.fetch_add(1, SeqCst);
                connections.spawn(serve(stream, Arc::clone(&for_connections)));
            }
        });
        HttpServer { address, shared, listening }
    }

    /// Ends as if its process was killed: nobody listens, and all connections break off.
    pub(crate) async fn die(&mut self) {
        self.listening.abort();
        let _ = (&mut self.listening).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Some((path, credential, body)) = read_request(&mut stream).await {
        let (status, answer) = tokio::select! {
            answer = answer(&shared, &path, &credential, &body) => answer,
            // Whoever asked is gone: a job must not be given to it.
            _ = stream.fill_buf() => return,
        };
        let body = if answer.is_null() && status == 204 { Vec::new() } else { serde_json::to_vec(&answer).unwrap() };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        let stream = stream.get_mut();
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")))?;
        Some(line[name.len() + 2..].to_owned())
    };
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some((head.split(' ').nth(1)?.to_owned(), header("authorization").unwrap_or_default(), body))
}

async fn answer(shared: &Shared, path: &str, credential: &str, body: &[u8]) -> (u16, Json) {
    let link = &*shared.link;
    let message = path.strip_prefix("/prefix").unwrap_or(path).strip_prefix("/api/v1/agent/").unwrap_or(path);
    if message == "join" {
        let asked: Json = read(body);
        let mut tokens = shared.tokens.lock().unwrap();
        let known = tokens.iter().position(|token| asked["token"] == token.as_str());
        return match known {
            Some(index) => {
                tokens.remove(index);
                (201, json!({"id": shared.agent, "credential": CREDENTIAL}))
            }
            None => (403, json!({"error": "forbidden", "message": "the token is unknown or was used"})),
        };
    }
    if credential != format!("Bearer {CREDENTIAL}") {
        return (401, json!({"error": "unauthorized", "message": "the credential is not known"}));
    }
    match message {
        "register" => told(link.register(read(body)).await),
        "lease" => told(link.lease(read::<Json>(body)["agent"].as_str().unwrap().parse().unwrap()).await),
        "report" => told(link.report(read(body)).await),
        "heartbeat" => told(link.heartbeat(read(body)).await),
        "complete" => told(link.complete(read(body)).await),
        _ => (404, json!({"message": "there is nothing here"})),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).expect("agents send what they promise")
}

fn told<T: Serialize>(answer: Result<T, LinkError>) -> (u16, Json) {
    match answer {
        Ok(answer) => {
            let json = serde_json::to_value(answer).unwrap();
            (if json.is_null() { 204 } else { 200 }, json)
        }
        Err(LinkError::Refused { reason }) => (403, json!({"message": reason})),
        Err(LinkError::Rejected { reason }) => (422, json!({"message": reason})),
        Err(error) => (503, json!({"message": error.to_string()})),
    }
}

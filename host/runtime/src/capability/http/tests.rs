//! Requests to a real server, and requests that never leave.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use oxide_core::{
    plugin::Capability,
    secret::{Placeholders, SecretValue},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Mutex,
};

use super::{
    body::{NoSecrets, PluginBody, RequestBody, Secrets},
    bounds::Bounds,
    error::HttpError,
    exchange::Sender,
};
use crate::{
    reach::{Reach, Refusal, tests::reach},
    web::{Responder, WebRequest, WebResponse},
};

/// A server that answers every connection with the same bytes; `{pause}` in them is a pause of a second, and after `{silence}`
/// nothing more comes.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn new(answer: &'static str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !is_whole(&request) && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
                    seen.lock().await.push(String::from_utf8_lossy(&request).into_owned());
                    for (at, part) in answer.split("{pause}").enumerate() {
                        if at > 0 {
                            tokio::time::sleep(Duration::from_secs(1)).await;
                        }
                        let (said, silence) =
                            part.split_once("{silence}").map_or((part, false), |(said, _)| (said, true));
                        stream.write_all(said.as_bytes()).await.ok();
                        if silence {
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
        });
        Server { port, requests }
    }

    async fn seen(&self) -> String {
        self.requests.lock().await.join("\n---\n")
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    match length {
        Some(length) => body.len() >= length,
        None => !head.contains("chunked") || body.ends_with("0\r\n\r\n"),
    }
}

fn sender(rules: &[&str], names: &[(&'static str, &'static str)], secret: Option<&str>, bounds: Bounds) -> Sender {
    let value = |text: &str| ("TOKEN".to_owned(), SecretValue::new(text).unwrap(), false);
    Sender::new(reach(Capability::Http, rules, names), Placeholders::new(secret.map(value), || 7), bounds)
}

/// May reach a server on this machine.
fn local(secret: Option<&str>, bounds: Bounds, port: u16) -> Sender {
    let local = sender(&[], &[("localhost", "127.0.0.1")], secret, bounds);
    let rules = reach(Capability::Http, &[&format!("localhost:{port}")], &[]).rules;
    Sender { reach: Reach { rules, ..local.reach.clone() }, ..local }
}

fn get(url: &str) -> Request<PluginBody> {
    Request::get(url).body(Empty::new().map_err(|never| match never {}).boxed_unsync()).unwrap()
}

/// A body that comes in these pieces.
fn pieces(texts: &[&str]) -> PluginBody {
    let frames: Vec<_> = texts.iter().map(|text| Ok(Frame::data(Bytes::from((*text).to_owned())))).collect();
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

async fn refused(sender: &Sender, request: Request<PluginBody>, bounds: Bounds) -> HttpError {
    match sender.send(request, bounds).await {
        Ok(answer) => panic!("the answer is {}", answer.response.status()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_secret_reaches_the_server_and_never_the_plugin() {
    let server =
        Server::new("HTTP/1.1 200 OK\r\nx-echo: hunter22\r\nconnection: close\r\n\r\nyou said hunt{pause}er22!").await;
    let sender = local(Some("hunter22"), Bounds::default(), server.port);
    let token = sender.secrets.iter().next().unwrap().placeholder.clone();
    let (one, two) = token.split_at(20);
    let url = format!("http://localhost:{}/?t={token}", server.port);
    let streamed = Request::post(&url).header("x-token", &token).header("accept-encoding", "gzip");
    let streamed = streamed.body(pieces(&["it is ", one, two, "!"])).unwrap();
    let answer = sender.send(streamed, Bounds::default()).await.unwrap();
    assert_eq!(answer.response.headers()["x-echo"], "***");
    let body = answer.response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "you said ***!");
    let seen = server.seen().await;
    for expected in
        ["POST /?t=hunter22 HTTP/1.1", "x-token: hunter22", "accept-encoding: identity", "\r\n8\r\nhunter22\r\n"]
    {
        assert!(seen.contains(expected), "{expected} is not in {seen}");
    }
    assert!(!seen.contains(&token[..20]), "{seen}");

    let text = format!("it is {token}!");
    let told = Request::post(&url).header("content-length", text.len());
    let told = told.body(Full::from(text).map_err(|never| match never {}).boxed_unsync()).unwrap();
    sender.send(told, Bounds::default()).await.unwrap();
    let seen = server.seen().await;
    assert!(seen.contains("content-length: 15\r\n") && seen.ends_with("\r\n\r\nit is hunter22!"), "{seen}");
}

#[tokio::test]
async fn a_request_that_is_refused_never_leaves() {
    let server = Server::new("HTTP/1.1 200 OK\r\n\r\n").await;
    let names = [("intern.example.org", "127.0.0.1"), ("public.example.org", "203.0.114.1")];
    let rules = [&format!("intern.example.org:{}", server.port), "public.example.org"];
    let sender = sender(&rules, &names, Some("hunter22"), Bounds::default());
    let token = sender.secrets.iter().next().unwrap().placeholder.clone();

    let error = refused(&sender, get(&format!("http://intern.example.org:{}/", server.port)), Bounds::default()).await;
    assert!(matches!(error, HttpError::Refused(Refusal::Private { .. })), "{error}");
    for host in ["127.0.0.1", "[::1]", "localhost", "intern.example.org."] {
        let error = refused(&sender, get(&format!("http://{host}/")), Bounds::default()).await;
        assert!(matches!(error, HttpError::Refused(Refusal::NotGranted { .. })), "{host}: {error}");
    }
    let error = refused(&sender, get(&format!("http://public.example.org/?t={token}")), Bounds::default()).await;
    assert_eq!(error, HttpError::SecretInClear("TOKEN".to_owned()));
    assert_eq!(server.seen().await, "");
}

#[tokio::test]
async fn what_is_too_long_or_too_slow_is_given_up() {
    let quick = Duration::from_millis(200);
    let url = |server: &Server| format!("http://localhost:{}/", server.port);

    let silent = Server::new("{silence}").await;
    let bounds = Bounds { first_byte: quick, ..Bounds::default() };
    let error = refused(&local(None, bounds, silent.port), get(&url(&silent)), bounds).await;
    assert_eq!(error, HttpError::ResponseTimeout(quick));

    let slow = Server::new("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf{silence}").await;
    let bounds = Bounds { between_bytes: quick, ..Bounds::default() };
    let answer = local(None, bounds, slow.port).send(get(&url(&slow)), bounds).await.unwrap();
    let error = answer.response.into_body().collect().await.unwrap_err();
    assert_eq!(error, HttpError::ResponseTimeout(quick));

    let bounds = Bounds { request_bytes: 10, response_bytes: 10, ..Bounds::default() };
    let long = Server::new("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world").await;
    let error = refused(&local(None, bounds, long.port), get(&url(&long)), bounds).await;
    assert_eq!(error, HttpError::LongResponse(10));

    let endless = Server::new("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello world").await;
    let sender = local(None, bounds, endless.port);
    let answer = sender.send(get(&url(&endless)), bounds).await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::OK);
    assert_eq!(answer.response.into_body().collect().await.unwrap_err(), HttpError::LongResponse(10));
    let post = || Request::post(url(&endless));
    let error = refused(&sender, post().body(pieces(&["hello ", "world"])).unwrap(), bounds).await;
    assert_eq!(error, HttpError::LongRequest(10));
    let error = refused(&sender, post().header("content-length", "11").body(pieces(&[])).unwrap(), bounds).await;
    assert_eq!(error, HttpError::LongRequest(10));
}

#[tokio::test]
async fn a_placeholder_where_no_value_can_be_put_ends_the_request() {
    let server = Server::new("HTTP/1.1 200 OK\r\n\r\n").await;
    let bounds = Bounds { kept_bytes: 10, ..Bounds::default() };
    let sender = local(Some("hunter22"), bounds, server.port);
    let text = sender.secrets.iter().next().unwrap().placeholder.clone();
    let url = format!("http://localhost:{}/", server.port);
    let request = Request::post(&url).header("content-length", text.len()).body(pieces(&[&text])).unwrap();
    assert_eq!(refused(&sender, request, bounds).await, HttpError::SecretInLongBody(10));
    let plain = Request::post(&url).header("content-length", 12).body(pieces(&["hello ", "world!"])).unwrap();
    assert!(sender.send(plain, bounds).await.is_ok(), "a long body without one passes");
}

#[tokio::test]
async fn a_secret_in_a_body_does_not_go_over_the_internet_unencrypted() {
    let sender = sender(&[], &[], Some("hunter22"), Bounds::default());
    let text = sender.secrets.iter().next().unwrap().placeholder.clone();
    let (one, two) = text.split_at(9);
    for (body, expected) in [
        (pieces(&["it is ", one, two]), Err(HttpError::SecretInClear("TOKEN".to_owned()))),
        (pieces(&["it is ", one, "none"]), Ok(())),
    ] {
        let secrets = Secrets::Refuse(Arc::clone(&sender.secrets), NoSecrets::InClear);
        let (body, _) = RequestBody::new(body, secrets, &Bounds::default());
        assert_eq!(body.collect().await.map(|_| ()), expected);
    }
}

#[tokio::test]
async fn only_so_many_requests_are_under_way_at_once() {
    let server = Server::new("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let bounds = Bounds { at_once: 1, ..Bounds::default() };
    let sender = local(None, bounds, server.port);
    let url = format!("http://localhost:{}/", server.port);
    let first = sender.send(get(&url), bounds).await.unwrap();
    assert_eq!(refused(&sender, get(&url), bounds).await, HttpError::TooMany(1));
    drop(first);
    assert!(sender.send(get(&url), bounds).await.is_ok());
}

/// Answers everything with what it was asked.
struct Echo;

#[async_trait::async_trait]
impl Responder for Echo {
    async fn respond(&self, request: WebRequest) -> Result<WebResponse, String> {
        if request.url.ends_with("/gone") {
            return Err("nobody is there".to_owned());
        }
        let headers = request.headers.into_iter().filter(|(name, _)| name.starts_with("x-")).collect();
        let body = [request.method.as_bytes(), b" ", request.url.as_bytes(), b" ", &request.body].concat();
        Ok(WebResponse { status: 201, headers, body: body.into() })
    }
}

#[tokio::test]
async fn a_responder_answers_in_the_place_of_the_network_and_nothing_else_changes() {
    let web = |rules: &[&str]| Sender {
        responder: Some(Arc::new(Echo)),
        ..sender(rules, &[], Some("hunter22"), Bounds::default())
    };
    let granted = web(&["api.example", "localhost:80"]);
    let token = granted.secrets.iter().next().unwrap().placeholder.clone();
    let request = |url: &str| Request::post(url).header("x-token", &token).body(pieces(&["it is ", &token])).unwrap();
    let answer = granted.send(request("https://api.example/x?a=b"), Bounds::default()).await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::CREATED);
    assert_eq!(answer.response.headers()["x-token"], "***", "it was filled in, and is masked");
    let body = answer.response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "POST https://api.example/x?a=b it is ***");
    let local = granted.send(request("http://localhost/"), Bounds::default()).await.unwrap();
    assert_eq!(local.response.status(), StatusCode::CREATED, "who writes `localhost` means this machine");

    let open = refused(&web(&["api.example"]), request("http://api.example/"), Bounds::default()).await;
    assert_eq!(open, HttpError::SecretInClear("TOKEN".to_owned()));
    let other = refused(&granted, get("https://evil.example/"), Bounds::default()).await;
    assert!(matches!(other, HttpError::Refused(Refusal::NotGranted { .. })), "{other:?}");
    let gone = refused(&granted, get("https://api.example/gone"), Bounds::default()).await;
    assert_eq!(gone, HttpError::NoResponse("nobody is there".to_owned()));
}

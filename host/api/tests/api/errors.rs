//! Every error has the same body, whatever went wrong, and says what to do.

use std::time::Duration;

use oxide_core::api::error::{ErrorBody, ErrorKind};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Answer, TestServer};

#[track_caller]
fn error(answer: &Answer, kind: ErrorKind) -> ErrorBody {
    assert_eq!(answer.status.as_u16(), kind.status(), "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    let body: ErrorBody = serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    assert_eq!(body.error, kind);
    assert!(!body.message.is_empty() && body.timestamp.0 > 0);
    assert!(!answer.header("x-request-id").is_empty());
    body
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let server = TestServer::start().await;
    let body = error(&server.get("/api/v1/projcts", "").await, ErrorKind::NotFound);
    assert!(body.suggestions.iter().any(|text| text.contains("/api/v1/projects")), "{body:?}");
    let answer = server.ask("DELETE", "/api/v1/projects", "", None).await;
    let body = error(&answer, ErrorKind::MethodNotAllowed);
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    assert!(body.suggestions[0].contains("GET, HEAD, POST"));
    error(&server.ask("TRACE", "/api/v1/health", "", None).await, ErrorKind::MethodNotAllowed);
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let post = async |media: Option<&str>, body: String| {
        let mut request = server.request(reqwest::Method::POST, "/api/v1/projects").bearer_auth(&admin).body(body);
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        server.send(request).await
    };
    let json = Some("application/json");
    let body = error(&post(json, "{\n  \"name\": oops }".into()).await, ErrorKind::BadRequest);
    assert_eq!(body.details.as_deref(), Some("line 2, column 11"));
    error(&post(json, String::new()).await, ErrorKind::BadRequest);
    let body = error(&post(json, "{\n \"name\": 7 }".into()).await, ErrorKind::Invalid);
    assert!(body.details.unwrap().starts_with("line 2, column "));
    let body = error(&post(json, r#"{"name": "a", "nam": 1}"#.into()).await, ErrorKind::Invalid);
    assert!(body.message.contains("`nam`") && body.message.contains("`description`"), "{}", body.message);
    error(&post(json, r#"{"name": "a b"}"#.into()).await, ErrorKind::Invalid);
    let body = error(&post(Some("text/plain"), "{}".into()).await, ErrorKind::UnsupportedMediaType);
    assert!(body.suggestions[0].contains("application/json"));
    error(&post(None, "{}".into()).await, ErrorKind::UnsupportedMediaType);
    error(&post(json, "[".repeat(2000)).await, ErrorKind::Invalid);
    error(&post(json, " ".repeat((1 << 20) + 1)).await, ErrorKind::TooLarge);
    post(Some("application/json; charset=utf-8"), json!({ "name": "web" }).to_string()).await.expect(201);
    let body = error(&post(json, json!({ "name": "web" }).to_string()).await, ErrorKind::Conflict);
    assert!(body.message.contains("web"), "{body:?}");
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..20 {
        // The server may have answered and closed by now.
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = TestServer::start_with(|settings| settings.body_silence = Duration::from_millis(200)).await;
    let admin = server.admin().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    ended.expect("the server answers by itself").unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn parameters_of_the_query() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let body = error(&server.get("/api/v1/projects?limt=3", &admin).await, ErrorKind::BadRequest);
    assert!(body.message.contains("`limt`") && body.suggestions[0].contains("`limit`"));
    for wrong in ["limit=0", "limit=201", "limit=x", "limit=-1", "cursor=nonsense"] {
        error(&server.get(&format!("/api/v1/projects?{wrong}"), &admin).await, ErrorKind::BadRequest);
    }
    error(&server.get("/api/v1/health?x=1", "").await, ErrorKind::BadRequest);
}

#[tokio::test]
async fn lists_come_in_pages_and_tags_save_sending_them_again() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for number in 0..7 {
        server.post("/api/v1/projects", &admin, &json!({ "name": format!("p{number}") })).await.expect(201);
    }
    let (mut names, mut path) = (Vec::new(), "/api/v1/projects?limit=3".to_owned());
    loop {
        let page = server.get(&path, &admin).await.expect(200).json();
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/projects?limit=3&cursor={cursor}");
    }
    assert_eq!(names, (0..7).map(|number| format!("p{number}")).collect::<Vec<_>>());
    let first = server.get("/api/v1/projects/p1", &admin).await.expect(200);
    let tag = first.header("etag").to_owned();
    let get = |tag: &str| {
        server.request(reqwest::Method::GET, "/api/v1/projects/p1").bearer_auth(&admin).header("if-none-match", tag)
    };
    let again = server.send(get(&tag)).await.expect(304);
    assert!(again.text.is_empty() && again.header("etag") == tag);
    let change = |tag: &str, text: &str| {
        server
            .request(reqwest::Method::PATCH, "/api/v1/projects/p1")
            .bearer_auth(&admin)
            .header("if-match", tag)
            .header("content-type", "application/json")
            .body(json!({ "description": text }).to_string())
    };
    let changed = server.send(change(&tag, "new")).await.expect(200);
    assert_eq!(changed.json()["description"], "new");
    error(&server.send(change(&tag, "newer")).await, ErrorKind::PreconditionFailed);
    server.send(get(&tag)).await.expect(200);
    let head = server.send(server.request(reqwest::Method::HEAD, "/api/v1/projects/p1").bearer_auth(&admin)).await;
    assert!(head.expect(200).text.is_empty());
}

#[tokio::test]
async fn answers_are_safe_to_show() {
    let server = TestServer::start().await;
    for path in ["/api/v1/health", "/docs", "/nowhere"] {
        let answer = server.get(path, "").await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert!(answer.header("strict-transport-security").is_empty());
    }
    let given = server.request(reqwest::Method::GET, "/api/v1/health").header("x-request-id", "0123456789abc");
    assert_eq!(server.send(given).await.header("x-request-id"), "0123456789abc");
    let wrong = server.request(reqwest::Method::GET, "/api/v1/health").header("x-request-id", "a b<script>");
    assert!(!server.send(wrong).await.header("x-request-id").contains('<'));
}

#[tokio::test]
async fn a_panic_is_an_error_that_tells_nothing() {
    let server = TestServer::start().await;
    let broken = axum::Router::new().route("/broken", axum::routing::get(|| async { panic_with("internals") }));
    let router = oxide_api::route::router::router(&server.state, Vec::new(), broken);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/broken", listener.local_addr().unwrap());
    let bounds = oxide_registry::server::connection::Bounds::default();
    let task = tokio::spawn(oxide_api::server::serve(listener, router, bounds, std::future::pending()));
    for _ in 0..2 {
        let answer = server.send(server.http.get(&url)).await;
        error(&answer, ErrorKind::Internal);
        assert!(!answer.text.contains("internals"));
    }
    task.abort();
}

fn panic_with(text: &str) -> &'static str {
    panic!("{text}")
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_blocks_nobody() {
    let server = TestServer::start().await;
    let mut half = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost:").await.unwrap();
        half.push(stream);
    }
    server.get("/api/v1/health", "").await.expect(200);
}

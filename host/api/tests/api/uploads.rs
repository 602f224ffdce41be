//! Pipelines as they arrive: in three forms, up to 10 MB, and nothing that says it is something else.

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Answer, TestServer};

const PIPELINE: &str =
    "version: \"1\"\nname: p\nstages:\n  a:\n    environment: host\n    steps:\n      - run: echo a\n";

/// A pipeline of this many bytes: most of it comments.
fn of_bytes(bytes: usize) -> String {
    let line = format!("# {}\n", "what nobody needs to know ".repeat(30));
    let mut text = PIPELINE.to_owned();
    while text.len() + line.len() < bytes {
        text.push_str(&line);
    }
    let rest = bytes - text.len();
    text.push_str(&"#".repeat(rest));
    text
}

/// A form with the pipeline as a file of this type.
fn form(kind: &str, text: &str) -> String {
    format!(
        "--x\r\nContent-Disposition: form-data; name=\"pipeline\"; filename=\"oxide.yaml\"\r\nContent-Type: {kind}\r\n\r\n\
         {text}\r\n--x--\r\n"
    )
}

async fn upload(server: &TestServer, admin: &str, name: &str, kind: &str, body: String) -> Answer {
    let path = format!("/api/v1/pipelines?project=web&name={name}");
    let request = server.request(Method::POST, &path).bearer_auth(admin);
    server.send(request.header("content-type", kind).body(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_of_almost_ten_megabytes_is_stored_in_every_form() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.project("web").await;
    let text = of_bytes(9_900_000);
    let as_json = json!({ "source": text, "project": "web" }).to_string();
    let forms = [
        ("yaml", "application/yaml", text.clone()),
        ("json", "application/json", as_json),
        ("form", "multipart/form-data; boundary=x", form("application/yaml", &text)),
    ];
    for (name, kind, body) in forms {
        let made = upload(&server, &admin, name, kind, body).await.expect(201).json();
        let read = server.get(&format!("/api/v1/pipelines/{}", made["id"].as_str().unwrap()), &admin).await.expect(200);
        assert!(read.json()["source"] == text.as_str(), "{name}: the text is another one");
        assert!(!read.header("etag").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_ten_megabytes_are_refused_before_they_are_sent() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.project("web").await;
    for kind in ["application/yaml", "application/json", "multipart/form-data; boundary=x"] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /api/v1/pipelines?project=web HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {admin}\r\nContent-Type: {kind}\r\n\
             Content-Length: 10000001\r\nConnection: close\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), "HTTP/1.1 413", "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_no_pipeline() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.project("web").await;
    let form_type = "multipart/form-data; boundary=x";
    for (kind, body) in [("image/png", PIPELINE.to_owned()), (form_type, form("image/png", PIPELINE))] {
        let refused = upload(&server, &admin, "picture", kind, body).await.expect(415).json();
        assert_eq!(refused["error"], "unsupported_media_type");
        assert!(refused["suggestions"][0].is_string(), "{refused}");
    }
    for (name, kind) in [("a", "application/yaml"), ("b", "text/plain"), ("c", "application/octet-stream")] {
        upload(&server, &admin, name, form_type, form(kind, PIPELINE)).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_text_may_hold_is_bounded_and_told() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.project("web").await;
    let values = format!("{PIPELINE}env:\n{}", (0..60_000).map(|n| format!("  A{n}: b\n")).collect::<String>());
    let refused = upload(&server, &admin, "values", "application/yaml", values).await.expect(422).json();
    assert!(refused["message"].as_str().unwrap().contains("too large"), "{refused}");
    assert!(refused["suggestions"].to_string().contains("100000 values"), "{refused}");
    let lines = format!("{PIPELINE}{}", "\n".repeat(1_000_001));
    let refused = upload(&server, &admin, "lines", "application/yaml", lines).await.expect(422).json();
    assert!(refused["message"].as_str().unwrap().contains("a pipeline may have 1000000"), "{refused}");
}

//! What a registry does over connections that mean no good.

use std::time::Instant;

use oxide_blobs::Limits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

/// Serves a registry as `oxide registry serve` does, with immutable tags.
async fn served(folder: &tempfile::TempDir) -> std::net::SocketAddr {
    let settings = Settings {
        staging: folder.path().join("staging"),
        blob_bytes_max: 1 << 20,
        read_only: false,
        immutable_tags: true,
        users: None,
        everybody: Some(Right::Write),
        report: |line| panic!("the registry reports: {line}"),
    };
    let blobs = Blobs::open(&Location::Directory(folder.path().join("blobs")), Limits::default()).unwrap();
    let registry = Registry::open(&blobs, settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_guarded(listener, registry, std::future::pending()));
    address
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn other_hosts_are_refused_on_this_machine() {
    let folder = tempfile::TempDir::new().unwrap();
    let address = served(&folder).await;
    let get = async |host: &str| ask(address, &format!("GET /v2/ HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).await;
    assert!(get(&format!("Host: {address}\r\n")).await.starts_with("HTTP/1.1 200"));
    assert!(get("Host: localhost:1\r\n").await.starts_with("HTTP/1.1 200"));
    for evil in ["Host: evil.example\r\n", "Host: localhost\r\nHost: evil.example\r\n", ""] {
        let answer = get(evil).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("DENIED"), "{answer}");
    }
}

#[tokio::test]
async fn blobs_stay_where_tags_do() {
    let folder = tempfile::TempDir::new().unwrap();
    let address = served(&folder).await;
    let digest = Digest::of(b"{}");
    let begun = format!("POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: localhost\r\n");
    let pushed = ask(address, &format!("{begun}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}")).await;
    assert!(pushed.starts_with("HTTP/1.1 201"), "{pushed}");
    let path = format!("/v2/a/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let refused = ask(address, &format!("DELETE {path}")).await;
    assert!(refused.starts_with("HTTP/1.1 405") && refused.contains("oxide registry gc"), "{refused}");
    // The body of a blob comes whole, with its length.
    let there = ask(address, &format!("GET {path}")).await;
    assert!(there.contains("content-length: 2\r\n") && there.ends_with("\r\n\r\n{}"), "{there}");
}

#[tokio::test]
async fn half_a_head_ends_and_a_kept_connection_stays() {
    let folder = tempfile::TempDir::new().unwrap();
    let address = served(&folder).await;
    let began = Instant::now();
    let mut slow = TcpStream::connect(address).await.unwrap();
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    slow.write_all(b"GET /v2/ HTTP/1.1\r\n").await.unwrap();
    // Bytes that trickle in gain no time.
    let trickle = async {
        while slow.write_all(b"A: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        began.elapsed()
    };
    let slow = timeout(Duration::from_secs(50), trickle).await.unwrap();
    assert!(slow >= Duration::from_secs(9), "{slow:?}");
    // The one that asked properly is still there, and its next head has its own time.
    let mut answer = vec![0; 4096];
    let _ = kept.read(&mut answer).await.unwrap();
    kept.write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let count = kept.read(&mut answer).await.unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
}

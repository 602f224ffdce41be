//! What registries may answer and ours do not: redirects, token servers, refusals, answers without end. Each server of these
//! stories answers from a list; the stories with a real registry are in `tests/end_to_end`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::oci::ServerLogin;

/// A server that gives the answer of its rule to each request, and remembers the requests.
struct Server {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the head of a request and how many came before; it writes a whole answer.
    async fn new(answer: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server { address: listener.local_addr().unwrap().to_string(), seen: Arc::default() };
        let (seen, answer) = (Arc::clone(&server.seen), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(head.clone());
                        seen.len() - 1
                    };
                    let _ = stream.write_all(answer(&head, before).as_bytes()).await;
                });
            }
        });
        server
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn repository(&self) -> Repository {
        Repository::parse(&format!("{}/acme/lint", self.address)).unwrap()
    }
}

/// An answer that ends its connection.
fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

/// A client with an account for these registries.
fn client(registries: &[&Server]) -> (tempfile::TempDir, Client) {
    client_with(registries, Vec::new())
}

/// The same, signed in at these servers.
fn client_with(registries: &[&Server], logins: Vec<ServerLogin>) -> (tempfile::TempDir, Client) {
    // Whoever is slower than usual is not asked again.
    client_that_waits(registries, logins, Duration::from_secs(60))
}

/// The same, and registries may be silent for so long.
fn client_that_waits(
    registries: &[&Server],
    logins: Vec<ServerLogin>,
    silence: Duration,
) -> (tempfile::TempDir, Client) {
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("config.json");
    // `ada:word`
    let entries = registries.iter().map(|server| format!(r#""{}": {{"auth": "YWRhOndvcmQ="}}"#, server.address));
    let text = format!(r#"{{"auths": {{{}}}}}"#, entries.collect::<Vec<_>>().join(","));
    std::fs::write(&accounts, text).unwrap();
    let settings = ClientSettings {
        reach: crate::oci::Reach::default(),
        insecure_hosts: Vec::new(),
        own_accounts: Vec::new(),
        logins,
        accounts,
        first_wait: Duration::from_millis(1),
        silence,
    };
    (folder, Client::new(settings).unwrap())
}

fn asks_for_an_account(head: &str) -> Option<String> {
    let has = head.to_lowercase().contains("authorization: basic ywrhondvcmq=");
    (!has).then(|| answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n", ""))
}

#[tokio::test]
async fn an_account_does_not_follow_a_redirect_to_another_place() {
    let elsewhere = Server::new(|_, _| answer("200 OK", "", "content")).await;
    let to = format!("Location: http://{}/signed?x=1\r\n", elsewhere.address);
    let registry = Server::new(move |head, _| {
        asks_for_an_account(head).unwrap_or_else(|| answer("307 Temporary Redirect", &to, ""))
    })
    .await;
    let (_folder, client) = client(&[&registry, &elsewhere]);
    let blob = Descriptor::of("x", b"content");
    assert_eq!(client.blob(&registry.repository(), &blob, 100).await.unwrap(), "content");
    assert_eq!(registry.seen().len(), 2);
    let [request] = <[String; 1]>::try_from(elsewhere.seen()).unwrap();
    assert!(request.starts_with("GET /signed?x=1") && !request.to_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn whoever_was_redirected_to_is_not_told_the_account_even_if_it_asks() {
    let elsewhere = Server::new(|head, _| asks_for_an_account(head).unwrap_or_else(|| answer("200 OK", "", "x"))).await;
    let to = format!("Location: http://{}/x\r\n", elsewhere.address);
    let registry = Server::new(move |_, _| answer("302 Found", &to, "")).await;
    let (_folder, client) = client(&[&registry, &elsewhere]);
    let refused = client.blob(&registry.repository(), &Descriptor::of("x", b"x"), 100).await.unwrap_err();
    assert!(matches!(refused, OciError::Unauthorized { .. }), "{refused}");
    assert!(elsewhere.seen().iter().all(|request| !request.to_lowercase().contains("authorization")));
}

#[tokio::test]
async fn an_upload_that_the_registry_sends_elsewhere_goes_without_the_account() {
    let elsewhere = Server::new(|_, _| answer("201 Created", "", "")).await;
    let to = format!("Location: http://{}/upload?state=1\r\n", elsewhere.address);
    let registry = Server::new(move |head, _| {
        asks_for_an_account(head).unwrap_or_else(|| match head.starts_with("HEAD") {
            true => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
            false => answer("202 Accepted", &to, ""),
        })
    })
    .await;
    let (_folder, client) = client(&[&registry, &elsewhere]);
    assert!(client.put_blob(&registry.repository(), "content").await.unwrap());
    let [request] = <[String; 1]>::try_from(elsewhere.seen()).unwrap();
    assert!(request.starts_with("PUT /upload?state=1&digest=sha256%3A"), "{request}");
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_with_the_account() {
    let tokens = Server::new(|_, _| answer("200 OK", "", r#"{"access_token": "t0ken"}"#)).await;
    let challenge = format!(
        "WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"reg\",scope=\"repository:evil/all:*\"\r\n",
        tokens.address
    );
    let registry = Server::new(move |head, _| match head.contains("Bearer t0ken") {
        true => answer("200 OK", "", "{}"),
        false => answer("401 Unauthorized", &challenge, ""),
    })
    .await;
    let (_folder, client) = client(&[&registry]);
    let tagged = registry.repository().tagged("1").unwrap();
    for _ in 0..2 {
        assert_eq!(client.manifest(&tagged).await.unwrap().bytes, "{}");
    }
    assert_eq!(registry.seen().len(), 3, "the token is remembered");
    let [request] = <[String; 1]>::try_from(tokens.seen()).unwrap();
    // What is asked for is what we want to do, whatever the registry says.
    assert!(request.starts_with("GET /token?scope=repository%3Aacme%2Flint%3Apull&service=reg "), "{request}");
    assert!(request.contains("YWRhOndvcmQ="), "{request}");
}

/// A login whose account is `token:word`.
fn login(server: String) -> ServerLogin {
    ServerLogin { server, token: "word".to_owned() }
}

const LOGIN: &str = "dG9rZW46d29yZA==";

#[tokio::test]
async fn a_login_at_a_server_is_an_account_of_its_registry_and_of_no_other() {
    let registry = Server::new(|head, _| match head.contains(&format!("Basic {LOGIN}")) {
        true => answer("200 OK", "", "{}"),
        false => answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n", ""),
    })
    .await;
    let tagged = registry.repository().tagged("1").unwrap();
    let (host, port) = registry.address.rsplit_once(':').unwrap();
    let others = [format!("https://{host}:{port}"), format!("http://localhost:{port}"), format!("http://{host}")];
    let (_folder, nobody) = client_with(&[], others.map(login).to_vec());
    let refused = nobody.manifest(&tagged).await.unwrap_err();
    let hint = refused.hint().unwrap();
    assert!(matches!(refused, OciError::Unauthorized { with_account: false, .. }), "{refused}");
    assert!(hint.contains("`docker login 127.0.0.1:") && hint.contains("`oxide login URL`"), "{hint}");
    assert!(registry.seen().iter().all(|request| !request.to_lowercase().contains("authorization")));

    let (_folder, known) = client_with(&[], vec![login(format!("http://{}", registry.address))]);
    assert_eq!(known.manifest(&tagged).await.unwrap().bytes, "{}");
    // What Docker keeps for the registry was meant for nothing else.
    let (_folder, other) = client_with(&[&registry], vec![login(format!("http://{}", registry.address))]);
    let refused = other.manifest(&tagged).await.unwrap_err();
    assert!(matches!(refused, OciError::Unauthorized { with_account: true, .. }), "{refused}");
    assert!(registry.seen().last().unwrap().contains("YWRhOndvcmQ="));
}

#[tokio::test]
async fn a_login_is_not_shown_to_a_token_server_elsewhere_nor_after_a_redirect() {
    let tokens = Server::new(|_, _| answer("200 OK", "", r#"{"token": "t0ken"}"#)).await;
    let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{}/token\"\r\n", tokens.address);
    let registry = Server::new(move |head, _| match head.contains("Bearer t0ken") {
        true => answer("200 OK", "", "{}"),
        false => answer("401 Unauthorized", &challenge, ""),
    })
    .await;
    let (_folder, known) = client_with(&[], vec![login(format!("http://{}", registry.address))]);
    assert!(known.manifest(&registry.repository().tagged("1").unwrap()).await.is_ok());
    let [request] = <[String; 1]>::try_from(tokens.seen()).unwrap();
    assert!(!request.to_lowercase().contains("authorization"), "{request}");

    let elsewhere = Server::new(|_, _| answer("200 OK", "", "content")).await;
    let to = format!("Location: http://{}/x\r\n", elsewhere.address);
    let registry = Server::new(move |head, _| match head.contains(LOGIN) {
        true => answer("307 Temporary Redirect", &to, ""),
        false => answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n", ""),
    })
    .await;
    let (_folder, known) = client_with(&[], vec![login(format!("http://{}", registry.address))]);
    let blob = Descriptor::of("x", b"content");
    assert_eq!(known.blob(&registry.repository(), &blob, 100).await.unwrap(), "content");
    let [request] = <[String; 1]>::try_from(elsewhere.seen()).unwrap();
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn what_may_get_better_is_tried_three_times_and_the_rest_once() {
    for (status, headers, tries) in [
        ("503 Service Unavailable", "", 3),
        ("429 Too Many Requests", "Retry-After: 0\r\n", 3),
        ("403 Forbidden", "", 1),
        ("404 Not Found", "", 1),
        ("400 Bad Request", "", 1),
    ] {
        let body = r#"{"errors":[{"code":"X","message":"because"}]}"#;
        let registry = Server::new(move |_, _| answer(status, headers, body)).await;
        let (_folder, client) = client(&[&registry]);
        let error = client.manifest(&registry.repository().tagged("1").unwrap()).await.unwrap_err();
        assert_eq!(registry.seen().len(), tries, "{status}: {error}");
        let told = format!("{error}; {}", error.hint().unwrap_or_default());
        match &status[..3] {
            "503" => {
                assert!(told.contains("answers 503 Service Unavailable to `acme/lint:1`: because; the registry is in"))
            }
            "429" => assert!(told.contains("too many requests, it asks to wait 0 s"), "{told}"),
            "403" => assert!(told.contains("does not let this account read `acme/lint`: because"), "{told}"),
            "404" => assert!(told.starts_with("there is no `acme/lint:1` in registry"), "{told}"),
            _ => assert!(told.contains("answers 400 Bad Request"), "{told}"),
        }
    }
    let patient = Server::new(|_, _| answer("429 Too Many Requests", "Retry-After: 3600\r\n", "")).await;
    let (_folder, nobody) = client(&[]);
    let error = nobody.manifest(&patient.repository().tagged("1").unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("asks to wait 3600 s") && patient.seen().len() == 1, "{error}");
    let registry = Server::new(|_, before| match before {
        0 | 1 => answer("502 Bad Gateway", "", ""),
        _ => answer("200 OK", "", "{}"),
    })
    .await;
    let (_folder, client) = client(&[&registry]);
    assert!(client.manifest(&registry.repository().tagged("1").unwrap()).await.is_ok());
}

#[tokio::test]
async fn a_manifest_has_its_digest_and_an_end() {
    let wrong = Server::new(|_, _| answer("200 OK", "", "{}")).await;
    let (_folder, client) = client(&[&wrong]);
    let other = wrong.repository().at(&Digest::of(b"other"));
    assert!(matches!(client.manifest(&other).await, Err(OciError::Digest { .. })));
    assert!(client.manifest(&wrong.repository().at(&Digest::of(b"{}"))).await.is_ok());
    // One that says its size, and one that does not.
    let long = "x".repeat(MANIFEST_BYTES_MAX as usize + 1);
    let endless = Server::new(move |_, before| match before {
        0 => answer("200 OK", "", &long),
        _ => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{long}"),
    })
    .await;
    for _ in 0..2 {
        let refused = client.manifest(&endless.repository().tagged("1").unwrap()).await;
        assert!(matches!(refused, Err(OciError::TooLarge { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_blob_is_what_its_descriptor_says_or_an_error() {
    let blob = Descriptor::of("x", b"content");
    let sends = |body: &'static str| Server::new(move |_, _| answer("200 OK", "", body));
    let (more, other) = (sends("content and more").await, sends("c0ntent").await);
    let (_folder, client) = client(&[]);
    assert!(matches!(client.blob(&more.repository(), &blob, 100).await, Err(OciError::Protocol { .. })));
    assert!(matches!(client.blob(&other.repository(), &blob, 100).await, Err(OciError::Digest { .. })));
    assert!(matches!(client.blob(&other.repository(), &blob, 3).await, Err(OciError::TooLarge { .. })));
    assert_eq!(other.seen().len(), 1, "what is too large is not even asked for");
}

#[tokio::test]
async fn a_blob_goes_on_where_it_was_cut_with_a_registry_that_knows_ranges_and_with_one_that_does_not() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ncont";
    let rest = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-6/7\r\nContent-Length: 3\r\nConnection: close\r\n\r\nent";
    let wrong = rest.replace("4-6", "0-2");
    let whole = answer("200 OK", "", "content");
    for (second, is_good) in [(rest.to_owned(), true), (whole, true), (wrong, false)] {
        let registry = Server::new(move |_, before| if before == 0 { cut.to_owned() } else { second.clone() }).await;
        let (_folder, client) = client(&[]);
        let got = client.blob(&registry.repository(), &Descriptor::of("x", b"content"), 100).await;
        assert_eq!(got.is_ok_and(|bytes| bytes == "content"), is_good);
        assert!(registry.seen()[1].to_lowercase().contains("range: bytes=4-"));
    }
    let registry = Server::new(move |_, _| cut.to_owned()).await;
    let (_folder, client) = client(&[]);
    let error = client.blob(&registry.repository(), &Descriptor::of("x", b"content"), 100).await.unwrap_err();
    assert!(matches!(error, OciError::Interrupted { got: 4 | 7, .. } | OciError::Digest { .. }), "{error}");
}

#[tokio::test]
async fn lists_are_read_page_by_page_but_not_from_elsewhere() {
    let registry = Server::new(|head, _| match head.contains("last=b") {
        true => {
            answer("200 OK", "Link: <http://127.0.0.1:1/v2/acme/lint/tags/list>; rel=\"next\"\r\n", r#"{"tags":["c"]}"#)
        }
        false => answer("200 OK", "Link: </v2/acme/lint/tags/list?last=b>; rel=\"next\"\r\n", r#"{"tags":["a","b"]}"#),
    })
    .await;
    let (_folder, client) = client(&[]);
    assert_eq!(client.tags(&registry.repository()).await.unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_tag_is_resolved_by_its_head_or_where_that_says_nothing_by_its_manifest() {
    let digest = Digest::of(b"{}");
    let header = format!("Docker-Content-Digest: {digest}\r\n");
    let quick = Server::new(move |_, _| answer("200 OK", &header, "")).await;
    let slow = Server::new(|head, _| match head.starts_with("HEAD") {
        true => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
        false => answer("200 OK", "", "{}"),
    })
    .await;
    let (_folder, client) = client(&[]);
    for (server, requests) in [(&quick, 1), (&slow, 2)] {
        assert_eq!(client.resolve(&server.repository().tagged("1").unwrap()).await.unwrap(), digest);
        assert_eq!(server.seen().len(), requests);
    }
    assert_eq!(client.resolve(&quick.repository().at(&Digest::of(b"x"))).await.unwrap(), Digest::of(b"x"));
    assert_eq!(quick.seen().len(), 1, "a digest is its own answer");
}

#[tokio::test]
async fn a_list_of_referrers_keeps_what_others_wrote_into_it() {
    let subject = Digest::of(b"subject");
    let listed = r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"D","size":1,"platform":{"os":"wasip2"}}],"more":7}"#
        .replace('D', Digest::of(b"theirs").as_str());
    let written = Arc::new(Mutex::new(String::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (list, kept) = (listed.clone(), Arc::clone(&written));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                body.len() >= length.unwrap_or(0)
            };
            while !is_whole(&request) {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let reply = match request.starts_with("PUT") {
                true => answer("201 Created", "", ""),
                false => answer("200 OK", "", &list),
            };
            if request.starts_with("PUT") {
                *kept.lock().unwrap() = request.split_once("\r\n\r\n").unwrap().1.to_owned();
            }
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    let (_folder, client) = client(&[]);
    let repository = Repository::parse(&format!("{address}/acme/lint")).unwrap();
    client.list_by_tag(&repository, &subject, Descriptor::of("y", b"ours")).await.unwrap();
    let written = written.lock().unwrap().clone();
    assert!(written.starts_with(listed.split_once("],").unwrap().0) && written.contains("\"more\":7"), "{written}");
    assert!(written.contains(Digest::of(b"ours").as_str()), "{written}");
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_given_up_but_a_slow_upload_is_not() {
    const SILENCE: Duration = Duration::from_secs(2);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let reply = match &head[..3] {
                    b"HEA" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
                    b"POS" => answer("202 Accepted", "Location: /upload\r\n", ""),
                    b"PUT" => {
                        // Longer than it may say nothing otherwise.
                        tokio::time::sleep(SILENCE + Duration::from_secs(1)).await;
                        answer("201 Created", "", "")
                    }
                    _ => return std::future::pending().await,
                };
                stream.write_all(reply.as_bytes()).await.unwrap();
                // What is still on its way is read, or the answer would be lost.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    let (_folder, client) = client_that_waits(&[], Vec::new(), SILENCE);
    let repository = Repository::parse(&format!("{address}/acme/lint")).unwrap();
    assert!(client.put_blob(&repository, vec![7; 128 << 10]).await.unwrap());
    let error = client.manifest(&repository.tagged("1").unwrap()).await.unwrap_err();
    assert!(matches!(error, OciError::Silent { .. }), "{error}");
}

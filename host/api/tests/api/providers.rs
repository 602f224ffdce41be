//! Browsers sign in: with a real OpenID provider, which the test command installs, and with GitHub, in the place of which a
//! small server answers what GitHub documents of the three addresses that a sign-in needs.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oxide_api::settings::{ClientSecret, Provider, ProviderGrant, ProviderKind, ProviderMatch};
use oxide_core::access::Role;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::support::{Answer, TestServer};

const SECRET: &str = "a secret: with / signs & spaces";

/// A browser: it keeps cookies, and goes where it is sent.
#[derive(Default)]
struct Browser {
    /// By host and port.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    async fn go(&mut self, http: &reqwest::Client, method: Method, url: &Url, form: Option<&str>) -> Answer {
        let place = format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap());
        let cookies = self.cookies.entry(place).or_default();
        let all: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = http.request(method, url.clone()).header("cookie", all.join("; "));
        if let Some(form) = form {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        }
        let response = request.send().await.unwrap();
        for set in response.headers().get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match value {
                "" => cookies.remove(name),
                value => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    /// Where the answer sends the browser.
    fn next(url: &Url, answer: &Answer) -> Option<Url> {
        answer.status.is_redirection().then(|| url.join(answer.header("location")).unwrap())
    }
}

struct Issuer {
    process: Child,
    url: String,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The provider; none, with a word about it, if the test command installed none.
fn start_issuer(redirect: &str, algorithm: &str) -> Option<Issuer> {
    let Some(folder) = std::env::var_os("OXIDE_TEST_LANGUAGES").map(PathBuf::from) else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "OXIDE_TEST_LANGUAGES is not set, and nothing is skipped in CI"
        );
        println!("skipped: OXIDE_TEST_LANGUAGES is not set");
        return None;
    };
    let mut process = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc/provider.mjs"))
        .args([folder.join("npm/node_modules").to_str().unwrap(), redirect, algorithm])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let url = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("http")).expect("it prints its issuer");
    // Who does not read stops the one who writes.
    std::thread::spawn(move || lines.for_each(drop));
    Some(Issuer { process, url })
}

/// Signs in at the provider by its pages, until the browser is back here. Answers with the last address and answer.
async fn sign_in_at_issuer(server: &TestServer, browser: &mut Browser, name: &str) -> (Url, Answer) {
    let mut url = Url::parse(&format!("{}/api/v1/sign-in/company?redirect=/runs", server.url)).unwrap();
    let mut answer = browser.go(&server.http, Method::GET, &url, None).await;
    for _ in 0..20 {
        if let Some(next) = Browser::next(&url, &answer) {
            if next.as_str() == format!("{}/runs", server.url) {
                return (next, answer);
            }
            url = next;
            answer = browser.go(&server.http, Method::GET, &url, None).await;
        } else if url.path().starts_with("/interaction/") && answer.status == 200 {
            let form = match answer.text.contains("value=\"login\"") {
                true => format!("prompt=login&login={name}&password=x"),
                false => "prompt=consent".to_owned(),
            };
            answer = browser.go(&server.http, Method::POST, &url, Some(&form)).await;
        } else {
            return (url, answer);
        }
    }
    panic!("the browser is sent around in circles: {url} {answer:?}");
}

fn company(issuer: &str) -> Provider {
    Provider {
        name: "company".into(),
        kind: ProviderKind::Oidc { issuer: issuer.into() },
        client_id: "oxide".into(),
        client_secret: ClientSecret(SECRET.into()),
        grants: vec![ProviderGrant {
            to: ProviderMatch::EmailDomain("example.com".into()),
            role: Some((Role::Runner, "web".into())),
        }],
        admits_everybody: false,
    }
}

/// A server that speaks with such a provider; both have to know where the other one is.
async fn server_with_issuer(algorithm: &str) -> Option<(TestServer, Issuer)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let issuer = start_issuer(&format!("{url}/api/v1/sign-in/company/callback"), algorithm)?;
    let provider = company(&issuer.url);
    let server = TestServer::start_at(listener, |settings| settings.providers = vec![provider]).await;
    // Tokens of the provider are of the real present.
    server.set_now(jiff::Timestamp::now().as_millisecond());
    Some((server, issuer))
}

async fn openid(algorithm: &str) {
    let Some((server, _issuer)) = server_with_issuer(algorithm).await else { return };
    let admin = server.admin().await;
    server.project("web").await;
    let listed = server.get("/api/v1/sign-in", "").await.expect(200).json();
    assert_eq!(listed["items"][0], json!({ "name": "company", "kind": "oidc", "begin": "/api/v1/sign-in/company" }));

    let mut browser = Browser::default();
    let (url, answer) = sign_in_at_issuer(&server, &mut browser, "ann").await;
    assert_eq!(url.path(), "/runs", "{answer:?}");
    let me = Url::parse(&format!("{}/api/v1/user", server.url)).unwrap();
    let me = browser.go(&server.http, Method::GET, &me, None).await.expect(200).json();
    assert_eq!((&me["user"]["name"], &me["user"]["email"]), (&json!("ann"), &json!("ann@example.com")));
    assert_eq!((&me["roles"], &me["user"]["is_admin"]), (&json!({ "web": "runner" }), &json!(false)));

    // The same one comes again, from another browser: the same user.
    let (url, _) = sign_in_at_issuer(&server, &mut Browser::default(), "ann").await;
    assert_eq!(url.path(), "/runs");
    assert_eq!(server.get("/api/v1/users", &admin).await.json()["items"].as_array().unwrap().len(), 2);

    // Whom no grant names, and whose address is not verified, is not let in.
    for stranger in ["outside", "unverified"] {
        let (_, answer) = sign_in_at_issuer(&server, &mut Browser::default(), stranger).await;
        assert!(answer.expect(403).cookies().is_empty());
    }
    let log = server.get("/api/v1/audit?limit=20", &admin).await.json().to_string();
    assert!(log.contains(r#""action":"sign_in""#) && log.contains("`outside` may not sign in here"), "{log}");

    // One browser cannot end what another one began.
    let mut first = Browser::default();
    let begin = Url::parse(&format!("{}/api/v1/sign-in/company", server.url)).unwrap();
    let away = first.go(&server.http, Method::GET, &begin, None).await.expect(303);
    let away = Url::parse(away.header("location")).unwrap();
    let state = away.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    assert!(away.query_pairs().any(|(name, value)| name == "code_challenge_method" && value == "S256"));
    let back = format!("{}/api/v1/sign-in/company/callback?code=x&state={state}", server.url);
    let back = Url::parse(&back).unwrap();
    Browser::default().go(&server.http, Method::GET, &back, None).await.expect(400);
    // A code that the provider did not give.
    first.go(&server.http, Method::GET, &back, None).await.expect(502);
    // The state was taken.
    first.go(&server.http, Method::GET, &back, None).await.expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_with_rs256() {
    openid("RS256").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_with_es256() {
    openid("ES256").await;
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_and_what_is_not_there_is_told() {
    let server = TestServer::start_with(|settings| settings.providers = vec![company("http://127.0.0.1:9")]).await;
    server.get("/api/v1/sign-in/company?redirect=//evil.example", "").await.expect(400);
    let answer = server.get("/api/v1/sign-in/companies", "").await.expect(404);
    assert!(answer.text.contains("`company`"));
    // Nobody answers there.
    server.get("/api/v1/sign-in/company", "").await.expect(502);
}

/// What GitHub would know.
#[derive(Clone, Default)]
struct GitHub(Arc<Mutex<Option<String>>>);

async fn access_token(State(hub): State<GitHub>, body: String) -> Json<Value> {
    let form: BTreeMap<_, _> =
        Url::parse(&format!("http://form/?{body}")).unwrap().query_pairs().into_owned().collect();
    let challenge = hub.0.lock().unwrap().clone().unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    let is_right = form["client_id"] == "oxide"
        && form["client_secret"] == SECRET
        && form["code"] == "right"
        && URL_SAFE_NO_PAD.encode(digest.as_ref()) == challenge;
    Json(match is_right {
        true => json!({ "access_token": "gho_x", "scope": "read:org", "token_type": "bearer" }),
        false => json!({ "error": "bad_verification_code", "error_description": "The code passed is incorrect." }),
    })
}

fn is_known(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value == "Bearer gho_x") && headers.contains_key("user-agent")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn github() {
    let hub = GitHub::default();
    let router = Router::new()
        .route("/login/oauth/access_token", post(access_token))
        .route(
            "/user",
            get(|headers: HeaderMap| async move {
                assert!(is_known(&headers));
                Json(json!({ "id": 42, "login": "octo" }))
            }),
        )
        .route(
            "/user/emails",
            get(|headers: HeaderMap| async move {
                assert!(is_known(&headers));
                Json(json!([
                    { "email": "old@x.example", "primary": false, "verified": true, "visibility": null },
                    { "email": "octo@x.example", "primary": true, "verified": true, "visibility": "private" },
                ]))
            }),
        )
        .route(
            "/user/orgs",
            get(|headers: HeaderMap| async move {
                assert!(is_known(&headers));
                Json(json!([{ "login": "Acme", "id": 1 }]))
            }),
        )
        .with_state(hub.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let provider = Provider {
        name: "github".into(),
        kind: ProviderKind::GitHub { web: base.clone(), api: base.clone() },
        grants: vec![ProviderGrant {
            to: ProviderMatch::Organization("acme".into()),
            role: Some((Role::Maintainer, "web".into())),
        }],
        ..company("")
    };
    let server = TestServer::start_with(|settings| settings.providers = vec![provider]).await;
    server.project("web").await;

    let mut browser = Browser::default();
    let begin = Url::parse(&format!("{}/api/v1/sign-in/github?redirect=/x", server.url)).unwrap();
    let mut come_back = async |code: &str| {
        let away = browser.go(&server.http, Method::GET, &begin, None).await.expect(303);
        let away = Url::parse(away.header("location")).unwrap();
        assert!(away.as_str().starts_with(&format!("{base}/login/oauth/authorize?")));
        let told: BTreeMap<String, String> = away.query_pairs().into_owned().collect();
        assert_eq!(told["redirect_uri"], format!("{}/api/v1/sign-in/github/callback", server.url));
        *hub.0.lock().unwrap() = Some(told["code_challenge"].clone());
        let back = format!("{}?code={code}&state={}", told["redirect_uri"], told["state"]);
        browser.go(&server.http, Method::GET, &Url::parse(&back).unwrap(), None).await
    };
    let refused = come_back("wrong").await.expect(401);
    assert!(refused.text.contains("bad_verification_code"));
    let welcome = come_back("right").await.expect(303);
    assert_eq!(welcome.header("location"), "/x");
    let cookies = welcome.cookies();
    let me = server.request(Method::GET, "/api/v1/user").header("cookie", cookies);
    let me = server.send(me).await.expect(200).json();
    assert_eq!((&me["user"]["name"], &me["user"]["email"]), (&json!("octo"), &json!("octo@x.example")));
    assert_eq!(me["roles"], json!({ "web": "maintainer" }));
}

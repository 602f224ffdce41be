//! What the document says is what the server does: what it forbids is refused, and each answer is in it.

use oxide_core::access::Scope;
use serde_json::{Value as Json, json};

use crate::support::{Answer, TestServer};

const PIPELINE: &str =
    "version: \"1\"\nname: web\nstages:\n  build:\n    environment: host\n    steps: [{ run: echo built }]\n";

/// A server with its document.
struct Described {
    server: TestServer,
    document: Json,
    admin: String,
}

impl Described {
    async fn start() -> Described {
        let server = TestServer::start().await;
        let document = server.get("/api/v1/openapi.json", "").await.expect(200).json();
        let admin = server.admin().await;
        server.project("default").await;
        Described { server, document, admin }
    }

    fn operation(&self, method: &str, path: &str) -> &Json {
        &self.document["paths"][path][method.to_lowercase()]
    }

    /// Is the status of an answer one that the operation can have?
    #[track_caller]
    fn is_described(&self, method: &str, path: &str, status: u16, answer: Answer) -> Answer {
        let responses = &self.operation(method, path)["responses"];
        assert!(responses[status.to_string()].is_object(), "{method} {path} does not say that it answers {status}");
        answer.expect(status)
    }

    async fn put(&self, path: &str, body: Json) -> Answer {
        self.server.ask("PUT", path, &self.admin, Some(&body)).await
    }

    async fn post(&self, path: &str, body: Json) -> Answer {
        self.server.post(path, &self.admin, &body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.server.get(path, &self.admin).await
    }

    async fn pipeline(&self) -> String {
        let made = self.post("/api/v1/pipelines", json!({ "source": PIPELINE })).await.expect(201).json();
        made["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_list_is_no_object() {
    let it = Described::start().await;
    let pipeline = it.pipeline().await;
    it.post("/api/v1/tokens", json!(["n"])).await.expect(422);
    it.post(&format!("/api/v1/pipelines/{pipeline}/runs"), json!([null, null])).await.expect(422);
    it.put(&format!("/api/v1/pipelines/{pipeline}"), json!(["other"])).await.expect(422);
    let tokens = it.get("/api/v1/tokens").await.expect(200).json();
    assert_eq!(tokens["items"].as_array().unwrap().len(), 1, "{tokens}");
}

#[tokio::test]
async fn a_large_body_is_refused_where_none_is_wanted() {
    let it = Described::start().await;
    for (method, path) in [("POST", "/api/v1/sign-out"), ("GET", "/api/v1/health"), ("DELETE", "/api/v1/tokens/x")] {
        let large = vec![b' '; 2 << 20];
        let request = it.server.request(method.parse().unwrap(), path).bearer_auth(&it.admin).body(large);
        it.is_described(method, &path.replace("/x", "/{token}"), 413, it.server.send(request).await);
    }
}

#[tokio::test]
async fn a_browser_is_not_sent_by_another_site() {
    let it = Described::start().await;
    for path in ["/api/v1/sign-in/setup", "/api/v1/agent/join", "/api/v1/webhooks/github"] {
        let request = it.server.request(reqwest::Method::POST, path).body("{}");
        let request = request.header("cookie", "oxide_session=x").header("origin", "https://evil.example.com");
        it.is_described("POST", path, 403, it.server.send(request).await);
    }
}

#[tokio::test]
async fn texts_are_bounded_as_the_document_says() {
    let it = Described::start().await;
    let pipeline = format!("/api/v1/pipelines/{}", it.pipeline().await);
    let run = it.post(&format!("{pipeline}/runs"), json!({})).await.expect(201).json();
    let cancel = format!("/api/v1/runs/{}/cancel", run["id"].as_str().unwrap());
    let long = |length: usize| "ä".repeat(length);
    let refused = [
        ("POST", "/api/v1/projects", json!({ "name": "a", "description": long(2001) })),
        ("POST", "/api/v1/projects", json!({ "name": "a", "description": "a\u{0}" })),
        ("POST", "/api/v1/projects", json!({ "name": "a", "repository": "--upload-pack=x" })),
        ("POST", "/api/v1/projects", json!({ "name": "a", "repository": format!("https://a/{}", long(2000)) })),
        ("PATCH", "/api/v1/projects/default", json!({ "description": "\u{1b}[2J" })),
        ("PATCH", "/api/v1/projects/default", json!({ "repository": "a" })),
        ("PUT", pipeline.as_str(), json!({ "description": long(2001) })),
        ("PUT", pipeline.as_str(), json!({ "name": "two\nlines" })),
        ("PUT", pipeline.as_str(), json!({ "name": long(101) })),
        ("PUT", pipeline.as_str(), json!({ "repository": "ext::sh" })),
        ("POST", cancel.as_str(), json!({ "reason": long(501) })),
        ("POST", "/api/v1/users", json!({ "name": "ann", "email": "@" })),
        ("POST", "/api/v1/users", json!({ "name": "ann", "email": format!("{}@b", long(319)) })),
        ("POST", "/api/v1/secrets", json!({ "name": "A".repeat(101), "value": "long enough" })),
        // Few characters, though many bytes.
        ("POST", "/api/v1/secrets", json!({ "name": "KEY", "value": "🎉🎉" })),
    ];
    for (method, path, body) in refused {
        let answer = it.server.ask(method, path, &it.admin, Some(&body)).await;
        assert_eq!(answer.status, 422, "{method} {path} {body}: {answer:?}");
    }
    let taken = json!({ "name": "a", "description": format!("{}\n\t", long(1998)), "repository": "git@host:a.git" });
    it.post("/api/v1/projects", taken).await.expect(201);
    it.post("/api/v1/users", json!({ "name": "ann", "email": format!("{}@b", long(318)) })).await.expect(201);
    it.post(&cancel, json!({ "reason": long(500) })).await.expect(200);
}

#[tokio::test]
async fn secrets_of_a_pipeline_go_by_its_name_or_id() {
    let it = Described::start().await;
    let id = it.pipeline().await;
    for (method, path) in [("GET", "/api/v1/secrets"), ("DELETE", "/api/v1/secrets/{name}")] {
        let asked = format!("{}?scope=pipeline", path.replace("{name}", "KEY"));
        it.is_described(method, path, 422, it.server.ask(method, &asked, &it.admin, None).await);
    }
    for reference in ["web", id.as_str()] {
        let new = json!({ "name": "KEY", "value": "long enough", "scope": "pipeline", "pipeline": reference });
        assert_eq!(it.post("/api/v1/secrets", new).await.expect(201).json()["pipeline"], json!(id));
        let query = format!("scope=pipeline&project=default&pipeline={reference}");
        let listed = it.get(&format!("/api/v1/secrets?{query}")).await.expect(200).json();
        assert_eq!(listed["items"][0]["name"], "KEY");
        it.server.ask("DELETE", &format!("/api/v1/secrets/KEY?{query}"), &it.admin, None).await.expect(204);
    }
    // A name is one of the project that is named.
    it.server.project("other").await;
    it.get("/api/v1/secrets?scope=pipeline&project=other&pipeline=web").await.expect(404);
    // A page of a removal means nothing.
    it.server.ask("DELETE", "/api/v1/secrets/KEY?limit=1", &it.admin, None).await.expect(400);
}

#[tokio::test]
async fn logs_take_what_means_something() {
    let it = Described::start().await;
    let pipeline = it.pipeline().await;
    let run = it.post(&format!("/api/v1/pipelines/{pipeline}/runs"), json!({})).await.expect(201).json();
    let logs = format!("/api/v1/runs/{}/logs", run["id"].as_str().unwrap());
    let long = "a".repeat(501);
    for query in ["?attempt=0", "?search=", "/text?limit=1", "/text?search=a", "/text?cursor=x", "/stream?search=a"] {
        it.get(&format!("{logs}{query}")).await.expect(400);
    }
    it.get(&format!("{logs}?search={long}")).await.expect(400);
    it.get(&format!("{logs}?attempt=1&job=4294967295&search={}", &long[1..])).await.expect(200);
    it.get(&format!("{logs}?job=4294967296")).await.expect(400);
}

#[tokio::test]
async fn the_document_is_as_narrow_as_the_server() {
    let it = Described::start().await;
    let parameter = |path: &str, name: &str| {
        let all = it.operation("GET", path)["parameters"].as_array().unwrap();
        all.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"].clone()
    };
    let logs = "/api/v1/runs/{run}/logs";
    assert_eq!(parameter(logs, "attempt")["minimum"], 1);
    assert_eq!(parameter(logs, "job")["maximum"], 4_294_967_295_u32);
    assert_eq!(parameter(logs, "limit")["maximum"], 10_000);
    let version = parameter("/api/v1/pipelines/{pipeline}/versions/{version}", "version");
    assert_eq!(version, json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX }));
    let bodies = &it.operation("POST", "/api/v1/pipelines")["requestBody"]["content"];
    assert_eq!(bodies["application/yaml"], json!({}));
    let schemas = it.document["components"]["schemas"].as_object().unwrap();
    assert_eq!(schemas["NewSecret"]["properties"]["value"]["minLength"], 6);
    assert_eq!(schemas["NewToken"]["properties"]["scopes"]["minItems"], 1);
    for name in ["PageOfToken", "PageOfRun", "PageOfTestReport"] {
        assert!(schemas.contains_key(name), "{name}");
    }
    let counted = |name: &&String| name.ends_with(|last: char| last.is_ascii_digit());
    assert_eq!(schemas.keys().find(counted), None, "names that only count tell nobody what they are");
    // Whoever reads schemas in order finds a type by its name.
    assert!(Scope::ALL.iter().all(|scope| schemas["Scope"].to_string().contains(scope.as_str())));
}

#[tokio::test]
async fn runs_are_filtered_by_the_names_that_the_first_documents_gave() {
    let it = Described::start().await;
    let pipeline = it.pipeline().await;
    it.post(&format!("/api/v1/pipelines/{pipeline}/runs"), json!({})).await.expect(201);
    for (query, count) in [("pipeline_config_id", 1), ("pipeline", 1), ("status=success&pipeline", 0)] {
        let found = it.get(&format!("/api/v1/runs?{query}={pipeline}")).await.expect(200).json();
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn head_says_how_long_the_answer_would_be() {
    let it = Described::start().await;
    for path in ["/api/v1/health", "/api/v1/projects/default", "/docs"] {
        let whole = it.get(path).await.expect(200);
        let head = it.server.request(reqwest::Method::HEAD, path).bearer_auth(&it.admin);
        let head = it.server.send(head).await.expect(200);
        assert!(head.text.is_empty());
        assert_eq!(head.header("content-length"), whole.text.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn a_browser_at_the_address_of_the_server_is_sent_to_the_page() {
    let it = Described::start().await;
    let answer = it.server.get("/", "").await;
    assert_eq!(it.is_described("GET", "/", 303, answer).header("location"), "/docs");
    it.is_described("GET", "/docs", 200, it.server.get("/docs", "").await);
}

#[tokio::test]
async fn whoever_is_not_known_is_told_what_helps_here() {
    let server = TestServer::start().await;
    let answer = server.post("/api/v1/sign-in/setup", "", &json!({ "code": "oxide_set_guessed" })).await.expect(401);
    assert_eq!(answer.json()["suggestions"], json!(["use the code that the server printed last"]));
    let answer = server.get("/api/v1/user", "").await.expect(401).json();
    assert!(answer["suggestions"][0].as_str().unwrap().contains("Authorization: Bearer"), "{answer}");
}

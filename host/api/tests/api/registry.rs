//! Who may do what below `/v2/`, and what the audit log says of it.

use axum::routing::any;
use oxide_api::{registry::guarded, route::router};
use oxide_core::access::{Role, Scope};
use oxide_registry::server::connection::Bounds;
use reqwest::Method;
use serde_json::json;

use crate::support::TestServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_maintains_a_project_pushes_to_its_repositories_only() {
    let server = TestServer::start().await;
    let behind = axum::Router::new().route("/v2/{*rest}", any(|| async { "let in" }));
    let router = router::router(&server.state, Vec::new(), guarded(&server.state, behind));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(oxide_api::server::serve(listener, router, Bounds::default(), std::future::pending()));
    let (web, sec) = (server.project("web").await, server.project("sec").await);
    let ann = server.user("ann", false).await;
    server.member(web, ann, Role::Maintainer).await;
    server.member(sec, ann, Role::Viewer).await;
    let token = async |scopes: &[Scope], project| server.token(ann, scopes, project).await.0;
    let (full, pulls) = (token(&Scope::ALL, None).await, token(&[Scope::RegistryRead], None).await);
    let (pushes, bound) = (token(&[Scope::RegistryWrite], None).await, token(&Scope::ALL, Some(sec)).await);
    let admin = server.admin().await;
    let ask = async |method: Method, name: &str, token: &str| {
        let url = format!("http://{address}/v2/{name}/manifests/1");
        server.send(server.http.request(method, url).bearer_auth(token)).await.status.as_u16()
    };
    for method in [Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
        for (name, token, status) in [
            ("web/lint", &full, 200),
            ("web", &full, 200),
            ("web/lint", &pushes, 200),
            ("web/lint", &pulls, 403),
            ("web/lint", &bound, 403),
            ("sec/lint", &full, 403),
            ("other/lint", &full, 403),
            ("%77eb/lint", &full, 403),
            ("webx/lint", &full, 403),
            ("sec/lint", &admin, 200),
            ("other/lint", &admin, 200),
        ] {
            assert_eq!(ask(method.clone(), name, token).await, status, "{method} {name}");
        }
    }
    for name in ["web/lint", "sec/lint", "other/lint"] {
        assert_eq!(ask(Method::GET, name, &pulls).await, 200, "{name}");
    }
    // Whoever pushes asks first what is there, with a token for one project, too.
    let of_web = token(&Scope::ALL, Some(web)).await;
    for (name, read, pushed) in [("web/lint", 200, 200), ("sec/lint", 403, 403), ("other/lint", 403, 403)] {
        assert_eq!(ask(Method::HEAD, name, &of_web).await, read, "{name}");
        assert_eq!(ask(Method::PUT, name, &of_web).await, pushed, "{name}");
    }
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_and_a_delete_are_in_the_audit_log() {
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const CODE: &[u8] = b"the code of a plugin";
    let server = TestServer::start().await;
    let web = server.project("web").await;
    let ann = server.user("ann", false).await;
    server.member(web, ann, Role::Maintainer).await;
    let token = server.token(ann, &Scope::ALL, None).await.0;
    let admin = server.admin().await;
    let send = async |method: Method, path: &str, token: &str, kind: &str, body: &[u8]| {
        let request = server.request(method, path).bearer_auth(token).header("content-type", kind);
        server.send(request.body(body.to_vec())).await
    };
    let entries = async |query: &str| {
        let page = server.get(&format!("/api/v1/audit?{query}"), &admin).await.expect(200).json();
        page["items"].as_array().unwrap().clone()
    };
    let hash = ring::digest::digest(&ring::digest::SHA256, CODE);
    let digest = format!("sha256:{}", oxide_core::quantity::hexadecimal(hash.as_ref()));
    let config = json!({ "mediaType": "application/octet-stream", "digest": digest, "size": CODE.len() });
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [] }).to_string();
    let (of_web, of_nobody) = ("/v2/web/lint/manifests/1.0", "/v2/nobodys/lint/manifests/1.0");

    // The manifest names what is not there: nothing has changed yet.
    send(Method::PUT, of_web, &token, MANIFEST, manifest.as_bytes()).await.expect(400);
    for name in ["web/lint", "nobodys/lint"] {
        let blob = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        send(Method::POST, &blob, &admin, "application/octet-stream", CODE).await.expect(201);
    }
    send(Method::PUT, of_nobody, &token, MANIFEST, manifest.as_bytes()).await.expect(403);
    assert!(entries("limit=50").await.is_empty());

    let pushed = send(Method::PUT, of_web, &token, MANIFEST, manifest.as_bytes()).await.expect(201);
    assert!(pushed.header("location").starts_with("/v2/web/lint/manifests/sha256:"), "{pushed:?}");
    send(Method::PUT, of_nobody, &admin, MANIFEST, manifest.as_bytes()).await.expect(201);
    server.get(of_web, &token).await.expect(200);
    server.ask("DELETE", of_web, &token, None).await.expect(202);
    server.ask("DELETE", of_web, &token, None).await.expect(404);

    let told = json!({ "repository": "web/lint", "reference": "1.0" });
    for action in ["push_plugin", "delete_plugin"] {
        let log = entries(&format!("project=web&action={action}")).await;
        assert_eq!(log.len(), 1, "{log:?}");
        assert_eq!((&log[0]["actor"], &log[0]["target"]), (&json!("user:ann"), &json!(of_web)));
        assert_eq!((&log[0]["details"], &log[0]["project"]), (&told, &json!(web)));
    }
    let log = entries("limit=50").await;
    assert_eq!(log.len(), 3, "{log:?}");
    let of_root = log.iter().find(|entry| entry["actor"] == "user:root").unwrap();
    assert_eq!((&of_root["action"], &of_root["project"]), (&json!("push_plugin"), &json!(null)));
}

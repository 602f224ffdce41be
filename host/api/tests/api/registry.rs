//! Who may do what below `/v2/`.

use axum::routing::any;
use oxide_api::{registry::guarded, route::router};
use oxide_core::access::{Role, Scope};
use oxide_registry::server::connection::Bounds;
use reqwest::Method;

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

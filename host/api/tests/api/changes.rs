//! Changes and the audit log: both or neither, whatever the client does meanwhile.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

use oxide_api::{
    caller::Caller,
    extract::NoContent,
    route::{Access, Route, router},
};
use oxide_registry::server::connection::Bounds;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Semaphore};

use crate::support::TestServer;

const PATIENCE: Duration = Duration::from_secs(60);

/// How many slow changes have begun, and how many may end.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static MAY_END: Semaphore = Semaphore::const_new(0);

/// A change that takes its time.
async fn slow(caller: Caller) -> NoContent {
    BEGUN.fetch_add(1, SeqCst);
    MAY_END.acquire().await.unwrap().forget();
    caller.note(json!({ "done": true }));
    NoContent
}

async fn entries(server: &TestServer, admin: &str, action: &str) -> usize {
    let page = server.get(&format!("/api/v1/audit?action={action}"), admin).await.expect(200).json();
    page["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_told_though_nobody_waits_for_its_answer() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let route = |path, name| Route::post(path, name, slow).access(Access::SignedIn);
    let routes = vec![route("/left", "left"), route("/late", "late").patience(Duration::from_millis(100))];
    let router = router::router(&server.state, routes, axum::Router::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(oxide_api::server::serve(listener, router, Bounds::default(), std::future::pending()));

    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /left HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {admin}\r\nContent-Length: 0\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    while BEGUN.load(SeqCst) == 0 {
        assert!(began.elapsed() < PATIENCE, "the change does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(client);
    let late = server.http.post(format!("http://{address}/late")).bearer_auth(&admin);
    server.send(late).await.expect(503);
    MAY_END.add_permits(2);
    for action in ["left", "late"] {
        let began = Instant::now();
        while entries(&server, &admin, action).await == 0 {
            assert!(began.elapsed() < PATIENCE, "`{action}` has no entry");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(entries(&server, &admin, action).await, 1);
    }
    task.abort();
}

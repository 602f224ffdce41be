//! Serves the router on a listener: bounded connections, an orderly end.

use std::{future::Future, io, time::Duration};

use axum::{Router, middleware};
use oxide_registry::server::connection::{BoundedListener, Bounds, Peer, note};
use tokio::net::TcpListener;

/// How long requests may go on after the server was told to stop.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serves until `stop` is ready; then what is under way has some seconds to end.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopped, mut stopping) = tokio::sync::watch::channel(false);
    let listener = BoundedListener::with(listener, bounds);
    let service = router.layer(middleware::from_fn(note)).into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        stopped.send_replace(true);
    });
    let too_long = async {
        // An error says that the server has ended by itself.
        if stopping.wait_for(|stopped| *stopped).await.is_ok() {
            tokio::time::sleep(FAREWELL).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = server => ended,
        () = too_long => Ok(()),
    }
}

//! The document of all events: AsyncAPI 3, made from their types.

use axum::{extract::State, response::Response};
use http::StatusCode;
use oxide_core::asyncapi::{Places, document};

use crate::{
    extract::json_response,
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/asyncapi.json", "get_asyncapi", asyncapi)
            .tag(Tag::Events)
            .access(Access::Public)
            .summary("Describes all events and where they come from: AsyncAPI 3.")
            .answer_of(200, "The document.", "application/json"),
    ]
}

async fn asyncapi(State(state): State<ServerState>) -> Response {
    json_response(StatusCode::OK, &document(&places(&state.settings.public_url)))
}

/// Where the events of the server at this address are to be had.
fn places(url: &str) -> Places {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    Places {
        websocket_host: host.to_owned(),
        websocket_tls: scheme == "https",
        websocket_path: format!("{}/api/v1/ws", path.trim_end_matches('/')),
        // Where NATS is, is nothing to tell everybody.
        nats_host: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_where_the_server_is() {
        let there = places("https://ci.example.com/oxide");
        assert_eq!((there.websocket_host.as_str(), there.websocket_tls), ("ci.example.com", true));
        assert_eq!(there.websocket_path, "/oxide/api/v1/ws");
        let here = places("http://127.0.0.1:7780");
        assert_eq!((here.websocket_host.as_str(), here.websocket_path.as_str()), ("127.0.0.1:7780", "/api/v1/ws"));
    }
}

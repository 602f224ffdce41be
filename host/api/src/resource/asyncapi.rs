//! The document of what this server says and takes besides REST: AsyncAPI 3, made from the types that are sent.

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
    let places = places(&state.settings.public_url, state.engine.bus_check.is_some());
    json_response(StatusCode::OK, &document(&places))
}

/// Where the events of the server at this address are to be had.
fn places(url: &str, nats: bool) -> Places {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    Places { host: host.to_owned(), tls: scheme == "https", base_path: path.trim_end_matches('/').to_owned(), nats }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_where_the_server_is() {
        let there = places("https://ci.example.com/oxide", true);
        assert_eq!((there.host.as_str(), there.tls, there.nats), ("ci.example.com", true, true));
        assert_eq!(there.base_path, "/oxide");
        let here = places("http://127.0.0.1:7780", false);
        assert_eq!((here.host.as_str(), here.base_path.as_str(), here.nats), ("127.0.0.1:7780", "", false));
    }
}

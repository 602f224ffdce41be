//! The OpenAPI 3.1 document, made out of the table of routes, and the page that shows it.

mod document;
mod page;
mod schemas;

use std::sync::LazyLock;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{Redirect, Response},
};

pub use self::document::document;
use crate::route::{Access, Route, Tag, table};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/openapi.json", "get_openapi", openapi)
            .tag(Tag::Server)
            .access(Access::Public)
            .summary("This API in OpenAPI 3.1.")
            .answer_of(200, "The document.", "application/json"),
        Route::get("/docs", "get_docs", page::docs)
            .tag(Tag::Server)
            .access(Access::Public)
            .summary("This API as a page to read and to try.")
            .answer_of(200, "The page.", "text/html"),
        Route::get("/", "get_start", start)
            .tag(Tag::Server)
            .access(Access::Public)
            .summary("Sends a browser to the page at `/docs`.")
            .answer_empty(303, "To the page."),
    ]
}

/// The document as text. It is the same as long as the program runs.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let table: Vec<_> = table::all().into_iter().map(|route| route.about).collect();
        serde_json::to_string_pretty(&document(&table)).expect("JSON is written as JSON")
    });
    &TEXT
}

async fn start() -> Redirect {
    Redirect::to("/docs")
}

async fn openapi() -> Response {
    let mut response = Response::new(Body::from(text()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

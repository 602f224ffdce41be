//! What the server says of itself.

use axum::extract::State;
use oxide_core::api::server::{Health, ServerInfo};

use crate::{
    error::ApiError,
    extract::Json,
    route::{Access, Rate, Route, Tag},
    sign_in::setup,
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/health", "get_health", health)
            .tag(Tag::Server)
            .access(Access::Public)
            .rate(Rate::Unbounded)
            .summary("Says that the process is alive; it asks nothing else.")
            .answer::<Health>(200, "It is alive."),
        Route::get("/api/v1/server", "get_server", server)
            .tag(Tag::Server)
            .access(Access::Public)
            .summary("Says what this server is, and how to sign in.")
            .answer::<ServerInfo>(200, "The server."),
    ]
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok".into() })
}

async fn server(State(state): State<ServerState>) -> Result<Json<ServerInfo>, ApiError> {
    Ok(Json(ServerInfo {
        name: "oxide".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        api: "v1".into(),
        time: state.now(),
        sign_in: state.settings.providers.iter().map(|provider| provider.name.clone()).collect(),
        needs_setup: setup::is_needed(&state.store).await?,
    }))
}

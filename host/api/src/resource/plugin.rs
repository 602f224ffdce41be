//! Plugins that runs have used.

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        page::{Page, PageQuery},
        plugin::UsedPlugin,
    },
};
use oxide_store::PluginUseRow;

use crate::{
    error::ApiError,
    extract::{Json, Path, Query},
    page,
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/plugins", "list_plugins", list)
            .tag(Tag::Plugins)
            .access(Access::Organization(Role::Viewer))
            .summary("Lists the plugins that runs have used, with what they can ask for.")
            .query::<PageQuery>()
            .answer::<Page<UsedPlugin>>(200, "Plugins."),
        Route::get("/api/v1/plugins/{digest}", "get_plugin", get)
            .tag(Tag::Plugins)
            .access(Access::Organization(Role::Viewer))
            .summary("Reads a plugin that runs have used, by its digest.")
            .answer::<UsedPlugin>(200, "The plugin."),
    ]
}

fn shown(row: PluginUseRow) -> UsedPlugin {
    UsedPlugin {
        reference: row.reference,
        digest: row.digest,
        capabilities: row.capabilities,
        first_used_at: row.first_used_at,
        last_used_at: row.last_used_at,
        uses: row.uses,
    }
}

async fn list(
    State(state): State<ServerState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<UsedPlugin>>, ApiError> {
    Ok(Json(page::map(state.store.plugin_uses(&page::request_of(query)?).await?, shown)))
}

async fn get(State(state): State<ServerState>, Path(digest): Path<String>) -> Result<Json<UsedPlugin>, ApiError> {
    let found = state.store.plugin_use(&digest).await?;
    found.map(shown).map(Json).ok_or_else(|| ApiError::not_found("plugin", digest))
}

//! Makes the axum router out of the table.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit, http::Uri, middleware, response::IntoResponse as _};
use http::Method;

use super::{About, Route, guard, guard::Gate, unknown};
use crate::{layers, state::ServerState};

/// The router of a server: every route behind its guard, what else it serves, and the layers that all requests pass.
pub fn router(state: &ServerState, routes: Vec<Route>, others: Router) -> Router {
    let table: Arc<[About]> = routes.iter().map(|route| route.about.clone()).collect();
    let mut methods = BTreeMap::<&'static str, Vec<Method>>::new();
    for about in table.iter() {
        methods.entry(about.path).or_default().push(about.method.clone());
    }
    let mut router = Router::new();
    for route in routes {
        let gate = Gate::new(state.clone(), route.about.clone());
        // The guard bounds bodies, for whatever reads them.
        let handler =
            route.handler.layer(DefaultBodyLimit::disable()).layer(middleware::from_fn_with_state(gate, guard::guard));
        router = router.route(route.about.path, handler);
    }
    for (path, methods) in methods {
        let allowed = unknown::allowed(methods.iter());
        let refuse = move |method: Method| async move { unknown::method(&method, path, &allowed).into_response() };
        router = router.route(path, axum::routing::MethodRouter::new().fallback(refuse));
    }
    let router = router.fallback(move |uri: Uri| {
        let table = table.clone();
        async move { unknown::path(uri.path(), &table) }
    });
    layers::around(state, router.with_state(state.clone()).merge(others))
}

//! All routes, topic by topic. A topic is a file of [`crate::resource`] with a function that lists its routes.

use super::Route;
use crate::{openapi, resource};

/// The table.
pub fn all() -> Vec<Route> {
    let topics: [fn() -> Vec<Route>; 23] = [
        resource::sign_in::routes,
        resource::user::routes,
        resource::token::routes,
        resource::project::routes,
        resource::membership::routes,
        resource::pipeline::routes,
        resource::run::routes,
        resource::log::routes,
        resource::artifact::routes,
        resource::approval::routes,
        resource::secret::routes,
        resource::agent::routes,
        resource::agent::token::routes,
        resource::agent::link::routes,
        resource::plugin::routes,
        resource::webhook::routes,
        resource::webhook::delivery::routes,
        resource::event::routes,
        resource::asyncapi::routes,
        resource::readiness::routes,
        resource::audit_log::routes,
        resource::server_info::routes,
        openapi::routes,
    ];
    topics.into_iter().flat_map(|routes| routes()).collect()
}

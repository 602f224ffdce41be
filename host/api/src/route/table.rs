//! All routes, topic by topic. A topic is a file of [`crate::resource`] with a function that lists its routes.

use super::Route;
use crate::{openapi, resource};

/// The table.
pub fn all() -> Vec<Route> {
    let topics: [fn() -> Vec<Route>; 8] = [
        resource::sign_in::routes,
        resource::user::routes,
        resource::token::routes,
        resource::project::routes,
        resource::membership::routes,
        resource::audit_log::routes,
        resource::server_info::routes,
        openapi::routes,
    ];
    topics.into_iter().flat_map(|routes| routes()).collect()
}

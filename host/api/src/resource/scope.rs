//! Which projects a list is about.

use oxide_core::{access::Role, id::ProjectId};

use super::project;
use crate::{caller::Caller, error::ApiError, state::ServerState};

/// The projects whose things are wanted and may be seen; none means all.
///
/// # Errors
/// 404 if the caller may not know of the project that is asked for.
pub async fn wanted(
    state: &ServerState,
    caller: &Caller,
    reference: Option<&str>,
) -> Result<Option<Vec<ProjectId>>, ApiError> {
    match reference {
        Some(reference) => Ok(Some(vec![project::find(state, caller, reference, Role::Viewer).await?.id])),
        None => Ok(caller.visible_projects()),
    }
}

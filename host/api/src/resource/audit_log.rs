//! The audit log, for those who may read it.

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        audit::{AuditEntry, AuditQuery},
        page::Page,
    },
};
use oxide_store::{AuditFilter, AuditRow};

use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Json, Query},
    page,
    resource::project,
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/audit", "list_audit", list)
            .tag(Tag::Audit)
            .access(Access::SignedIn)
            .summary("Lists who did what, newest first.")
            .description(
                "Administrators see everything; an admin of a project sees what belongs to it, and names it with \
                 `?project=`.",
            )
            .query::<AuditQuery>()
            .answer::<Page<AuditEntry>>(200, "Entries.")
            .errors(&[oxide_core::api::error::ErrorKind::NotFound]),
    ]
}

fn shown(row: AuditRow) -> AuditEntry {
    let AuditRow { seq, record } = row;
    AuditEntry {
        seq,
        at: record.at,
        actor: record.actor,
        action: record.action,
        target: record.target,
        project: record.project,
        address: record.address,
        details: record.details,
    }
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let projects = match &query.project {
        Some(reference) => Some(vec![project::find(&state, &caller, reference, Role::Admin).await?.id]),
        None => {
            caller.check_organization(Role::Admin)?;
            None
        }
    };
    let filter = AuditFilter { projects, actor: query.actor, action: query.action, ..AuditFilter::default() };
    let request = page::request(query.limit, query.cursor)?;
    Ok(Json(page::map(state.store.audit(&filter, &request).await?, shown)))
}

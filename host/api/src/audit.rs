//! What was done, and who was not let in, for the audit log.

use std::net::IpAddr;

use oxide_core::id::ProjectId;
use oxide_store::AuditRecord;
use serde_json::{Value as Json, json};

use crate::{caller::Caller, error::ApiError, route::About, state::ServerState};

/// Tells what a request has done.
pub async fn done(state: &ServerState, about: &About, caller: &Caller, path: &str) {
    changed(state, caller, about.name, path).await;
}

/// Tells of a change that a caller has made, also where no table of routes says how it is called.
pub async fn changed(state: &ServerState, caller: &Caller, action: &str, path: &str) {
    let (project, details) = caller.noted();
    write(state, caller.actor(), action, path, project, caller.address, details.unwrap_or_else(|| json!({}))).await;
}

/// Tells of a request that was not let in.
pub async fn refused(state: &ServerState, about: &About, address: IpAddr, path: &str, error: &ApiError) {
    let details = json!({ "refused": error.message(), "operation": about.name });
    write(state, "nobody".into(), "refused", path, None, address, details).await;
}

/// Tells of something that a handler did or refused in the name of somebody who is not the caller, such as a sign-in.
pub async fn tell(state: &ServerState, actor: String, action: &str, target: &str, address: IpAddr, details: Json) {
    write(state, actor, action, target, None, address, details).await;
}

/// What cannot be written is in the server's log at least.
async fn write(
    state: &ServerState,
    actor: String,
    action: &str,
    target: &str,
    project: Option<ProjectId>,
    address: IpAddr,
    details: Json,
) {
    let record = AuditRecord {
        at: state.now(),
        actor,
        action: action.to_owned(),
        target: target.chars().take(500).collect(),
        project,
        address: Some(address.to_string()),
        details,
    };
    tracing::info!(target: "oxide_api::audit", actor = record.actor, action, path = record.target, "audit");
    let written = async {
        let mut transaction = state.store.begin().await?;
        transaction.append_audit(std::slice::from_ref(&record)).await?;
        transaction.commit().await
    };
    if let Err(error) = written.await {
        tracing::error!(?record, "could not write the audit log: {}", crate::error::chain(&error));
    }
}

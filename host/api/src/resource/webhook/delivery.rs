//! What forges sent: listed, read, and taken once more.

use axum::extract::State;
use oxide_core::{
    access::Role,
    api::{
        error::ErrorKind,
        page::{Page, PageQuery},
        webhook::{Delivery, DeliveryDetails},
    },
    event::{Event, WebhookReceived},
    id::DeliveryId,
};
use oxide_store::{DeliveryContent, DeliveryFilter, DeliveryRow, WriteBatch};
use uuid::Uuid;

use super::kind;
use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Created, Json, Path, Query},
    page,
    resource::project,
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/projects/{project}/deliveries", "list_deliveries", list)
            .tag(Tag::Webhooks)
            .access(Access::Project(Role::Maintainer))
            .summary("Lists the webhooks that arrived for a project, newest first.")
            .query::<PageQuery>()
            .answer::<Page<Delivery>>(200, "Deliveries."),
        Route::get("/api/v1/deliveries/{delivery}", "get_delivery", get)
            .tag(Tag::Webhooks)
            .access(Access::Project(Role::Maintainer))
            .summary("Reads a webhook with its headers and its body.")
            .answer::<DeliveryDetails>(200, "The delivery."),
        Route::post("/api/v1/deliveries/{delivery}/redeliver", "redeliver", redeliver)
            .tag(Tag::Webhooks)
            .access(Access::Project(Role::Maintainer))
            .summary("Takes a webhook once more, as if it came again.")
            .answer::<Delivery>(201, "The new delivery.")
            .errors(&[ErrorKind::Conflict]),
    ]
}

fn shown(row: DeliveryRow) -> Option<Delivery> {
    Some(Delivery {
        id: row.id,
        forge: row.forge,
        project: row.project?,
        event: row.event,
        forge_id: row.forge_id,
        signature_ok: row.signature_ok,
        received_at: row.received_at,
        result: row.result,
    })
}

async fn find(
    state: &ServerState,
    caller: &Caller,
    reference: &str,
) -> Result<(DeliveryRow, DeliveryContent), ApiError> {
    let missing = || ApiError::not_found("delivery", reference);
    let found = match reference.parse::<DeliveryId>() {
        Ok(id) => state.store.delivery(id).await?,
        Err(_) => None,
    };
    let Some((found, project)) = found.and_then(|found| found.0.project.map(|project| (found, project))) else {
        let _ = caller.hidden();
        return Err(missing());
    };
    match caller.check(project) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
        checked => checked.map(|()| found),
    }
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Path(project): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Delivery>>, ApiError> {
    let project = project::find(&state, &caller, &project, Role::Maintainer).await?;
    let filter = DeliveryFilter { projects: Some(vec![project.id]), ..DeliveryFilter::default() };
    let found = state.store.deliveries(&filter, &page::request_of(query)?).await?;
    let items = found.items.into_iter().filter_map(shown).collect();
    Ok(Json(Page { items, next_cursor: found.next_cursor }))
}

async fn get(
    State(state): State<ServerState>,
    caller: Caller,
    Path(delivery): Path<String>,
) -> Result<Json<DeliveryDetails>, ApiError> {
    let (row, content) = find(&state, &caller, &delivery).await?;
    let about = shown(row).ok_or_else(|| ApiError::not_found("delivery", delivery))?;
    let body = String::from_utf8_lossy(&content.body).into_owned();
    Ok(Json(DeliveryDetails { about, headers: content.headers, body }))
}

async fn redeliver(
    State(state): State<ServerState>,
    caller: Caller,
    Path(delivery): Path<String>,
) -> Result<Created<Delivery>, ApiError> {
    let (row, _) = find(&state, &caller, &delivery).await?;
    if !row.signature_ok {
        return Err(ApiError::conflict("its signature is wrong: what it brought was not kept"));
    }
    let (now, id) = (state.now(), DeliveryId(Uuid::now_v7()));
    let missing = || ApiError::not_found("delivery", &delivery);
    let mut transaction = state.store.begin().await?;
    let mut new = transaction.redeliver(row.id, id, now).await?.ok_or_else(missing)?;
    transaction.set_delivery_result(id, "recorded").await?;
    new.result = Some("recorded".to_owned());
    let project = new.project.ok_or_else(missing)?;
    let mut batch = WriteBatch::default();
    let received = WebhookReceived { delivery: id, event: new.event.clone(), repository: None };
    batch.event(Event::of_project(project, now, kind(new.forge, received)));
    transaction.write(&batch).await?;
    transaction.commit().await?;
    let new = shown(new).ok_or_else(missing)?;
    Ok(Created(format!("/api/v1/deliveries/{id}"), new))
}

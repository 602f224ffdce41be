//! Webhooks as they were received, so that one can be looked at and delivered once more.

use std::collections::BTreeMap;

use oxide_core::{
    api::{page::Page, webhook::Forge},
    id::{DeliveryId, ProjectId},
    time::Timestamp,
};

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::List,
    row::{get, json, maybe_parse, number, parse, time, to_json, to_word, word},
    sql::{Row, query},
};

/// A webhook in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The id.
    pub id: DeliveryId,
    /// Who sent it.
    pub forge: Forge,
    /// The project that it was sent to.
    pub project: Option<ProjectId>,
    /// What the forge calls it, such as `push`.
    pub event: String,
    /// The id that the forge gave it.
    pub forge_id: Option<String>,
    /// Was it signed with the secret of the project?
    pub signature_ok: bool,
    /// When it came.
    pub received_at: Timestamp,
    /// What became of it; none as long as nobody has handled it.
    pub result: Option<String>,
    /// The delivery that this one repeats.
    pub redelivery_of: Option<DeliveryId>,
    /// The SHA-256 of its body, if that is signed.
    pub body_digest: Option<String>,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryContent {
    /// The headers, but for those that hold a secret.
    pub headers: BTreeMap<String, String>,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// Which webhooks are wanted.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only those of these projects; none means all.
    pub projects: Option<Vec<ProjectId>>,
    /// Only those of this forge.
    pub forge: Option<Forge>,
    /// Only those with this event.
    pub event: Option<String>,
}

const COLUMNS: &str = "id, source, project, event, delivery_id, signature_ok, received_at, result, redelivery_of, \
                       body_digest";

fn read(row: &Row) -> Result<DeliveryRow, StoreError> {
    Ok(DeliveryRow {
        id: parse(row, "id")?,
        forge: word(row, "source")?,
        project: maybe_parse(row, "project")?,
        event: get(row, "event")?,
        forge_id: get(row, "delivery_id")?,
        signature_ok: number::<i64>(row, "signature_ok")? != 0,
        received_at: time(row, "received_at")?,
        result: get(row, "result")?,
        redelivery_of: maybe_parse(row, "redelivery_of")?,
        body_digest: get(row, "body_digest")?,
    })
}

pub(crate) const PRUNE_REFUSED: &str = "DELETE FROM deliveries WHERE project = $1 AND signature_ok = 0 AND id NOT IN (SELECT id \
                                        FROM deliveries WHERE project = $1 AND signature_ok = 0 ORDER BY id DESC LIMIT $2)";

impl Transaction {
    /// Stores a webhook that was received.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn insert_delivery(&mut self, row: &DeliveryRow, content: &DeliveryContent) -> Result<(), StoreError> {
        query(
            "write a webhook",
            "INSERT INTO deliveries (id, source, project, event, delivery_id, signature_ok, headers, body, received_at, \
             result, redelivery_of, body_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(row.id)
        .bind(to_word(&row.forge))
        .bind(row.project)
        .bind(&row.event)
        .bind(&row.forge_id)
        .bind(row.signature_ok)
        .bind(to_json(&content.headers))
        .bind(content.body.as_slice())
        .bind(row.received_at)
        .bind(&row.result)
        .bind(row.redelivery_of)
        .bind(&row.body_digest)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Stores a webhook once more, as if it came again: with its headers and its body, and without a result. None if there is
    /// no such webhook.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn redeliver(
        &mut self,
        original: DeliveryId,
        new: DeliveryId,
        at: Timestamp,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let row = query(
            "write a webhook once more",
            format!(
                "INSERT INTO deliveries (id, source, project, event, delivery_id, signature_ok, headers, body, \
                 received_at, redelivery_of, body_digest) SELECT $1, source, project, event, delivery_id, \
                 signature_ok, headers, body, $2, id, body_digest FROM deliveries WHERE id = $3 RETURNING {COLUMNS}"
            ),
        )
        .bind(new)
        .bind(at)
        .bind(original)
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// Tells what became of a webhook. `false` if there is no such one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn set_delivery_result(&mut self, id: DeliveryId, result: &str) -> Result<bool, StoreError> {
        let text = "UPDATE deliveries SET result = $1 WHERE id = $2";
        Ok(query("write the result of a webhook", text).bind(result).bind(id).execute(self.connection()).await? == 1)
    }

    /// Forgets the webhooks of a project whose signature was wrong, but for the newest ones.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn prune_refused_deliveries(&mut self, project: ProjectId, keep: u32) -> Result<u64, StoreError> {
        query("remove refused webhooks", PRUNE_REFUSED).bind(project).bind(keep).execute(self.connection()).await
    }

    /// Forgets webhooks from before this time. Returns how many.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn prune_deliveries(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let text = "DELETE FROM deliveries WHERE received_at < $1";
        query("remove old webhooks", text).bind(before).execute(self.connection()).await
    }
}

impl Store {
    /// A webhook with what was sent.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<(DeliveryRow, DeliveryContent)>, StoreError> {
        let text = format!("SELECT {COLUMNS}, headers, body FROM deliveries WHERE id = $1");
        let row = query("read a webhook", text).bind(id).fetch_optional(&mut self.reader().await?).await?;
        let content = |row: &Row| Ok(DeliveryContent { headers: json(row, "headers")?, body: get(row, "body")? });
        row.map(|row| Ok((read(&row)?, content(&row)?))).transpose()
    }

    /// The newest webhook of a project that the forge gave this id, or that came with this signed body since a time: forges
    /// send one again if they got no answer, and others may if they have seen one. Only those whose signature was right.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn known_delivery(
        &self,
        (project, forge): (ProjectId, Forge),
        forge_id: Option<&str>,
        signed_body: Option<(&str, Timestamp)>,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM deliveries WHERE project = $1 AND source = $2 AND signature_ok = 1 \
             AND (delivery_id = $3 OR (body_digest = $4 AND received_at > $5)) ORDER BY id DESC LIMIT 1"
        );
        let row = query("read a webhook", text)
            .bind(project)
            .bind(to_word(&forge))
            .bind(forge_id)
            .bind(signed_body.map(|(digest, _)| digest))
            .bind(signed_body.map(|(_, since)| since));
        row.fetch_optional(&mut self.reader().await?).await?.as_ref().map(read).transpose()
    }

    /// Webhooks, newest first.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        request: &PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let rows = List::new("list webhooks", &format!("SELECT {COLUMNS} FROM deliveries"))
            .one_of("project", filter.projects.as_deref())
            .maybe("source = ?", filter.forge.as_ref().map(to_word))
            .maybe("event = ?", filter.event.as_deref())
            .maybe("id < ?", request.key::<DeliveryId>()?)
            .fetch(&mut self.reader().await?, "id DESC", request)
            .await?;
        let deliveries = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(deliveries, |last: &DeliveryRow| last.id.to_string()))
    }
}

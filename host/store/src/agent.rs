//! Agents: who they are, what their machines can do, and when they were heard of last.

use oxide_core::{
    api::page::Page,
    event::AgentStatus,
    id::AgentId,
    protocol::{AgentCapability, SystemMetrics},
    time::Timestamp,
};

use crate::{
    CredentialHash, PageRequest, Store, StoreError, Transaction,
    list::{List, cursor_of},
    row::{get, json, maybe_json, maybe_time, number, parse, time, to_json, to_word, word},
    sql::{Connection, Row, query, write_rows},
};

/// Heartbeats come every 10 s. An agent that was silent for so long counts as offline.
pub const OFFLINE_AFTER_MS: u64 = 30_000;

/// What is known of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentRow {
    /// The id.
    pub id: AgentId,
    /// A name for people.
    pub name: String,
    /// Labels that jobs ask for.
    pub labels: Vec<String>,
    /// What its machine can do.
    pub capabilities: Vec<AgentCapability>,
    /// How many jobs it runs at the same time.
    pub slots: u32,
    /// The version of its program; empty if it did not say.
    pub version: String,
    /// When it registered last.
    pub registered_at: Timestamp,
    /// What the world was told of it last. How it is now tells [`AgentRow::status_at`].
    pub status: AgentStatus,
    /// When it was heard of last.
    pub last_heartbeat_at: Option<Timestamp>,
    /// How its machine fares, as it said then.
    pub metrics: Option<SystemMetrics>,
    /// It takes no more jobs.
    pub draining: bool,
    /// Since when it is no agent of ours any more: its credential is refused.
    pub deregistered_at: Option<Timestamp>,
}

impl AgentRow {
    /// How it is at this time. Follows from what is stored and the time alone.
    pub fn status_at(&self, now: Timestamp) -> AgentStatus {
        let heard = self.last_heartbeat_at.is_some_and(|last| now.millis_since(last) < OFFLINE_AFTER_MS);
        match self.status {
            _ if !heard || self.deregistered_at.is_some() => AgentStatus::Offline,
            _ if self.draining => AgentStatus::Draining,
            AgentStatus::Busy => AgentStatus::Busy,
            AgentStatus::Idle | AgentStatus::Draining | AgentStatus::Offline => AgentStatus::Idle,
        }
    }
}

const SELECT: &str = "SELECT id, name, labels, capabilities, slots, version, registered_at, status, last_heartbeat_at, \
                      metrics, draining, deregistered_at FROM agents";

fn read(row: &Row) -> Result<AgentRow, StoreError> {
    Ok(AgentRow {
        id: parse(row, "id")?,
        name: get(row, "name")?,
        labels: json(row, "labels")?,
        capabilities: json(row, "capabilities")?,
        slots: number(row, "slots")?,
        version: get(row, "version")?,
        registered_at: time(row, "registered_at")?,
        status: word(row, "status")?,
        last_heartbeat_at: maybe_time(row, "last_heartbeat_at")?,
        metrics: maybe_json(row, "metrics")?,
        draining: number::<i64>(row, "draining")? != 0,
        deregistered_at: maybe_time(row, "deregistered_at")?,
    })
}

/// Writes agents as they are to be, but for their credentials.
pub(crate) async fn write(connection: &mut Connection, agents: &[&AgentRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO agents (id, name, labels, capabilities, slots, version, registered_at, status, last_heartbeat_at, \
         metrics, draining, deregistered_at) ",
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, labels = excluded.labels, \
         capabilities = excluded.capabilities, slots = excluded.slots, version = excluded.version, \
         registered_at = excluded.registered_at, status = excluded.status, \
         last_heartbeat_at = excluded.last_heartbeat_at, metrics = excluded.metrics, draining = excluded.draining, \
         deregistered_at = excluded.deregistered_at",
    );
    write_rows(connection, "write agents", sql, agents, |values, agent| {
        values
            .bind(agent.id)
            .bind(&agent.name)
            .bind(to_json(&agent.labels))
            .bind(to_json(&agent.capabilities))
            .bind(agent.slots)
            .bind(&agent.version)
            .bind(agent.registered_at)
            .bind(to_word(&agent.status))
            .bind(agent.last_heartbeat_at)
            .bind(agent.metrics.as_ref().map(to_json))
            .bind(agent.draining)
            .bind(agent.deregistered_at)
    })
    .await?;
    Ok(())
}

impl Transaction {
    /// Gives an agent a credential in the place of the one that it had. `false` if there is no such agent.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn set_agent_credential(&mut self, id: AgentId, hash: &CredentialHash) -> Result<bool, StoreError> {
        let text = "UPDATE agents SET credential_hash = $1 WHERE id = $2";
        let changed = query("write the credential of an agent", text).bind(hash.as_str()).bind(id);
        Ok(changed.execute(self.connection()).await? == 1)
    }

    /// Lets an agent take no more jobs, or take jobs again. `false` if there is no such agent, or it is deregistered.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn drain_agent(&mut self, id: AgentId, draining: bool) -> Result<bool, StoreError> {
        let text = "UPDATE agents SET draining = $1 WHERE id = $2 AND deregistered_at IS NULL";
        let changed = query("drain an agent", text).bind(draining).bind(id);
        Ok(changed.execute(self.connection()).await? == 1)
    }

    /// Ends that a process is an agent of ours. `false` if there is no such agent, or it was deregistered before.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn deregister_agent(&mut self, id: AgentId, at: Timestamp) -> Result<bool, StoreError> {
        let text = "UPDATE agents SET deregistered_at = $1 WHERE id = $2 AND deregistered_at IS NULL";
        let changed = query("deregister an agent", text).bind(at).bind(id);
        Ok(changed.execute(self.connection()).await? == 1)
    }

    /// An agent by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn agent(&mut self, id: AgentId) -> Result<Option<AgentRow>, StoreError> {
        let row = query("read an agent", format!("{SELECT} WHERE id = $1")).bind(id);
        row.fetch_optional(self.connection()).await?.as_ref().map(read).transpose()
    }
}

impl Store {
    /// An agent by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn agent(&self, id: AgentId) -> Result<Option<AgentRow>, StoreError> {
        let row = query("read an agent", format!("{SELECT} WHERE id = $1")).bind(id);
        row.fetch_optional(&mut self.reader().await?).await?.as_ref().map(read).transpose()
    }

    /// The agent with this credential: one read by an index. Whether it is deregistered is for the caller to look at.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn agent_by_credential(&self, hash: &CredentialHash) -> Result<Option<AgentRow>, StoreError> {
        let row = query("look for an agent", format!("{SELECT} WHERE credential_hash = $1")).bind(hash.as_str());
        row.fetch_optional(&mut self.reader().await?).await?.as_ref().map(read).transpose()
    }

    /// The labels that an agent has whatever it says; none lets it say them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn fixed_labels(&self, id: AgentId) -> Result<Option<Vec<String>>, StoreError> {
        let row = query("read the labels of an agent", "SELECT fixed_labels FROM agents WHERE id = $1").bind(id);
        let row = row.fetch_optional(&mut self.reader().await?).await?;
        Ok(row.map(|row| maybe_json(&row, "fixed_labels")).transpose()?.flatten())
    }

    /// All agents, by name, but for those that are deregistered.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let rows = query("read the agents", format!("{SELECT} WHERE deregistered_at IS NULL ORDER BY name, id"));
        rows.fetch_all(&mut self.reader().await?).await?.iter().map(read).collect()
    }

    /// Agents by name, those that are deregistered only if they are wanted.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn list_agents(
        &self,
        with_deregistered: bool,
        request: &PageRequest,
    ) -> Result<Page<AgentRow>, StoreError> {
        let mut list = List::new("list agents", SELECT).after_both(("name", "id"), request.texts::<2>()?);
        if !with_deregistered {
            list = list.plainly("deregistered_at IS NULL");
        }
        let rows = list.fetch(&mut self.reader().await?, "name, id", request).await?;
        let agents = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(agents, |last: &AgentRow| cursor_of(&[&last.name, &last.id.to_string()])))
    }
}

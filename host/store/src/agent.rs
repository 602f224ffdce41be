//! Agents that have registered.

use oxide_core::{id::AgentId, time::Timestamp};
use sqlx::SqliteConnection;

use crate::{
    Store, StoreError,
    row::{get, json, number, parse, time, to_json, write_rows},
};

/// What is known of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// The id that it chose.
    pub id: AgentId,
    /// A name for people.
    pub name: String,
    /// Labels that jobs ask for.
    pub labels: Vec<String>,
    /// How many jobs it runs at the same time.
    pub slots: u32,
    /// When it registered.
    pub registered_at: Timestamp,
}

pub(crate) async fn write(connection: &mut SqliteConnection, agents: &[&AgentRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO agents (id, name, labels, slots, registered_at) ",
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, labels = excluded.labels, slots = excluded.slots, \
         registered_at = excluded.registered_at",
    );
    write_rows(connection, "write agents", sql, agents, |mut row, agent| {
        row.push_bind(agent.id.to_string())
            .push_bind(agent.name.clone())
            .push_bind(to_json(&agent.labels))
            .push_bind(i64::from(agent.slots))
            .push_bind(agent.registered_at.0);
    })
    .await?;
    Ok(())
}

impl Store {
    /// The agents that ever registered, by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let rows = sqlx::query("SELECT id, name, labels, slots, registered_at FROM agents ORDER BY name, id")
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(StoreError::query("read the agents"))?;
        rows.iter()
            .map(|row| {
                Ok(AgentRow {
                    id: parse(row, "id")?,
                    name: get(row, "name")?,
                    labels: json(row, "labels")?,
                    slots: number(row, "slots")?,
                    registered_at: time(row, "registered_at")?,
                })
            })
            .collect()
    }
}

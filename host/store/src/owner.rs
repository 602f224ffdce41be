//! Processes that own runs. A run whose owner is dead was interrupted.

use std::{fmt, str::FromStr};

use oxide_core::{id::AgentId, time::Timestamp};
use uuid::Uuid;

use crate::{
    Store, StoreError, Transaction,
    row::{get, number, parse, time},
    sql::{Connection, query},
};

/// One life of a process that owns runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub Uuid);

impl OwnerId {
    /// The owner of all runs of servers. Whichever leads goes on with them.
    pub const SERVER: OwnerId = OwnerId(Uuid::nil());
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OwnerId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl From<AgentId> for OwnerId {
    /// The process of a single agent that runs its own pipelines, as `oxide run` does.
    fn from(agent: AgentId) -> OwnerId {
        OwnerId(agent.0)
    }
}

/// What is known of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The id.
    pub id: OwnerId,
    /// The process id.
    pub pid: u32,
    /// The name of the machine.
    pub host: String,
    /// When it began.
    pub started_at: Timestamp,
}

impl Transaction {
    /// Makes an owner known, or changes what is known of it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_owner(&mut self, owner: &Owner) -> Result<(), StoreError> {
        query(
            "write an owner",
            "INSERT INTO owners (id, pid, host, started_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET pid = excluded.pid, host = excluded.host, started_at = excluded.started_at",
        )
        .bind(owner.id)
        .bind(owner.pid)
        .bind(&owner.host)
        .bind(owner.started_at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets an owner. Its runs stay.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn remove_owner(&mut self, id: OwnerId) -> Result<(), StoreError> {
        query("remove an owner", "DELETE FROM owners WHERE id = $1").bind(id).execute(self.connection()).await?;
        Ok(())
    }

    /// The owners that are known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn owners(&mut self) -> Result<Vec<Owner>, StoreError> {
        read(self.connection()).await
    }
}

impl Store {
    /// The owners that are known, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn owners(&self) -> Result<Vec<Owner>, StoreError> {
        read(&mut self.reader().await?).await
    }
}

async fn read(connection: &mut Connection) -> Result<Vec<Owner>, StoreError> {
    let rows = query("read the owners", "SELECT id, pid, host, started_at FROM owners ORDER BY started_at, id")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let (id, started_at) = (parse(row, "id")?, time(row, "started_at")?);
            Ok(Owner { id, pid: number(row, "pid")?, host: get(row, "host")?, started_at })
        })
        .collect()
}

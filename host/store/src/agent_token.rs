//! One-time tokens with which agents join.

use oxide_core::{
    api::page::Page,
    id::{AgentId, AgentTokenId, UserId},
    time::Timestamp,
};

use crate::{
    AgentRow, CredentialHash, PageRequest, Store, StoreError, Transaction, agent,
    list::List,
    row::{get, maybe_json, maybe_parse, maybe_time, parse, time, to_json},
    sql::{Row, query},
};

/// What is known of a one-time token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentTokenRow {
    /// The id.
    pub id: AgentTokenId,
    /// What it was made for, for people.
    pub name: String,
    /// The labels of the agent that joins with it; none lets the agent say them.
    pub labels: Option<Vec<String>>,
    /// Who made it; none if that was the server itself.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when an agent may join with it.
    pub expires_at: Timestamp,
    /// When an agent joined with it.
    pub used_at: Option<Timestamp>,
    /// Which agent that was.
    pub used_by: Option<AgentId>,
}

/// What became of an agent that wanted to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// The agent is stored with its credential, and the token is used up.
    Joined,
    /// There is no such token.
    Unknown,
    /// Its time is over.
    Expired,
    /// An agent has joined with it before.
    Used,
}

const SELECT: &str = "SELECT id, name, labels, created_by, created_at, expires_at, used_at, used_by FROM agent_tokens";

fn read(row: &Row) -> Result<AgentTokenRow, StoreError> {
    Ok(AgentTokenRow {
        id: parse(row, "id")?,
        name: get(row, "name")?,
        labels: maybe_json(row, "labels")?,
        created_by: maybe_parse(row, "created_by")?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        used_at: maybe_time(row, "used_at")?,
        used_by: maybe_parse(row, "used_by")?,
    })
}

impl Transaction {
    /// Stores a new one-time token by its hash.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn insert_agent_token(&mut self, token: &AgentTokenRow, hash: &CredentialHash) -> Result<(), StoreError> {
        query(
            "write a one-time token",
            "INSERT INTO agent_tokens (id, hash, name, labels, created_by, created_at, expires_at, used_at, used_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(token.id)
        .bind(hash.as_str())
        .bind(&token.name)
        .bind(token.labels.as_ref().map(to_json))
        .bind(token.created_by)
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(token.used_at)
        .bind(token.used_by)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Stores an agent with its credential, for a one-time token: of several that come with the same one, one joins. It gets
    /// the labels of the token, if the token has some.
    ///
    /// # Errors
    /// The store cannot be written, or there is an agent with this credential.
    pub async fn join_agent(
        &mut self,
        token: &CredentialHash,
        agent: &AgentRow,
        credential: &CredentialHash,
        now: Timestamp,
    ) -> Result<Joining, StoreError> {
        let used = query(
            "use a one-time token",
            "UPDATE agent_tokens SET used_at = $1, used_by = $2 \
             WHERE hash = $3 AND used_at IS NULL AND expires_at > $1",
        )
        .bind(now)
        .bind(agent.id)
        .bind(token.as_str())
        .execute(self.connection())
        .await?;
        if used == 1 {
            agent::write(self.connection(), &[agent]).await?;
            self.set_agent_credential(agent.id, credential).await?;
            query(
                "write the labels of an agent",
                "UPDATE agents SET fixed_labels = token.labels, labels = COALESCE(token.labels, agents.labels) \
                 FROM (SELECT labels FROM agent_tokens WHERE hash = $1) AS token WHERE agents.id = $2",
            )
            .bind(token.as_str())
            .bind(agent.id)
            .execute(self.connection())
            .await?;
            return Ok(Joining::Joined);
        }
        let found = query("read a one-time token", format!("{SELECT} WHERE hash = $1")).bind(token.as_str());
        let found = found.fetch_optional(self.connection()).await?;
        Ok(match found.as_ref().map(read).transpose()? {
            None => Joining::Unknown,
            Some(token) if token.used_at.is_some() => Joining::Used,
            Some(_) => Joining::Expired,
        })
    }

    /// Removes a one-time token; an agent that joined with it stays. `false` if there is no such token.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn remove_agent_token(&mut self, id: AgentTokenId) -> Result<bool, StoreError> {
        let removed = query("remove a one-time token", "DELETE FROM agent_tokens WHERE id = $1").bind(id);
        Ok(removed.execute(self.connection()).await? == 1)
    }

    /// Forgets one-time tokens whose time was over before. Returns how many.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn prune_agent_tokens(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let text = "DELETE FROM agent_tokens WHERE expires_at < $1";
        query("remove old one-time tokens", text).bind(before).execute(self.connection()).await
    }
}

impl Store {
    /// One-time tokens, newest first.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn agent_tokens(&self, request: &PageRequest) -> Result<Page<AgentTokenRow>, StoreError> {
        let rows = List::new("list one-time tokens", SELECT)
            .maybe("id < ?", request.key::<AgentTokenId>()?)
            .fetch(&mut self.reader().await?, "id DESC", request)
            .await?;
        let tokens = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(tokens, |last: &AgentTokenRow| last.id.to_string()))
    }
}

//! How far readers of the outbox have come.

use crate::{
    Store, StoreError, Transaction,
    row::number,
    sql::{Connection, query},
};

async fn read(connection: &mut Connection, name: &str) -> Result<u64, StoreError> {
    let row = query("read a cursor", "SELECT seq FROM cursors WHERE name = $1").bind(name);
    row.fetch_optional(connection).await?.map_or(Ok(0), |row| number(&row, "seq"))
}

impl Transaction {
    /// Tells that a reader has come so far. It never goes back: a lower number changes nothing.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_cursor(&mut self, name: &str, seq: u64) -> Result<(), StoreError> {
        query(
            "write a cursor",
            "INSERT INTO cursors (name, seq) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq \
             WHERE cursors.seq < excluded.seq",
        )
        .bind(name)
        .bind(seq)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// How far a reader has come; 0 if it has not begun.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn cursor(&mut self, name: &str) -> Result<u64, StoreError> {
        read(self.connection(), name).await
    }
}

impl Store {
    /// How far a reader has come; 0 if it has not begun.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn cursor(&self, name: &str) -> Result<u64, StoreError> {
        read(&mut self.reader().await?, name).await
    }
}

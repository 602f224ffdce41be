//! Settings that all servers on one store share. What must not be read by others is a secret of the server instead:
//! [`crate::SecretScope::Server`].

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Store, StoreError, Transaction,
    row::{json, to_json},
    sql::{Connection, query},
};

async fn read<T: DeserializeOwned>(connection: &mut Connection, name: &str) -> Result<Option<T>, StoreError> {
    let row = query("read a setting", "SELECT value FROM settings WHERE name = $1").bind(name);
    row.fetch_optional(connection).await?.map(|row| json(&row, "value")).transpose()
}

impl Transaction {
    /// Stores a setting in the place of the value that it had.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_setting(&mut self, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        query(
            "write a setting",
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(to_json(value))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Stores a setting unless it has a value. `true` if it had none: of several that do so, one gets `true`.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn claim_setting(&mut self, name: &str, value: &impl Serialize) -> Result<bool, StoreError> {
        let written = query(
            "write a setting",
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(to_json(value))
        .execute(self.connection())
        .await?;
        Ok(written == 1)
    }

    /// Removes a setting. `false` if it had no value.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn remove_setting(&mut self, name: &str) -> Result<bool, StoreError> {
        let removed = query("remove a setting", "DELETE FROM settings WHERE name = $1").bind(name);
        Ok(removed.execute(self.connection()).await? == 1)
    }

    /// The value of a setting.
    ///
    /// # Errors
    /// The store cannot be read, or holds something else.
    pub async fn setting<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, StoreError> {
        read(self.connection(), name).await
    }
}

impl Store {
    /// The value of a setting.
    ///
    /// # Errors
    /// The store cannot be read, or holds something else.
    pub async fn setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        read(&mut self.reader().await?, name).await
    }
}

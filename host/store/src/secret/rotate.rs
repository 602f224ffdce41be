//! Exchanges the master keys while servers run: a new key, every value encrypted with it, the old keys gone.
//!
//! Each batch is a transaction of its own, so that a value is always readable with a key that is there, whatever dies when. A
//! server that writes with the old key meanwhile keeps that key in the store (its row is referred to), and is waited for.

use std::path::Path;

use oxide_core::time::Timestamp;

use super::{
    KeySource, Vault, VaultError, crypto,
    master_keys::{self, MasterKey},
    vault::{SEALED, insert_key, read_sealed},
};
use crate::{
    StoreError,
    row::number,
    sql::{Row, query},
};

/// How many values one transaction encrypts anew.
const BATCH: u32 = 100;
/// How often secrets that somebody wrote with an old key meanwhile are gone after.
const ROUNDS: u32 = 5;

/// What an exchange of keys has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The number of the key that all values are encrypted with now.
    pub version: u64,
    /// How many values were encrypted anew.
    pub reencrypted: u64,
    /// The numbers of the keys that are gone.
    pub dropped: Vec<u64>,
}

impl Vault {
    /// Takes a new key, encrypts every value with it, and drops the old keys from the store and from the key file. One that was
    /// interrupted is ended by the next.
    ///
    /// The new key is one that all servers were given beforehand, with the next number, in their key files or environments; if
    /// there is none, and the keys are in a file, one is made. Servers with key files of their own cannot read what is encrypted
    /// with such a one until they get a copy.
    ///
    /// # Errors
    /// Somebody else does it now, a value cannot be read, the file cannot be written, or the store fails. What was done until
    /// then stays, and every value can be read.
    pub async fn rotate(&self, now: Timestamp) -> Result<Rotation, VaultError> {
        let path = match &self.source {
            KeySource::File(path) => Some(path.clone()),
            KeySource::Environment(_) => None,
        };
        let _lock = match &path {
            Some(path) => Some(master_keys::try_lock(path)?.ok_or(VaultError::Rotating)?),
            None => None,
        };
        let version = self.take_new_key(path.as_deref(), now).await?;
        let mut reencrypted = 0;
        for _ in 0..ROUNDS {
            loop {
                let (found, changed) = self.reencrypt_batch(version).await?;
                reencrypted += changed;
                if found == 0 {
                    break;
                }
            }
            if let Some(dropped) = self.drop_keys_before(version).await? {
                if let Some(path) = &path {
                    let mut keys = self.source.read()?;
                    keys.retain(|version| !dropped.contains(&version));
                    master_keys::replace(path, &keys)?;
                }
                return Ok(Rotation { version, reencrypted, dropped });
            }
        }
        Err(VaultError::StillUsed)
    }

    /// Makes a key that is newer than those of the store known to it. Returns its number.
    async fn take_new_key(&self, path: Option<&Path>, now: Timestamp) -> Result<u64, VaultError> {
        let mut keys = self.source.read()?;
        let row = query("read the keys", "SELECT MAX(version) AS version, COUNT(*) AS keys FROM keys");
        let row = row.fetch_one(&mut self.store.reader().await?).await?;
        let last: u64 = number(&row, "version")?;
        if keys.newest().version() <= last {
            match path {
                // First the file: a key that the store knows and nobody has would be the end of all secrets.
                Some(path) => {
                    keys.insert(MasterKey::generate(last + 1)?);
                    master_keys::replace(path, &keys)?;
                }
                None if number::<u64>(&row, "keys")? > 1 => return Ok(last),
                None => return Err(VaultError::KeysOfEnvironment),
            }
        }
        self.hold(&keys);
        let mut transaction = self.store.begin().await?;
        if !insert_key(&mut transaction, &keys.newest(), now).await? {
            return Err(VaultError::Rotating);
        }
        transaction.commit().await?;
        Ok(keys.newest().version())
    }

    /// Encrypts some values with this key that have an older one. Returns how many there were, and how many were still the same
    /// when they were written.
    async fn reencrypt_batch(&self, version: u64) -> Result<(usize, u64), VaultError> {
        let mut transaction = self.store.begin().await?;
        let key = self.key(transaction.connection(), version).await?;
        let rows = query("read secrets", format!("{SEALED} WHERE key_version < $1 ORDER BY key_version, id LIMIT $2"))
            .bind(version)
            .bind(BATCH)
            .fetch_all(transaction.connection())
            .await?;
        let mut changed = 0;
        for row in &rows {
            let row = read_sealed(row)?;
            let clear = self.unseal(transaction.connection(), &row).await?;
            let sealed = crypto::seal(&key, &crypto::place(row.owner, &row.name), &clear.0)?;
            // Not over a value that somebody has set since it was read: its nonce is another one.
            let text = "UPDATE secrets SET key_version = $1, nonce = $2, value = $3 WHERE id = $4 AND nonce = $5";
            changed += query("encrypt a secret anew", text)
                .bind(version)
                .bind(sealed.nonce.as_slice())
                .bind(sealed.bytes)
                .bind(row.id)
                .bind(row.nonce)
                .execute(transaction.connection())
                .await?;
        }
        transaction.commit().await?;
        Ok((rows.len(), changed))
    }

    /// Removes the older keys from the store; none if a secret was written with one of them meanwhile.
    async fn drop_keys_before(&self, version: u64) -> Result<Option<Vec<u64>>, VaultError> {
        let mut transaction = self.store.begin().await?;
        let text = "DELETE FROM keys WHERE version < $1 RETURNING version";
        let removed = query("remove old keys", text).bind(version).fetch_all(transaction.connection()).await;
        match removed {
            Ok(rows) => {
                let dropped = rows.iter().map(|row: &Row| number(row, "version")).collect::<Result<_, _>>()?;
                transaction.commit().await?;
                Ok(Some(dropped))
            }
            Err(StoreError::Query { cause, .. })
                if cause.as_database_error().is_some_and(|error| error.is_foreign_key_violation()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

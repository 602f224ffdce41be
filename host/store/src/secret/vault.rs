//! Puts values in, and takes them out for jobs.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use oxide_core::{
    id::{PipelineId, ProjectId, SecretId, UserId},
    secret::{SecretValue, Secrets},
    time::Timestamp,
};
use uuid::Uuid;

use super::{
    KeySource, SecretOwner, VaultError,
    crypto::{self, Clear},
    master_keys::{MasterKey, MasterKeys},
};
use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::List,
    row::{get, number, parse},
    sql::{Connection, Row, query},
};

/// The secrets of a store, with the keys to read them. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    pub(super) store: Store,
    pub(super) source: KeySource,
    keys: Arc<RwLock<MasterKeys>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("source", &self.source).finish_non_exhaustive()
    }
}

/// A secret that is to be stored.
#[derive(Clone, Debug)]
pub struct NewSecret<'a> {
    /// The id, if it is a new one; one that is there keeps its own.
    pub id: SecretId,
    /// Whose it is.
    pub owner: SecretOwner,
    /// The name.
    pub name: &'a str,
    /// The value.
    pub value: &'a SecretValue,
    /// Who sets it.
    pub by: Option<UserId>,
    /// When.
    pub at: Timestamp,
}

/// The values of secrets that were asked for by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The values that there are.
    pub values: Secrets,
    /// Names that have none, in their order.
    pub missing: Vec<String>,
}

/// A stored value with what is needed to read it.
pub(super) struct SealedRow {
    pub(super) id: SecretId,
    pub(super) owner: SecretOwner,
    pub(super) name: String,
    pub(super) key_version: u64,
    pub(super) nonce: Vec<u8>,
    pub(super) value: Vec<u8>,
}

pub(super) const SEALED: &str = "SELECT id, scope, scope_id, name, key_version, nonce, value FROM secrets";

pub(super) fn read_sealed(row: &Row) -> Result<SealedRow, StoreError> {
    Ok(SealedRow {
        id: parse(row, "id")?,
        owner: SecretOwner::read(row)?,
        name: get(row, "name")?,
        key_version: number(row, "key_version")?,
        nonce: get(row, "nonce")?,
        value: get(row, "value")?,
    })
}

/// The keys that the store knows, by number, with what tells them.
async fn known_keys(connection: &mut Connection) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
    let rows = query("read the keys", "SELECT version, check_value FROM keys").fetch_all(connection).await?;
    rows.iter().map(|row| Ok((number(row, "version")?, get(row, "check_value")?))).collect()
}

impl Vault {
    /// Opens the secrets of a store. If it has no keys yet, and there is no key file, the file is made with a new one. Keys
    /// that are newer than those of the store are for the next [`Vault::rotate`].
    ///
    /// # Errors
    /// A key that the secrets need is missing or is another one, what should be keys is something else, or the store fails.
    /// [`VaultError::hint`] says what to do.
    pub async fn open(store: &Store, source: KeySource, now: Timestamp) -> Result<Vault, VaultError> {
        let known = known_keys(&mut store.reader().await?).await?;
        let (keys, is_new) = if known.is_empty() { source.read_or_create()? } else { (source.read()?, false) };
        let vault = Vault { store: store.clone(), source, keys: Arc::new(RwLock::new(keys.clone())) };
        let opened = match known.is_empty() {
            true => vault.make_known(&keys, now).await,
            false => vault.compare(&keys, &known).await,
        };
        if let (Err(VaultError::WrongKey { .. }), true, KeySource::File(path)) = (&opened, is_new, &vault.source) {
            // Another server has made a key for this store at the same time, and ours is good for nothing.
            let _ = std::fs::remove_file(path);
            return Err(VaultError::MissingFile { path: path.clone() });
        }
        opened.map(|()| vault)
    }

    /// Does this file hold the key with this number that secrets of the store were encrypted with?
    ///
    /// # Errors
    /// The file cannot be read or holds no keys, or the store fails.
    pub async fn is_key_in(store: &Store, file: &Path, version: u64) -> Result<bool, VaultError> {
        let known = known_keys(&mut store.reader().await?).await?;
        let keys = KeySource::File(file.to_owned()).read()?;
        Ok(keys.get(version).zip(known.get(&version)).is_some_and(|(key, check)| crypto::is_checked(&key, check)))
    }

    /// Makes the newest key that of a store that has none yet.
    async fn make_known(&self, keys: &MasterKeys, now: Timestamp) -> Result<(), VaultError> {
        let mut transaction = self.store.begin().await?;
        insert_key(&mut transaction, &keys.newest(), now).await?;
        let known = known_keys(transaction.connection()).await?;
        transaction.commit().await?;
        self.compare(keys, &known).await
    }

    /// Are these the keys of the store, and are all there that are needed?
    async fn compare(&self, keys: &MasterKeys, known: &BTreeMap<u64, Vec<u8>>) -> Result<(), VaultError> {
        for (version, check) in known {
            match keys.get(*version) {
                Some(key) if crypto::is_checked(&key, check) => {}
                Some(_) => return Err(VaultError::WrongKey { version: *version, origin: self.source.origin() }),
                None => {
                    // New values are encrypted with the newest one.
                    let is_newest = known.keys().next_back() == Some(version);
                    if is_newest || self.is_used(*version).await? {
                        return Err(VaultError::MissingKey { version: *version, origin: self.source.origin() });
                    }
                }
            }
        }
        Ok(())
    }

    async fn is_used(&self, version: u64) -> Result<bool, StoreError> {
        let text = "SELECT id FROM secrets WHERE key_version = $1 LIMIT 1";
        let row = query("look for secrets of a key", text).bind(version);
        Ok(row.fetch_optional(&mut self.store.reader().await?).await?.is_some())
    }

    pub(super) fn held(&self) -> MasterKeys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn hold(&self, keys: &MasterKeys) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).add(keys);
    }

    /// The key with this number. One that another server has made since is looked for where the keys come from.
    pub(super) async fn key(&self, connection: &mut Connection, version: u64) -> Result<Arc<MasterKey>, VaultError> {
        if let Some(key) = self.held().get(version) {
            return Ok(key);
        }
        let missing = || VaultError::MissingKey { version, origin: self.source.origin() };
        let keys = self.source.read()?;
        let key = keys.get(version).ok_or_else(missing)?;
        let known = known_keys(connection).await?;
        if !known.get(&version).is_some_and(|check| crypto::is_checked(&key, check)) {
            return Err(VaultError::WrongKey { version, origin: self.source.origin() });
        }
        self.hold(&keys);
        Ok(key)
    }

    pub(super) async fn unseal(&self, connection: &mut Connection, row: &SealedRow) -> Result<Clear, VaultError> {
        let key = self.key(connection, row.key_version).await?;
        let unreadable = || VaultError::Unreadable { owner: row.owner, name: row.name.clone() };
        crypto::open(&key, &crypto::place(row.owner, &row.name), &row.nonce, &row.value).ok_or_else(unreadable)
    }

    /// Stores a secret in the place of the value that it had. `true` if it had none.
    ///
    /// # Errors
    /// The newest key is missing here, or the store cannot be written.
    pub async fn put(&self, transaction: &mut Transaction, secret: &NewSecret<'_>) -> Result<bool, VaultError> {
        let value = secret.value.expose().as_bytes();
        let place = (secret.owner, secret.name);
        self.write(transaction, secret.id, place, value, secret.by, secret.at, IfThere::Replace).await
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    async fn write(
        &self,
        transaction: &mut Transaction,
        id: SecretId,
        (owner, name): (SecretOwner, &str),
        value: &[u8],
        by: Option<UserId>,
        at: Timestamp,
        if_there: IfThere,
    ) -> Result<bool, VaultError> {
        let connection = transaction.connection();
        let newest = query("read the keys", "SELECT MAX(version) AS version FROM keys").fetch_one(connection).await?;
        let key = self.key(connection, number(&newest, "version")?).await?;
        let sealed = crypto::seal(&key, &crypto::place(owner, name), value)?;
        let (scope, scope_id) = owner.columns();
        let conflict = match if_there {
            IfThere::Replace => {
                "DO UPDATE SET key_version = excluded.key_version, nonce = excluded.nonce, value = excluded.value, \
                 updated_at = excluded.updated_at"
            }
            IfThere::Keep => "DO NOTHING",
        };
        let row = query(
            "write a secret",
            format!(
                "INSERT INTO secrets (id, scope, scope_id, name, key_version, nonce, value, created_by, created_at, \
                 updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) \
                 ON CONFLICT (scope, scope_id, name) {conflict} RETURNING id"
            ),
        )
        .bind(id)
        .bind(scope)
        .bind(scope_id)
        .bind(name)
        .bind(key.version())
        .bind(sealed.nonce.as_slice())
        .bind(sealed.bytes)
        .bind(by)
        .bind(at)
        .fetch_optional(connection)
        .await?;
        let stored: Option<SecretId> = row.map(|row| parse(&row, "id")).transpose()?;
        Ok(stored == Some(id))
    }

    /// The values of these secrets for a job. Of several with a name the nearest one is taken: that of the pipeline, else that of
    /// the project, else that of the organization.
    ///
    /// # Errors
    /// A key is missing, a value was damaged, or the store cannot be read.
    pub async fn resolve<'a>(
        &self,
        project: Option<ProjectId>,
        pipeline: Option<PipelineId>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Resolved, VaultError> {
        let mut missing: Vec<String> = names.into_iter().map(str::to_owned).collect();
        missing.sort();
        missing.dedup();
        let mut values = Secrets::new();
        let nearest_first =
            [pipeline.map(SecretOwner::Pipeline), project.map(SecretOwner::Project), Some(SecretOwner::Organization)];
        let mut connection = self.store.reader().await?;
        for owner in nearest_first.into_iter().flatten() {
            for names in missing.chunks(NAMES_AT_ONCE) {
                for row in self.rows_of(&mut connection, owner, names).await? {
                    let clear = self.unseal(&mut connection, &row).await?;
                    let value = std::str::from_utf8(&clear.0).ok().and_then(|text| SecretValue::new(text).ok());
                    let value = value.ok_or_else(|| VaultError::Unreadable { owner, name: row.name.clone() })?;
                    values.insert(row.name, value);
                }
            }
            missing.retain(|name| !values.contains_key(name));
        }
        Ok(Resolved { values, missing })
    }

    async fn rows_of(
        &self,
        connection: &mut Connection,
        owner: SecretOwner,
        names: &[String],
    ) -> Result<Vec<SealedRow>, StoreError> {
        let (scope, scope_id) = owner.columns();
        let rows = List::new("read secrets", SEALED)
            .only("scope = ?", scope)
            .only("scope_id = ?", scope_id)
            .one_of("name", Some(names))
            .fetch(connection, "name", &PageRequest::first(NAMES_AT_ONCE as u32))
            .await?;
        rows.iter().map(read_sealed).collect()
    }

    /// A secret of the server itself, such as a key that it signs with: any bytes.
    ///
    /// # Errors
    /// A key is missing, the value was damaged, or the store cannot be read.
    pub async fn server_secret(&self, name: &str) -> Result<Option<Vec<u8>>, VaultError> {
        let mut connection = self.store.reader().await?;
        let rows = self.rows_of(&mut connection, SecretOwner::Server, &[name.to_owned()]).await?;
        match rows.first() {
            Some(row) => Ok(Some(self.unseal(&mut connection, row).await?.0.clone())),
            None => Ok(None),
        }
    }

    /// Stores a secret of the server in the place of the value that it had. `true` if it had none.
    ///
    /// # Errors
    /// The newest key is missing here, or the store cannot be written.
    pub async fn put_server_secret(
        &self,
        transaction: &mut Transaction,
        name: &str,
        value: &[u8],
        at: Timestamp,
    ) -> Result<bool, VaultError> {
        let place = (SecretOwner::Server, name);
        self.write(transaction, SecretId(Uuid::now_v7()), place, value, None, at, IfThere::Replace).await
    }

    /// A secret of the server, which is made if there is none yet. Of several servers that make one at the same time all get the
    /// same.
    ///
    /// # Errors
    /// A key is missing, the value was damaged, or the store cannot be written.
    pub async fn server_secret_or(
        &self,
        name: &str,
        now: Timestamp,
        make: impl FnOnce() -> Vec<u8>,
    ) -> Result<Vec<u8>, VaultError> {
        if let Some(value) = self.server_secret(name).await? {
            return Ok(value);
        }
        let made = Clear(make());
        let mut transaction = self.store.begin().await?;
        let (id, place) = (SecretId(Uuid::now_v7()), (SecretOwner::Server, name));
        let is_ours = self.write(&mut transaction, id, place, &made.0, None, now, IfThere::Keep).await?;
        transaction.commit().await?;
        if is_ours {
            return Ok(made.0.clone());
        }
        let stored = self.server_secret(name).await?;
        stored.ok_or_else(|| VaultError::Unreadable { owner: SecretOwner::Server, name: name.to_owned() })
    }
}

/// Names in one statement.
const NAMES_AT_ONCE: usize = 100;

/// What to do with a secret that has a value.
#[derive(Clone, Copy)]
enum IfThere {
    Replace,
    Keep,
}

/// Makes a key known to the store. `false` if its number is known already.
pub(super) async fn insert_key(
    transaction: &mut Transaction,
    key: &MasterKey,
    now: Timestamp,
) -> Result<bool, VaultError> {
    let text =
        "INSERT INTO keys (version, created_at, check_value) VALUES ($1, $2, $3) ON CONFLICT (version) DO NOTHING";
    let check = crypto::check_of(key)?;
    let inserted = query("write a key", text).bind(key.version()).bind(now).bind(check);
    Ok(inserted.execute(transaction.connection()).await? == 1)
}

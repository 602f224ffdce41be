//! What an orchestrator writes with, and who of several servers may have one.
//!
//! On PostgreSQL the lock that makes a server the leader is held by the very connection that it writes with: PostgreSQL gives
//! the lock to another one only after that session, with all that it had not committed, is gone. On SQLite a file beside the
//! database is locked, which the operating system undoes when the process ends.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use oxide_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Store, StoreError, Transaction,
    open::{Pools, leader_session},
    private::beside,
    row::{get, time},
    sql::{LeaderSession, query},
};

/// The lock of a database that its leader holds.
const LOCK: i64 = 0x6f78_6964_6502;

/// A server that leads, or wants to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderInfo {
    /// The server, by a name that no other one has.
    pub server: String,
    /// Where other servers reach it.
    pub url: Option<String>,
    /// Since when it leads.
    pub since: Timestamp,
}

/// Writes to a store. Clones lead together.
#[derive(Clone)]
pub struct Writer {
    store: Store,
    lead: Lead,
}

#[derive(Clone)]
enum Lead {
    /// Whoever opens the store may write, as `oxide run` does.
    Nobody,
    /// Open as long as this server leads.
    File(Arc<File>),
    Session(LeaderSession),
}

impl Store {
    /// A writer that does not lead: there may be others.
    pub fn writer(&self) -> Writer {
        Writer { store: self.clone(), lead: Lead::Nobody }
    }

    /// Becomes the leader of this store, unless another server leads: then there is none, and it can be tried again.
    ///
    /// # Errors
    /// The store cannot be written. A file of SQLite is used by another server, which is the only one that ever can.
    pub async fn try_lead(&self, info: &LeaderInfo) -> Result<Option<Writer>, StoreError> {
        let lead = match &self.shared.pools {
            Pools::Sqlite { .. } => {
                let path = self.path().expect("a store of SQLite has a path").to_owned();
                let locked = tokio::task::spawn_blocking(move || lock(&path)).await;
                let failed = |stopped| StoreError::Prepare { path: "the leader's lock".into(), cause: stopped };
                Lead::File(Arc::new(locked.map_err(|stopped| failed(io::Error::other(stopped)))??))
            }
            Pools::Postgres { options, .. } => {
                // Asked over a connection that is there, so that a server that stands by does not open one each time.
                if self.is_led().await? {
                    return Ok(None);
                }
                let session = leader_session(options, LOCK).await.map_err(StoreError::query("ask who leads"))?;
                let Some(session) = session else { return Ok(None) };
                Lead::Session(session)
            }
        };
        let writer = Writer { store: self.clone(), lead };
        let mut transaction = writer.begin().await?;
        query(
            "write who leads",
            "INSERT INTO leaders (place, server, url, since) VALUES (1, $1, $2, $3) \
             ON CONFLICT (place) DO UPDATE SET server = excluded.server, url = excluded.url, since = excluded.since",
        )
        .bind(&info.server)
        .bind(&info.url)
        .bind(info.since)
        .execute(transaction.connection())
        .await?;
        transaction.commit().await?;
        Ok(Some(writer))
    }

    /// The server that leads, if one does. With SQLite it may have died since.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn leader(&self) -> Result<Option<LeaderInfo>, StoreError> {
        if let Pools::Postgres { .. } = &self.shared.pools
            && !self.is_led().await?
        {
            return Ok(None);
        }
        let text = "SELECT server, url, since FROM leaders";
        let row = query("read who leads", text).fetch_optional(&mut self.reader().await?).await?;
        row.map(|row| {
            Ok(LeaderInfo { server: get(&row, "server")?, url: get(&row, "url")?, since: time(&row, "since")? })
        })
        .transpose()
    }

    /// Does anybody hold the lock of the leader? For PostgreSQL only.
    async fn is_led(&self) -> Result<bool, StoreError> {
        let text = "SELECT COUNT(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND granted \
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                    AND classid::bigint = $1 AND objid::bigint = $2 AND objsubid = 1";
        let row = query("ask who leads", text)
            .bind(LOCK >> 32)
            .bind(LOCK & 0xffff_ffff)
            .fetch_one(&mut self.reader().await?)
            .await?;
        Ok(get::<i64>(&row, "held")? > 0)
    }
}

impl Writer {
    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Begins to write. Waits for other writers.
    ///
    /// # Errors
    /// The store cannot be written, or this server leads no more ([`StoreError::is_leadership_lost`]).
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        match &self.lead {
            Lead::Nobody | Lead::File(_) => self.store.begin().await,
            Lead::Session(session) => {
                let transaction = session.begin().await?;
                Ok(Transaction::new(transaction.into(), self.store.shared.changes.clone()))
            }
        }
    }

    /// Finds out whether this server still leads. To be called every few seconds while nothing is written.
    ///
    /// # Errors
    /// It does not: [`StoreError::is_leadership_lost`].
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.lead {
            Lead::Nobody | Lead::File(_) => Ok(()),
            Lead::Session(session) => session.check().await,
        }
    }

    /// Lets another server lead at once. Other clones can write no more.
    pub async fn step_down(self) {
        // Who reads it in between finds nobody behind the address, and asks again.
        if let Ok(mut transaction) = self.begin().await {
            let forget =
                query("write that nobody leads", "DELETE FROM leaders").execute(transaction.connection()).await;
            if forget.is_ok() {
                let _ = transaction.commit().await;
            }
        }
        match self.lead {
            Lead::Nobody => {}
            Lead::File(file) => {
                let _ = file.unlock();
            }
            Lead::Session(session) => session.close().await,
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lead = match &self.lead {
            Lead::Nobody => "no",
            Lead::File(_) => "yes",
            Lead::Session(session) if session.is_lost() => "lost",
            Lead::Session(_) => "yes",
        };
        f.debug_struct("Writer").field("store", &self.store).field("leads", &lead).finish()
    }
}

/// Locks the file that stands for the one server of a file of SQLite, and writes our process id into it.
pub(crate) fn lock(store: &Path) -> Result<File, StoreError> {
    let path = beside(store, ".server");
    let failed = |cause| StoreError::Prepare { path: path.clone(), cause };
    let opened = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
    let mut file = opened.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(StoreError::InUse { path: store.to_owned(), pid: pid.trim().parse().ok() });
        }
        Err(std::fs::TryLockError::Error(cause)) => return Err(failed(cause)),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(failed)?;
    Ok(file)
}

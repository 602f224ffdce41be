//! A connection of either database, alone or within a transaction.

use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, pool::PoolConnection};

use super::leader::LeaderTransaction;
use crate::StoreError;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A connection that statements run on.
pub(crate) struct Connection {
    held: Held,
    /// A statement failed. PostgreSQL takes back the whole transaction then, and says nothing when it is committed.
    has_failed: bool,
}

enum Held {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(sqlx::Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTransaction(sqlx::Transaction<'static, Postgres>),
    Leader(LeaderTransaction),
}

pub(super) enum Driver<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Connection {
    /// Which database it is.
    pub(crate) fn kind(&self) -> Kind {
        match self.held {
            Held::Sqlite(_) | Held::SqliteTransaction(_) => Kind::Sqlite,
            Held::Postgres(_) | Held::PostgresTransaction(_) | Held::Leader(_) => Kind::Postgres,
        }
    }

    pub(super) fn driver(&mut self) -> Driver<'_> {
        match &mut self.held {
            Held::Sqlite(connection) => Driver::Sqlite(connection),
            Held::SqliteTransaction(transaction) => Driver::Sqlite(transaction),
            Held::Postgres(connection) => Driver::Postgres(connection),
            Held::PostgresTransaction(transaction) => Driver::Postgres(transaction),
            Held::Leader(transaction) => Driver::Postgres(transaction.connection()),
        }
    }

    /// What the failure of a statement means: for the connection of a leader possibly that it leads no more.
    pub(super) fn failed(&mut self, what: &'static str, cause: sqlx::Error) -> StoreError {
        self.has_failed = true;
        match &mut self.held {
            Held::Leader(transaction) => transaction.failed(what, cause),
            _ => StoreError::Query { what, cause },
        }
    }

    /// Makes what was written last, if this is a transaction.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        if self.has_failed {
            return Err(StoreError::Undone);
        }
        match self.held {
            Held::Sqlite(_) | Held::Postgres(_) => Ok(()),
            Held::SqliteTransaction(transaction) => transaction.commit().await.map_err(StoreError::query("commit")),
            Held::PostgresTransaction(transaction) => transaction.commit().await.map_err(StoreError::query("commit")),
            Held::Leader(transaction) => transaction.commit().await,
        }
    }
}

macro_rules! held_as {
    ($($variant:ident: $connection:ty),* $(,)?) => {$(
        impl From<$connection> for Connection {
            fn from(connection: $connection) -> Connection {
                Connection { held: Held::$variant(connection), has_failed: false }
            }
        }
    )*};
}
held_as! {
    Sqlite: PoolConnection<Sqlite>,
    SqliteTransaction: sqlx::Transaction<'static, Sqlite>,
    Postgres: PoolConnection<Postgres>,
    PostgresTransaction: sqlx::Transaction<'static, Postgres>,
    Leader: LeaderTransaction,
}

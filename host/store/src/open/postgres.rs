//! Opens a database of PostgreSQL.

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, PgConnection,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{BUSY_TIMEOUT, Location, Pools, migrations};
use crate::{StoreError, sql::LeaderSession};

const CONNECTIONS: u32 = 10;
/// How long opening waits for a server that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of each session. A frozen process is not to hold its locks for ever, nor one whose machine is gone.
const SETTINGS: [(&str, &str); 6] = [
    ("application_name", "oxide"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "4"),
    ("client_min_messages", "warning"),
];

pub(super) async fn open(url: &str, location: &Location) -> Result<Pools, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(|cause| failed(location, cause))?;
    let options = options.options(SETTINGS).statement_cache_capacity(200);
    // The pool would try again and again, and say in the end that it took too long.
    let first = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    let mut first: PgConnection = first
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
        .map_err(|cause| failed(location, cause))?;
    // Takes a lock: several servers may start at once.
    match migrations::migrator(migrations::POSTGRES).run_direct(None, &mut first, false).await {
        Ok(()) => {}
        Err(MigrateError::Execute(cause)) => return Err(failed(location, cause)),
        Err(error) => return Err(migrations::failed(location, error)),
    }
    // Closed by hand: the server may be told before the pool opens as many as it may have.
    let _ = sqlx::Connection::close(first).await;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(BUSY_TIMEOUT)
        .connect_lazy_with(options.clone());
    Ok(Pools::Postgres { pool, options: Box::new(options) })
}

/// A session of its own that holds the lock of the leader; none if another one holds it.
pub(crate) async fn leader_session(
    options: &PgConnectOptions,
    lock: i64,
) -> Result<Option<LeaderSession>, sqlx::Error> {
    let attempt = async {
        let mut connection = options.clone().application_name("oxide leader").connect().await?;
        let taken = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(lock).fetch_one(&mut connection).await?;
        if taken {
            return Ok(Some(LeaderSession::new(connection)));
        }
        let _ = sqlx::Connection::close(connection).await;
        Ok(None)
    };
    let late = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(CONNECT_TIMEOUT, attempt).await.unwrap_or_else(|_| Err(late()))
}

fn failed(location: &Location, cause: sqlx::Error) -> StoreError {
    StoreError::Open { location: location.clone(), cause }
}

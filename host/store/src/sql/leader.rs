//! The connection that a leader writes with: it holds the lock that makes its owner the leader. If it is lost, so is the lock,
//! and what was not committed is undone by PostgreSQL: nothing of a former leader can be stored.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard},
};

use crate::StoreError;

/// PostgreSQL that does not answer for this long counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// The session that holds the lock. Clones share it.
#[derive(Clone)]
pub(crate) struct LeaderSession {
    session: Arc<Mutex<Session>>,
    is_lost: Arc<AtomicBool>,
}

struct Session {
    connection: PgConnection,
    /// A transaction may be open.
    is_open: bool,
}

/// A transaction of the session. Undone if it is dropped.
pub(crate) struct LeaderTransaction {
    session: Option<OwnedMutexGuard<Session>>,
    is_lost: Arc<AtomicBool>,
}

impl LeaderSession {
    /// Of a connection that holds the lock.
    pub(crate) fn new(connection: PgConnection) -> LeaderSession {
        let session = Session { connection, is_open: false };
        LeaderSession { session: Arc::new(Mutex::new(session)), is_lost: Arc::default() }
    }

    /// Is the session known to be lost?
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Begins to write, once no other transaction of the session is open.
    pub(crate) async fn begin(&self) -> Result<LeaderTransaction, StoreError> {
        let mut session = self.session.clone().lock_owned().await;
        if self.is_lost() {
            return Err(StoreError::LeadershipLost { cause: None });
        }
        if let Err(cause) = session.begin().await {
            return Err(failed(&self.is_lost, "begin to write", cause));
        }
        Ok(LeaderTransaction { session: Some(session), is_lost: self.is_lost.clone() })
    }

    /// Asks PostgreSQL for a sign of life, unless a transaction is open, which will notice by itself.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        if self.is_lost() {
            return Err(StoreError::LeadershipLost { cause: None });
        }
        let Ok(mut session) = self.session.try_lock() else { return Ok(()) };
        let answer = match session.undo().await {
            Ok(()) => in_time(session.connection.ping()).await,
            Err(cause) => Err(cause),
        };
        // Whatever is wrong with a ping, the session is of no use.
        answer.map_err(|cause| {
            self.is_lost.store(true, Ordering::Release);
            StoreError::LeadershipLost { cause: Some(cause) }
        })
    }

    /// Gives the lock back at once.
    pub(crate) async fn close(&self) {
        let mut session = self.session.lock().await;
        self.is_lost.store(true, Ordering::Release);
        if session.undo().await.is_ok() {
            let unlock = sqlx::raw_sql("SELECT pg_advisory_unlock_all()").execute(&mut session.connection);
            // Without an answer the session ends when the last clone is dropped, and the lock with it.
            let _ = in_time(unlock).await;
        }
    }
}

impl Session {
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.undo().await?;
        // Before, for whoever waits for this may go away in between.
        self.is_open = true;
        self.run("BEGIN").await
    }

    /// Undoes what is open.
    async fn undo(&mut self) -> Result<(), sqlx::Error> {
        if self.is_open {
            self.run("ROLLBACK").await?;
            self.is_open = false;
        }
        Ok(())
    }

    async fn run(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        in_time(async { sqlx::raw_sql(statement).execute(&mut self.connection).await.map(|_| ()) }).await
    }
}

impl LeaderTransaction {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.session.as_mut().expect("only `commit` and `drop` take it").connection
    }

    pub(super) fn failed(&self, what: &'static str, cause: sqlx::Error) -> StoreError {
        failed(&self.is_lost, what, cause)
    }

    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        // If this is not awaited to its end, the drop of `self` undoes what is not committed yet.
        let session = self.session.as_mut().expect("only `commit` and `drop` take it");
        match session.run("COMMIT").await {
            Ok(()) => {
                session.is_open = false;
                Ok(())
            }
            Err(cause) => Err(failed(&self.is_lost, "commit", cause)),
        }
    }
}

impl Drop for LeaderTransaction {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take().filter(|session| session.is_open) else { return };
        // Its locks are not to stay until the next transaction begins. Without a runtime that one undoes it.
        if let Ok(runtime) = Handle::try_current() {
            let is_lost = self.is_lost.clone();
            runtime.spawn(async move {
                if let Err(cause) = session.undo().await {
                    let _ = failed(&is_lost, "undo a transaction", cause);
                }
            });
        }
    }
}

fn failed(is_lost: &AtomicBool, what: &'static str, cause: sqlx::Error) -> StoreError {
    if !ends_session(&cause) {
        return StoreError::Query { what, cause };
    }
    is_lost.store(true, Ordering::Release);
    StoreError::LeadershipLost { cause: Some(cause) }
}

/// Does the session not live on after this error? Refused statements leave it alive.
fn ends_session(cause: &sqlx::Error) -> bool {
    match cause {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Connection exceptions; shutdown, crash, start; too long within a transaction; a server that became read-only.
            code.starts_with("08") || code.starts_with("57P") || ["25P03", "25006"].contains(&&*code)
        }),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolClosed => true,
        _ => false,
    }
}

/// An answer of PostgreSQL, or the error that there was none in time.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("PostgreSQL did not answer within {} s", PATIENCE.as_secs()),
        ))),
    }
}

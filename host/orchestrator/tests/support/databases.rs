//! A store of its own for each story: in a file, and in a database of the PostgreSQL server that `OXIDE_TEST_POSTGRES` names.

use std::{process::Command, sync::Arc};

use oxide_store::{Location, Store};
use tempfile::TempDir;
use uuid::Uuid;

/// A place for a store, which is removed with it.
#[derive(Clone)]
pub struct Database {
    pub location: Location,
    remove: Arc<Remove>,
}

enum Remove {
    Directory(TempDir),
    Database { name: String },
}

impl Database {
    pub fn in_file() -> Database {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::from(directory.path().join("oxide.db"));
        Database { location, remove: Arc::new(Remove::Directory(directory)) }
    }

    /// None if there is no server, which in CI is an error.
    pub fn in_postgres() -> Option<Database> {
        let Ok(address) = std::env::var("OXIDE_TEST_POSTGRES") else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "OXIDE_TEST_POSTGRES is not set, and nothing is skipped in CI"
            );
            eprintln!("SKIPPED: the story on PostgreSQL");
            return None;
        };
        let name = format!("oxide_{}", Uuid::new_v4().simple());
        psql(&format!("CREATE DATABASE {name}"));
        let (host, _) = address.rsplit_once('/').unwrap();
        let location = Location::Postgres(format!("{host}/{name}"));
        Some(Database { location, remove: Arc::new(Remove::Database { name }) })
    }

    pub fn is_postgres(&self) -> bool {
        matches!(*self.remove, Remove::Database { .. })
    }

    /// Opened once more, as by another process.
    pub async fn open(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }

    /// Ends the session of the server that leads, as a database that goes away does.
    pub fn kill_leader_session(&self) {
        let Remove::Database { name } = &*self.remove else { panic!("only PostgreSQL has sessions") };
        psql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
             AND database = (SELECT oid FROM pg_database WHERE datname = '{name}') AND pid <> pg_backend_pid()"
        ));
    }

    /// Lets all sessions read only, or write again, as an operator or a full disk does.
    pub fn refuse_writes(&self, refused: bool) {
        let Remove::Database { name } = &*self.remove else { panic!("only PostgreSQL can be told so") };
        let setting = if refused { "SET default_transaction_read_only = on" } else { "RESET ALL" };
        psql(&format!("ALTER DATABASE {name} {setting}"));
        // It is for sessions that begin.
        self.kill_all_sessions();
    }

    /// Ends all sessions, as a database that is started again does.
    pub fn kill_all_sessions(&self) {
        let Remove::Database { name } = &*self.remove else { panic!("only PostgreSQL has sessions") };
        psql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    }
}

impl Drop for Remove {
    fn drop(&mut self) {
        if let Remove::Database { name } = self
            && !std::thread::panicking()
        {
            psql(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

fn psql(statement: &str) {
    let address = std::env::var("OXIDE_TEST_POSTGRES").unwrap();
    let done =
        Command::new("psql").args(["--quiet", "--no-psqlrc", "--dbname", &address, "--command", statement]).output();
    let done = done.expect("`psql` is on the search path");
    assert!(done.status.success(), "{statement}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Every store that there is for the story.
pub fn databases() -> Vec<Database> {
    std::iter::once(Database::in_file()).chain(Database::in_postgres()).collect()
}

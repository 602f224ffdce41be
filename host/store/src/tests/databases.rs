//! A store of its own for each test: in a file, and in a database of the PostgreSQL server that `OXIDE_TEST_POSTGRES` names
//! (the test command starts one). Every story that is told with [`on_each_database`] is told for both.

use std::ops::Deref;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{Location, Store};

/// Tests of a story for each database. The story gets a [`TestStore`].
macro_rules! on_each_database {
    ($($(#[$doc:meta])* async fn $name:ident($store:ident: TestStore) $story:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "a story may need nothing of its file")]
            use super::*;

            async fn story($store: crate::tests::databases::TestStore) $story

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let test = crate::tests::databases::TestStore::in_a_file().await;
                let again = test.location().clone();
                story(test.shared()).await;
                test.remove(again).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(test) = crate::tests::databases::TestStore::in_postgres().await else { return };
                let again = test.location().clone();
                story(test.shared()).await;
                test.remove(again).await;
            }
        }
    )*};
}
pub(crate) use on_each_database;

/// An empty store for one test.
pub(crate) struct TestStore {
    store: Store,
    directory: Option<TempDir>,
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl TestStore {
    pub(crate) async fn in_a_file() -> TestStore {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(directory.path().join("data/oxide.db"));
        TestStore { store: Store::open(&location).await.unwrap(), directory: Some(directory) }
    }

    /// None if there is no server, which in CI is an error.
    pub(crate) async fn in_postgres() -> Option<TestStore> {
        let location = empty_database().await?;
        Some(TestStore { store: Store::open(&location).await.unwrap(), directory: None })
    }

    /// The same store for the story, which may close it.
    pub(crate) fn shared(&self) -> TestStore {
        TestStore { store: self.store.clone(), directory: None }
    }

    /// The same place opened once more, as by another process.
    pub(crate) async fn opened_again(&self) -> Store {
        Store::open(self.location()).await.unwrap()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.path().is_none()
    }

    pub(crate) async fn remove(self, location: Location) {
        self.store.close().await;
        drop(self.directory);
        if let Location::Postgres(url) = location {
            let name = url.rsplit('/').next().unwrap().to_owned();
            let mut server = PgConnection::connect(&server().unwrap()).await.unwrap();
            run_on(&mut server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

/// The address of the server's own database.
pub(crate) fn server() -> Option<String> {
    let Ok(address) = std::env::var("OXIDE_TEST_POSTGRES") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "OXIDE_TEST_POSTGRES is not set, and nothing is skipped in CI"
        );
        eprintln!("SKIPPED: the story on PostgreSQL");
        return None;
    };
    Some(address)
}

/// A new database without tables.
pub(crate) async fn empty_database() -> Option<Location> {
    let address = server()?;
    let name = format!("oxide_{}", Uuid::new_v4().simple());
    let mut server = PgConnection::connect(&address).await.unwrap();
    run_on(&mut server, format!("CREATE DATABASE {name}")).await;
    let (host, _) = address.rsplit_once('/').unwrap();
    Some(Location::Postgres(format!("{host}/{name}")))
}

pub(crate) async fn run_on(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.unwrap();
}

//! One statement with its values.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::{Connection, Row, Value, Values, connection::Driver, leader::in_time};
use crate::StoreError;

/// A statement that is to be run.
#[must_use]
pub(crate) struct Query {
    what: &'static str,
    text: Cow<'static, str>,
    values: Values,
}

/// A statement. `what` completes "the store could not …". A text that is put together holds constants of the program only:
/// everything else is a value.
pub(crate) fn query(what: &'static str, text: impl Into<Cow<'static, str>>) -> Query {
    Query { what, text: text.into(), values: Values::default() }
}

impl Query {
    /// The value of the next placeholder.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Query {
        self.values.bind(value);
        self
    }

    /// All values at once.
    pub(super) fn with(mut self, values: Values) -> Query {
        self.values = values;
        self
    }

    /// Runs it; returns how many rows it changed.
    pub(crate) async fn execute(self, connection: &mut Connection) -> Result<u64, StoreError> {
        let (what, text) = (self.what, safe(self.text));
        let done = match connection.driver() {
            Driver::Sqlite(driver) => match self.values.into_sqlite() {
                Ok(values) => sqlx::query_with(text, values).execute(driver).await.map(|done| done.rows_affected()),
                Err(cause) => Err(cause),
            },
            Driver::Postgres(driver) => match self.values.into_postgres() {
                Ok(values) => {
                    in_time(sqlx::query_with(text, values).execute(driver)).await.map(|done| done.rows_affected())
                }
                Err(cause) => Err(cause),
            },
        };
        done.map_err(|cause| connection.failed(what, cause))
    }

    /// The row that it finds, if it finds one.
    pub(crate) async fn fetch_optional(self, connection: &mut Connection) -> Result<Option<Row>, StoreError> {
        let (what, text) = (self.what, safe(self.text));
        let found = match connection.driver() {
            Driver::Sqlite(driver) => match self.values.into_sqlite() {
                Ok(values) => {
                    sqlx::query_with(text, values).fetch_optional(driver).await.map(|row| row.map(Row::Sqlite))
                }
                Err(cause) => Err(cause),
            },
            Driver::Postgres(driver) => match self.values.into_postgres() {
                Ok(values) => in_time(sqlx::query_with(text, values).fetch_optional(driver))
                    .await
                    .map(|row| row.map(Row::Postgres)),
                Err(cause) => Err(cause),
            },
        };
        found.map_err(|cause| connection.failed(what, cause))
    }

    /// The row that it always finds.
    pub(crate) async fn fetch_one(self, connection: &mut Connection) -> Result<Row, StoreError> {
        let what = self.what;
        let row = self.fetch_optional(connection).await?;
        row.ok_or(StoreError::Query { what, cause: sqlx::Error::RowNotFound })
    }

    /// All rows that it finds.
    pub(crate) async fn fetch_all(self, connection: &mut Connection) -> Result<Vec<Row>, StoreError> {
        let (what, text) = (self.what, safe(self.text));
        let found = match connection.driver() {
            Driver::Sqlite(driver) => match self.values.into_sqlite() {
                Ok(values) => sqlx::query_with(text, values)
                    .fetch_all(driver)
                    .await
                    .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
                Err(cause) => Err(cause),
            },
            Driver::Postgres(driver) => match self.values.into_postgres() {
                Ok(values) => in_time(sqlx::query_with(text, values).fetch_all(driver))
                    .await
                    .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
                Err(cause) => Err(cause),
            },
        };
        found.map_err(|cause| connection.failed(what, cause))
    }
}

fn safe(text: Cow<'static, str>) -> SqlStr {
    match text {
        Cow::Borrowed(text) => text.into_sql_str(),
        // Put together from constants only, see `query`.
        Cow::Owned(text) => AssertSqlSafe(text).into_sql_str(),
    }
}

//! Reads columns, and writes many rows with few statements.

use oxide_core::{outcome::Status, run::Stop, time::Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, query_builder::Separated, sqlite::SqliteRow};

use crate::StoreError;

/// How many rows one statement takes. Few sizes, so that each statement is prepared once and then kept.
const ROWS_PER_STATEMENT: [usize; 3] = [64, 8, 1];

/// The values of one row.
pub(crate) type Values<'a> = Separated<'a, Sqlite, &'static str>;

/// Runs `head VALUES (…), (…) tail` over all rows. Returns the row id of the last one, 0 if there was none.
pub(crate) async fn write_rows<T>(
    connection: &mut SqliteConnection,
    what: &'static str,
    (head, tail): (&'static str, &'static str),
    mut rows: &[T],
    mut bind: impl FnMut(Values<'_>, &T),
) -> Result<i64, StoreError> {
    let mut last = 0;
    for size in ROWS_PER_STATEMENT {
        while rows.len() >= size {
            let (now, later) = rows.split_at(size);
            rows = later;
            let mut statement = QueryBuilder::<Sqlite>::new(head);
            statement.push_values(now, &mut bind);
            statement.push(tail);
            let result = statement.build().execute(&mut *connection).await.map_err(StoreError::query(what))?;
            last = result.last_insert_rowid();
        }
    }
    Ok(last)
}

pub(crate) fn get<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(column).map_err(StoreError::value(column))
}

pub(crate) fn number<N: TryFrom<i64>>(row: &SqliteRow, column: &'static str) -> Result<N, StoreError> {
    let value: i64 = get(row, column)?;
    N::try_from(value).map_err(|_| StoreError::value(column)(format!("{value} is out of range")))
}

pub(crate) fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreError> {
    get(row, column).map(Timestamp)
}

pub(crate) fn maybe_time(row: &SqliteRow, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp))
}

pub(crate) fn status(row: &SqliteRow) -> Result<Status, StoreError> {
    let word: &str = get(row, "status")?;
    Status::from_name(word).ok_or_else(|| StoreError::value("status")(format!("unknown state `{word}`")))
}

pub(crate) fn parse<T>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    get::<&str>(row, column)?.parse().map_err(StoreError::value(column))
}

pub(crate) fn maybe_parse<T>(row: &SqliteRow, column: &'static str) -> Result<Option<T>, StoreError>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    get::<Option<&str>>(row, column)?.map(|text| text.parse().map_err(StoreError::value(column))).transpose()
}

pub(crate) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(get(row, column)?).map_err(StoreError::value(column))
}

pub(crate) fn maybe_json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, column)?
        .map(|text| serde_json::from_str(text).map_err(StoreError::value(column)))
        .transpose()
}

pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our types have text keys and no failing serializers")
}

pub(crate) fn stop_to_json(stop: Option<&Stop>) -> Option<String> {
    stop.map(to_json)
}

pub(crate) fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.0)
}

/// A count as a column. Counts are far below the bound.
pub(crate) fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

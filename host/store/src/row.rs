//! Reads columns, and makes values of ours into ones of columns.

use oxide_core::{outcome::Status, run::Stop, time::Timestamp};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    StoreError,
    sql::{Column, Row},
};

pub(crate) fn get<'r, T: Column<'r>>(row: &'r Row, column: &'static str) -> Result<T, StoreError> {
    row.get(column).map_err(StoreError::value(column))
}

pub(crate) fn number<N: TryFrom<i64>>(row: &Row, column: &'static str) -> Result<N, StoreError> {
    let value: i64 = get(row, column)?;
    N::try_from(value).map_err(|_| StoreError::value(column)(format!("{value} is out of range")))
}

pub(crate) fn maybe_number<N: TryFrom<i64>>(row: &Row, column: &'static str) -> Result<Option<N>, StoreError> {
    let out_of_range = |value| StoreError::value(column)(format!("{value} is out of range"));
    get::<Option<i64>>(row, column)?.map(|value| N::try_from(value).map_err(|_| out_of_range(value))).transpose()
}

pub(crate) fn time(row: &Row, column: &'static str) -> Result<Timestamp, StoreError> {
    get(row, column).map(Timestamp)
}

pub(crate) fn maybe_time(row: &Row, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp))
}

pub(crate) fn status(row: &Row) -> Result<Status, StoreError> {
    let word: &str = get(row, "status")?;
    Status::from_name(word).ok_or_else(|| StoreError::value("status")(format!("unknown state `{word}`")))
}

pub(crate) fn parse<T>(row: &Row, column: &'static str) -> Result<T, StoreError>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    get::<&str>(row, column)?.parse().map_err(StoreError::value(column))
}

pub(crate) fn maybe_parse<T>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    get::<Option<&str>>(row, column)?.map(|text| text.parse().map_err(StoreError::value(column))).transpose()
}

pub(crate) fn json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(get(row, column)?).map_err(StoreError::value(column))
}

pub(crate) fn maybe_json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, column)?
        .map(|text| serde_json::from_str(text).map_err(StoreError::value(column)))
        .transpose()
}

/// One of a closed list of words, as our types write them in JSON.
pub(crate) fn word<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let word: String = get(row, column)?;
    serde_json::from_value(serde_json::Value::String(word)).map_err(StoreError::value(column))
}

/// The word for a value of a closed list.
pub(crate) fn to_word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("types of closed lists are written as words, not {other:?}"),
    }
}

pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our types have text keys and no failing serializers")
}

pub(crate) fn stop_to_json(stop: Option<&Stop>) -> Option<String> {
    stop.map(to_json)
}

/// A count as a column. Counts are far below the bound.
pub(crate) fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

//! A thin layer over the drivers of SQLite and PostgreSQL. Nothing else in the crate names one, but [`crate::open`].
//!
//! Statements are written once, in the SQL that both know, with `$1` placeholders. Times and numbers are BIGINT, ids and JSON
//! are TEXT, bytes are BLOB or BYTEA. Three things to mind, for PostgreSQL wants to know the type of each parameter before it
//! sees a value: a parameter that is only compared with NULL needs a CAST; a sum of BIGINT is none and needs one, too; and a
//! number beside a small literal should stand beside a BIGINT column.

mod connection;
mod leader;
mod query;
mod row;
mod rows;
mod value;

pub(crate) use connection::{Connection, Kind};
pub(crate) use leader::LeaderSession;
pub(crate) use query::{Query, query};
pub(crate) use row::{Column, Row};
pub(crate) use rows::write_rows;
pub(crate) use value::{Value, Values};

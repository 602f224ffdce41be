//! Values that go into a statement.

use oxide_core::{
    id::{
        AgentId, AgentTokenId, ApprovalId, DeliveryId, JobIndex, PipelineId, ProjectId, RunId, SecretId, SessionId,
        StageIndex, StepIndex, TokenId, UserId,
    },
    time::Timestamp,
};
use sqlx::{
    Arguments as _, Postgres, Type,
    encode::{Encode, IsNull},
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, types::Oid},
    sqlite::SqliteArguments,
};
use uuid::Uuid;

use crate::{OwnerId, row::count};

/// What a column can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of a statement in the order of its placeholders.
#[derive(Debug, Default)]
pub(crate) struct Values(Vec<Value>);

impl Values {
    pub(crate) fn with_room_for(count: usize) -> Values {
        Values(Vec::with_capacity(count))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds one.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Values {
        self.0.push(value.into());
        self
    }

    pub(super) fn into_sqlite(self) -> Result<SqliteArguments, sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        for value in self.0 {
            let added = match value {
                Value::Null => arguments.add(None::<i64>),
                Value::Integer(number) => arguments.add(number),
                Value::Text(text) => arguments.add(text),
                Value::Bytes(bytes) => arguments.add(bytes),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    pub(super) fn into_postgres(self) -> Result<PgArguments, sqlx::Error> {
        let mut arguments = PgArguments::default();
        for value in self.0 {
            let added = match value {
                Value::Null => arguments.add(Untyped),
                Value::Integer(number) => arguments.add(number),
                Value::Text(text) => arguments.add(text),
                Value::Bytes(bytes) => arguments.add(bytes),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

/// A NULL whose type PostgreSQL finds out by itself: a statement is prepared with the values that it is used with first, and
/// kept. If a NULL were sent as text the first time, a number would not be taken the next time.
struct Untyped;

impl Type<Postgres> for Untyped {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Untyped {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

/// PostgreSQL has no text with a NUL byte in it. In JSON it is escaped and stays; elsewhere (a name, a reason) it becomes the
/// picture of it, in both databases, so that what a person sees is the same.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{2400}") } else { text }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(storable(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(storable(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        text.as_str().into()
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(bytes)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Integer(i64::from(number))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Integer(count(number))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Integer(i64::from(yes))
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Value {
        Value::Integer(time.0)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

impl<'a> From<&'a Option<String>> for Value {
    fn from(value: &'a Option<String>) -> Value {
        value.as_deref().into()
    }
}

macro_rules! shown_as_text {
    ($($id:ty),*) => {$(
        impl From<$id> for Value {
            fn from(id: $id) -> Value {
                Value::Text(id.to_string())
            }
        }
    )*};
}
shown_as_text!(
    Uuid,
    RunId,
    AgentId,
    OwnerId,
    ProjectId,
    PipelineId,
    UserId,
    ApprovalId,
    TokenId,
    SessionId,
    AgentTokenId,
    SecretId,
    DeliveryId
);

macro_rules! position {
    ($($index:ty),*) => {$(
        impl From<$index> for Value {
            fn from(index: $index) -> Value {
                Value::Integer(i64::from(index.0))
            }
        }
    )*};
}
position!(StageIndex, JobIndex, StepIndex);

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn a_nul_byte_in_a_text_becomes_visible() {
        assert_eq!(Value::from("a\0b"), Value::Text("a\u{2400}b".into()));
        assert_eq!(Value::from(Some("plain")), Value::Text("plain".into()));
        assert_eq!(Value::from(None::<&str>), Value::Null);
    }

    #[test]
    fn numbers_above_the_bound_of_a_column_stay_at_it() {
        assert_eq!(Value::from(u64::MAX), Value::Integer(i64::MAX));
    }
}

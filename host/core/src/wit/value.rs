//! A value of a WIT type.

/// A value as a plugin sees it. Names are those of WIT, kebab-case; the type says which case has a payload.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "named as in WIT")]
pub enum Value {
    Bool(bool),
    S8(i8),
    U8(u8),
    S16(i16),
    U16(u16),
    S32(i32),
    U32(u32),
    S64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    Char(char),
    String(String),
    List(Vec<Value>),
    Option(Option<Box<Value>>),
    Tuple(Vec<Value>),
    Record(Vec<(String, Value)>),
    Variant(String, Option<Box<Value>>),
    Enum(String),
    Flags(Vec<String>),
    Result(Result<Option<Box<Value>>, Option<Box<Value>>>),
}

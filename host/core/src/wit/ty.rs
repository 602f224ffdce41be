//! The types that inputs and outputs of a plugin may have.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A WIT type of a value that can be written in YAML. Handles, streams and futures are none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the primitive types are named as in WIT")]
pub enum Type {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    String,
    List(Box<Type>),
    Option(Box<Type>),
    Tuple(Vec<Type>),
    /// Fields in order.
    Record(Vec<NamedType>),
    /// Cases in order, each with or without a payload.
    Variant(Vec<Case>),
    /// Case names in order.
    Enum(Vec<String>),
    /// Flag names in order.
    Flags(Vec<String>),
    Result {
        ok: Option<Box<Type>>,
        err: Option<Box<Type>>,
    },
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NamedType {
    /// The name in WIT, kebab-case.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub ty: Type,
}

/// A case of a variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Case {
    /// The name in WIT, kebab-case.
    pub name: String,
    /// The type of the payload, if it has one.
    #[serde(rename = "type")]
    pub ty: Option<Type>,
}

impl fmt::Display for Type {
    /// WIT syntax; records, variants, enums and flags, which WIT only names, are written out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::S8 => f.write_str("s8"),
            Type::U8 => f.write_str("u8"),
            Type::S16 => f.write_str("s16"),
            Type::U16 => f.write_str("u16"),
            Type::S32 => f.write_str("s32"),
            Type::U32 => f.write_str("u32"),
            Type::S64 => f.write_str("s64"),
            Type::U64 => f.write_str("u64"),
            Type::F32 => f.write_str("f32"),
            Type::F64 => f.write_str("f64"),
            Type::Char => f.write_str("char"),
            Type::String => f.write_str("string"),
            Type::List(item) => write!(f, "list<{item}>"),
            Type::Option(some) => write!(f, "option<{some}>"),
            Type::Tuple(items) => write!(f, "tuple<{}>", Joined(items)),
            Type::Record(fields) => write!(f, "record {{ {} }}", Joined(fields)),
            Type::Variant(cases) => write!(f, "variant {{ {} }}", Joined(cases)),
            Type::Enum(names) => write!(f, "enum {{ {} }}", Joined(names)),
            Type::Flags(names) => write!(f, "flags {{ {} }}", Joined(names)),
            Type::Result { ok: None, err: None } => f.write_str("result"),
            Type::Result { ok: Some(ok), err: None } => write!(f, "result<{ok}>"),
            Type::Result { ok: None, err: Some(err) } => write!(f, "result<_, {err}>"),
            Type::Result { ok: Some(ok), err: Some(err) } => write!(f, "result<{ok}, {err}>"),
        }
    }
}

impl fmt::Display for NamedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.ty)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ty {
            Some(ty) => write!(f, "{}({ty})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Shows items with commas between them.
struct Joined<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

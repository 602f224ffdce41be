//! The types of inputs and outputs, from the words of `wit-parser` to those of `core::wit`.

use std::cell::Cell;

use oxide_core::wit::{Case, NamedType, Type};
use wit_parser::{Resolve, Type as WitType, TypeDefKind};

/// How deeply types may be nested. Far above what people write, far below what would exhaust the stack.
const DEPTH_MAX: usize = 64;

/// How many types the inputs or the outputs may be made of, each counted at every place where it stands: a few kilobytes
/// of nested pairs would else become a tree that fills the memory.
const TYPES_MAX: usize = 10_000;

/// A type that cannot be written in YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypeError {
    /// Where, from the field of the record on.
    pub field: String,
    /// What is wrong.
    pub reason: String,
}

/// The type behind `type a = b` and `use`.
pub(super) fn real_type(resolve: &Resolve, ty: &WitType) -> WitType {
    let mut ty = *ty;
    while let WitType::Id(id) = ty {
        match &resolve.types[id].kind {
            TypeDefKind::Type(aliased) => ty = *aliased,
            _ => break,
        }
    }
    ty
}

/// The fields of a record by name; none if the type is no record.
pub(super) fn named_fields(resolve: &Resolve, ty: &WitType) -> Result<Option<Vec<(String, Type)>>, TypeError> {
    let WitType::Id(id) = real_type(resolve, ty) else { return Ok(None) };
    let TypeDefKind::Record(record) = &resolve.types[id].kind else { return Ok(None) };
    let left = Cell::new(TYPES_MAX);
    record
        .fields
        .iter()
        .map(|field| Ok((field.name.clone(), convert(resolve, &field.ty, &field.name, 0, &left)?)))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// `left` is how many types more there may be.
fn convert(resolve: &Resolve, ty: &WitType, place: &str, depth: usize, left: &Cell<usize>) -> Result<Type, TypeError> {
    let refuse = |reason: &str| Err(TypeError { field: place.to_owned(), reason: reason.to_owned() });
    match left.get().checked_sub(1) {
        Some(fewer) => left.set(fewer),
        None => return refuse("inputs and outputs may be made of 10,000 types each"),
    }
    if depth > DEPTH_MAX {
        return refuse("it is nested too deeply");
    }
    let inner = |ty: &WitType, step: &str| convert(resolve, ty, &format!("{place}.{step}"), depth + 1, left);
    let payload = |ty: &Option<WitType>, step: &str| ty.as_ref().map(|ty| inner(ty, step)).transpose();
    let id = match ty {
        WitType::Bool => return Ok(Type::Bool),
        WitType::S8 => return Ok(Type::S8),
        WitType::U8 => return Ok(Type::U8),
        WitType::S16 => return Ok(Type::S16),
        WitType::U16 => return Ok(Type::U16),
        WitType::S32 => return Ok(Type::S32),
        WitType::U32 => return Ok(Type::U32),
        WitType::S64 => return Ok(Type::S64),
        WitType::U64 => return Ok(Type::U64),
        WitType::F32 => return Ok(Type::F32),
        WitType::F64 => return Ok(Type::F64),
        WitType::Char => return Ok(Type::Char),
        WitType::String => return Ok(Type::String),
        WitType::ErrorContext => return refuse("an error-context exists only while the component runs"),
        WitType::Id(id) => *id,
    };
    Ok(match &resolve.types[id].kind {
        TypeDefKind::Type(aliased) => convert(resolve, aliased, place, depth + 1, left)?,
        TypeDefKind::List(item) => Type::List(Box::new(inner(item, "item")?)),
        TypeDefKind::Option(some) => Type::Option(Box::new(convert(resolve, some, place, depth + 1, left)?)),
        TypeDefKind::Tuple(tuple) => Type::Tuple(
            tuple
                .types
                .iter()
                .enumerate()
                .map(|(index, ty)| inner(ty, &index.to_string()))
                .collect::<Result<_, _>>()?,
        ),
        TypeDefKind::Record(record) => Type::Record(
            record
                .fields
                .iter()
                .map(|field| Ok(NamedType { name: field.name.clone(), ty: inner(&field.ty, &field.name)? }))
                .collect::<Result<_, _>>()?,
        ),
        TypeDefKind::Variant(variant) => Type::Variant(
            variant
                .cases
                .iter()
                .map(|case| Ok(Case { name: case.name.clone(), ty: payload(&case.ty, &case.name)? }))
                .collect::<Result<_, _>>()?,
        ),
        TypeDefKind::Enum(cases) => Type::Enum(cases.cases.iter().map(|case| case.name.clone()).collect()),
        TypeDefKind::Flags(flags) => Type::Flags(flags.flags.iter().map(|flag| flag.name.clone()).collect()),
        TypeDefKind::Result(result) => Type::Result {
            ok: payload(&result.ok, "ok")?.map(Box::new),
            err: payload(&result.err, "err")?.map(Box::new),
        },
        TypeDefKind::Resource | TypeDefKind::Handle(_) => {
            return refuse("a resource exists only while the component runs");
        }
        TypeDefKind::Future(_) => return refuse("a future exists only while the component runs"),
        TypeDefKind::Stream(_) => return refuse("a stream exists only while the component runs"),
        TypeDefKind::Map(..) => return refuse("`map` is not supported; `list<tuple<string, T>>` is written as a map"),
        TypeDefKind::FixedLengthList(..) => return refuse("lists of fixed length are not supported; use `list<T>`"),
        TypeDefKind::Unknown => return refuse("it is not known"),
    })
}

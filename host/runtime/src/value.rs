//! Values between the words of `core::wit` and those of wasmtime. Text and JSON are `core`'s business.

use oxide_core::wit::{Type, Value};
use wasmtime::component::Val;

/// A value does not have the type that the plugin declares.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub(crate) struct Mismatch {
    /// Where, such as `files[2].name`.
    path: String,
    /// What is wrong there.
    problem: String,
}

impl Mismatch {
    fn expected(ty: &Type) -> Self {
        Mismatch { path: String::new(), problem: format!("expected {ty}") }
    }

    fn no_such_field(name: &str) -> Self {
        Mismatch { path: name.to_owned(), problem: "no such field".to_owned() }
    }

    fn below(mut self, step: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{separator}{}", self.path);
        self
    }
}

/// Makes the value that a component takes. Record fields are put into the order of the type; options may be absent.
pub(crate) fn to_val(value: &Value, ty: &Type) -> Result<Val, Mismatch> {
    Ok(match (value, ty) {
        (Value::Bool(v), Type::Bool) => Val::Bool(*v),
        (Value::S8(v), Type::S8) => Val::S8(*v),
        (Value::U8(v), Type::U8) => Val::U8(*v),
        (Value::S16(v), Type::S16) => Val::S16(*v),
        (Value::U16(v), Type::U16) => Val::U16(*v),
        (Value::S32(v), Type::S32) => Val::S32(*v),
        (Value::U32(v), Type::U32) => Val::U32(*v),
        (Value::S64(v), Type::S64) => Val::S64(*v),
        (Value::U64(v), Type::U64) => Val::U64(*v),
        (Value::F32(v), Type::F32) => Val::Float32(*v),
        (Value::F64(v), Type::F64) => Val::Float64(*v),
        (Value::Char(v), Type::Char) => Val::Char(*v),
        (Value::String(v), Type::String) => Val::String(v.clone()),
        (Value::List(items), Type::List(item)) => Val::List(
            items
                .iter()
                .enumerate()
                .map(|(index, value)| to_val(value, item).map_err(|error| error.below(&format!("[{index}]"))))
                .collect::<Result<_, _>>()?,
        ),
        (Value::Option(value), Type::Option(some)) => {
            Val::Option(value.as_ref().map(|value| to_val(value, some).map(Box::new)).transpose()?)
        }
        (Value::Tuple(values), Type::Tuple(types)) if values.len() == types.len() => Val::Tuple(
            values
                .iter()
                .zip(types)
                .enumerate()
                .map(|(index, (value, ty))| to_val(value, ty).map_err(|error| error.below(&format!("[{index}]"))))
                .collect::<Result<_, _>>()?,
        ),
        (Value::Record(values), Type::Record(fields)) => {
            if let Some((name, _)) = values.iter().find(|(name, _)| !fields.iter().any(|field| field.name == *name)) {
                return Err(Mismatch::no_such_field(name));
            }
            let mut record = Vec::with_capacity(fields.len());
            for (index, field) in fields.iter().enumerate() {
                let in_place = values.get(index).filter(|(name, _)| *name == field.name);
                let value = match in_place.or_else(|| values.iter().find(|(name, _)| *name == field.name)) {
                    Some((_, value)) => to_val(value, &field.ty).map_err(|error| error.below(&field.name))?,
                    None if matches!(field.ty, Type::Option(_)) => Val::Option(None),
                    None => return Err(Mismatch::expected(&field.ty).below(&field.name)),
                };
                record.push((field.name.clone(), value));
            }
            Val::Record(record)
        }
        (Value::Variant(name, payload), Type::Variant(cases)) => {
            let case = cases.iter().find(|case| case.name == *name).ok_or_else(|| Mismatch::expected(ty))?;
            Val::Variant(name.clone(), payload_to_val(payload.as_deref(), case.ty.as_ref(), ty)?)
        }
        (Value::Enum(name), Type::Enum(names)) if names.contains(name) => Val::Enum(name.clone()),
        (Value::Flags(set), Type::Flags(names)) if set.iter().all(|name| names.contains(name)) => {
            Val::Flags(set.clone())
        }
        (Value::Result(Ok(payload)), Type::Result { ok, .. }) => {
            Val::Result(Ok(payload_to_val(payload.as_deref(), ok.as_deref(), ty)?))
        }
        (Value::Result(Err(payload)), Type::Result { err, .. }) => {
            Val::Result(Err(payload_to_val(payload.as_deref(), err.as_deref(), ty)?))
        }
        _ => return Err(Mismatch::expected(ty)),
    })
}

fn payload_to_val(value: Option<&Value>, ty: Option<&Type>, whole: &Type) -> Result<Option<Box<Val>>, Mismatch> {
    match (value, ty) {
        (Some(value), Some(ty)) => Ok(Some(Box::new(to_val(value, ty)?))),
        (None, None) => Ok(None),
        _ => Err(Mismatch::expected(whole)),
    }
}

/// Takes what a component returned; none for handles, streams and futures, which no outputs record can hold.
pub(crate) fn from_val(val: Val) -> Option<Value> {
    Some(match val {
        Val::Bool(v) => Value::Bool(v),
        Val::S8(v) => Value::S8(v),
        Val::U8(v) => Value::U8(v),
        Val::S16(v) => Value::S16(v),
        Val::U16(v) => Value::U16(v),
        Val::S32(v) => Value::S32(v),
        Val::U32(v) => Value::U32(v),
        Val::S64(v) => Value::S64(v),
        Val::U64(v) => Value::U64(v),
        Val::Float32(v) => Value::F32(v),
        Val::Float64(v) => Value::F64(v),
        Val::Char(v) => Value::Char(v),
        Val::String(v) => Value::String(v),
        Val::List(items) => Value::List(items.into_iter().map(from_val).collect::<Option<_>>()?),
        Val::Tuple(items) => Value::Tuple(items.into_iter().map(from_val).collect::<Option<_>>()?),
        Val::Record(fields) => {
            Value::Record(fields.into_iter().map(|(name, val)| Some((name, from_val(val)?))).collect::<Option<_>>()?)
        }
        Val::Variant(name, payload) => Value::Variant(name, payload_from_val(payload)?),
        Val::Enum(name) => Value::Enum(name),
        Val::Option(some) => Value::Option(payload_from_val(some)?),
        Val::Result(Ok(payload)) => Value::Result(Ok(payload_from_val(payload)?)),
        Val::Result(Err(payload)) => Value::Result(Err(payload_from_val(payload)?)),
        Val::Flags(names) => Value::Flags(names),
        Val::Map(_)
        | Val::FixedLengthList(_)
        | Val::Resource(_)
        | Val::Future(_)
        | Val::Stream(_)
        | Val::ErrorContext(_) => return None,
    })
}

/// The inner option is that of the value, the outer one that of [`from_val`].
#[expect(clippy::option_option, reason = "the two mean different things")]
fn payload_from_val(payload: Option<Box<Val>>) -> Option<Option<Box<Value>>> {
    match payload {
        Some(val) => Some(Some(Box::new(from_val(*val)?))),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::wit::{Case, NamedType};
    use proptest::prelude::*;

    use super::*;

    fn field(name: &str, ty: Type) -> NamedType {
        NamedType { name: name.into(), ty }
    }

    /// A type with a value of it.
    fn typed_value() -> impl Strategy<Value = (Type, Value)> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(|v| (Type::Bool, Value::Bool(v))),
            any::<i8>().prop_map(|v| (Type::S8, Value::S8(v))),
            any::<u64>().prop_map(|v| (Type::U64, Value::U64(v))),
            any::<f32>().prop_map(|v| (Type::F32, Value::F32(v))),
            any::<char>().prop_map(|v| (Type::Char, Value::Char(v))),
            ".*".prop_map(|v| (Type::String, Value::String(v))),
            Just((Type::Enum(vec!["a-b".into(), "c".into()]), Value::Enum("a-b".into()))),
            Just((Type::Flags(vec!["x-y".into(), "z".into()]), Value::Flags(vec!["z".into()]))),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                (inner.clone(), 0..4usize)
                    .prop_map(|((ty, value), n)| (Type::List(Box::new(ty)), Value::List(vec![value; n]))),
                (inner.clone(), any::<bool>()).prop_map(|((ty, value), some)| {
                    (Type::Option(Box::new(ty)), Value::Option(some.then(|| Box::new(value))))
                }),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|items| {
                    let (types, values) = items.into_iter().unzip();
                    (Type::Tuple(types), Value::Tuple(values))
                }),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|items| {
                    let (fields, values) = items
                        .into_iter()
                        .enumerate()
                        .map(|(i, (ty, value))| (field(&format!("field-{i}"), ty), (format!("field-{i}"), value)))
                        .unzip();
                    (Type::Record(fields), Value::Record(values))
                }),
                inner.clone().prop_map(|(ty, value)| {
                    let cases = vec![Case { name: "no".into(), ty: None }, Case { name: "so-so".into(), ty: Some(ty) }];
                    (Type::Variant(cases), Value::Variant("so-so".into(), Some(Box::new(value))))
                }),
                inner.prop_map(|(ty, value)| {
                    (Type::Result { ok: None, err: Some(Box::new(ty)) }, Value::Result(Err(Some(Box::new(value)))))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_back_as_it_went((ty, value) in typed_value()) {
            let back = from_val(to_val(&value, &ty).unwrap()).unwrap();
            // Debug, so that NaN is itself.
            prop_assert_eq!(format!("{:?}", back), format!("{:?}", value));
        }

        #[test]
        fn a_value_of_another_type_is_refused_without_a_panic((ty, _) in typed_value(), (_, value) in typed_value()) {
            let _ = to_val(&value, &ty);
        }
    }

    #[test]
    fn record_fields_take_the_order_of_the_type_and_options_may_be_absent() {
        let ty = Type::Record(vec![
            field("a", Type::U8),
            field("b", Type::Option(Box::new(Type::U8))),
            field("c", Type::Bool),
        ]);
        let value = Value::Record(vec![("c".into(), Value::Bool(true)), ("a".into(), Value::U8(1))]);
        let expected =
            Val::Record(vec![("a".into(), Val::U8(1)), ("b".into(), Val::Option(None)), ("c".into(), Val::Bool(true))]);
        assert_eq!(to_val(&value, &ty).unwrap(), expected);
    }

    #[test]
    fn errors_name_the_place() {
        let person = Type::Record(vec![field("name", Type::String)]);
        let ty = Type::Record(vec![field("people", Type::List(Box::new(person)))]);
        let someone = |name| Value::Record(vec![("name".to_owned(), name)]);
        let people = vec![someone(Value::String("Ada".into())), someone(Value::U8(1))];
        let value = Value::Record(vec![("people".into(), Value::List(people))]);
        assert_eq!(to_val(&value, &ty).unwrap_err().to_string(), "people[1].name: expected string");
        let value = Value::Record(vec![("peeple".into(), Value::List(vec![]))]);
        assert_eq!(to_val(&value, &ty).unwrap_err().to_string(), "peeple: no such field");
    }
}

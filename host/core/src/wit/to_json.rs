//! From values of WIT types to JSON.

use serde_json::{Map, Number, Value as Json, json};

use super::{Type, Value, names::snake_case};

impl Value {
    /// The value as JSON, in the form that [`Value::from_json`] reads back. `ty` must be its type; it decides whether an
    /// option needs `{some: …}` and whether a list of pairs is a mapping.
    ///
    /// Floats that JSON does not have become the texts `NaN`, `Infinity` and `-Infinity`.
    pub fn to_json(&self, ty: &Type) -> Json {
        match (self, ty) {
            (Value::Bool(value), _) => json!(value),
            (Value::S8(value), _) => json!(value),
            (Value::U8(value), _) => json!(value),
            (Value::S16(value), _) => json!(value),
            (Value::U16(value), _) => json!(value),
            (Value::S32(value), _) => json!(value),
            (Value::U32(value), _) => json!(value),
            (Value::S64(value), _) => json!(value),
            (Value::U64(value), _) => json!(value),
            (Value::F32(value), _) => float(widened(*value)),
            (Value::F64(value), _) => float(*value),
            (Value::Char(value), _) => json!(value),
            (Value::String(value), _) => json!(value),
            (Value::Enum(name), _) => json!(snake_case(name)),
            (Value::Flags(names), _) => names.iter().map(|name| snake_case(name)).collect(),
            (Value::List(items), Type::List(item)) => match item.pair_value() {
                Some(value) => pairs(items, item, value),
                None => items.iter().map(|value| value.to_json(item)).collect(),
            },
            (Value::Tuple(items), Type::Tuple(types)) => {
                items.iter().zip(types).map(|(item, ty)| item.to_json(ty)).collect()
            }
            (Value::Option(None), _) => Json::Null,
            (Value::Option(Some(some)), Type::Option(inner)) => match inner.may_be_null() {
                true => json!({ "some": some.to_json(inner) }),
                false => some.to_json(inner),
            },
            (Value::Record(fields), Type::Record(types)) => Json::Object(
                fields.iter().zip(types).map(|((name, value), ty)| (snake_case(name), value.to_json(&ty.ty))).collect(),
            ),
            (Value::Variant(case, payload), Type::Variant(cases)) => {
                let ty = cases.iter().find(|known| known.name == *case).and_then(|known| known.ty.as_ref());
                with_payload(&snake_case(case), payload.as_deref(), ty)
            }
            (Value::Result(Ok(payload)), Type::Result { ok, .. }) => {
                with_payload("ok", payload.as_deref(), ok.as_deref())
            }
            (Value::Result(Err(payload)), Type::Result { err, .. }) => {
                with_payload("err", payload.as_deref(), err.as_deref())
            }
            // A value of another type than it is said to have: its own shape is the best that can be told.
            (value, ty) => json!(format!("{value:?} is no {ty}")),
        }
    }
}

impl Type {
    /// Can null mean a value of this type?
    pub(super) fn may_be_null(&self) -> bool {
        matches!(self, Type::Option(_))
    }

    /// The type `T` if this is `tuple<string, T>`.
    pub(super) fn pair_value(&self) -> Option<&Type> {
        match self {
            Type::Tuple(items) => match items.as_slice() {
                [Type::String, value] => Some(value),
                _ => None,
            },
            _ => None,
        }
    }
}

fn with_payload(case: &str, payload: Option<&Value>, ty: Option<&Type>) -> Json {
    match (payload, ty) {
        (Some(payload), Some(ty)) => Json::Object(Map::from_iter([(case.to_owned(), payload.to_json(ty))])),
        _ => json!(case),
    }
}

/// A list of pairs as a mapping; as a list if a key appears twice, which a mapping cannot have.
fn pairs(items: &[Value], item: &Type, value_type: &Type) -> Json {
    let mut map = Map::new();
    for pair in items {
        match pair {
            Value::Tuple(pair) => match pair.as_slice() {
                [Value::String(key), value] if !map.contains_key(key) => {
                    map.insert(key.clone(), value.to_json(value_type));
                }
                _ => return items.iter().map(|value| value.to_json(item)).collect(),
            },
            _ => return items.iter().map(|value| value.to_json(item)).collect(),
        }
    }
    Json::Object(map)
}

/// The `f64` that is written as the `f32` is: 0.1 stays 0.1.
fn widened(value: f32) -> f64 {
    match value.to_string().parse::<f64>() {
        Ok(written) if written as f32 == value => written,
        _ => f64::from(value),
    }
}

fn float(value: f64) -> Json {
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => json!("NaN"),
        None if value > 0.0 => json!("Infinity"),
        None => json!("-Infinity"),
    }
}

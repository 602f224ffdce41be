//! Values between JSON and CEL.

use std::{collections::HashMap, sync::Arc};

use cel::{
    Value,
    objects::{Key, Map as CelMap},
};
use serde_json::{Map as JsonMap, Number, Value as Json};

pub(super) fn to_cel(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Value::Int(value),
            (_, Some(value), _) => Value::UInt(value),
            (_, _, Some(value)) => Value::Float(value),
            _ => Value::Null,
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Json::Object(entries) => map_to_cel(entries),
    }
}

pub(super) fn map_to_cel(entries: &JsonMap<String, Json>) -> Value {
    let entries: HashMap<Key, Value> =
        entries.iter().map(|(key, value)| (Key::String(Arc::new(key.clone())), to_cel(value))).collect();
    Value::Map(CelMap { map: Arc::new(entries) })
}

/// The JSON of a value; for one that has none, what kind of thing it is.
pub(super) fn to_json(value: &Value) -> Result<Json, &'static str> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::UInt(value) => Json::from(*value),
        Value::Float(value) => match Number::from_f64(*value) {
            Some(number) => Json::Number(number),
            None if value.is_nan() => Json::from("NaN"),
            None if *value > 0.0 => Json::from("Infinity"),
            None => Json::from("-Infinity"),
        },
        Value::String(text) => Json::String(text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut entries: Vec<(String, &Value)> = map.map.iter().map(|(key, value)| (name(key), value)).collect();
            // CEL's mappings have no order; a value should look the same every time.
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let mut object = JsonMap::new();
            for (key, value) in entries {
                object.insert(key, to_json(value)?);
            }
            Json::Object(object)
        }
        Value::Bytes(_) => return Err("bytes"),
        Value::Function(..) => return Err("a function"),
        _ => return Err("a type"),
    })
}

fn name(key: &Key) -> String {
    match key {
        Key::Int(value) => value.to_string(),
        Key::Uint(value) => value.to_string(),
        Key::Bool(value) => value.to_string(),
        Key::String(value) => value.to_string(),
    }
}

//! The mapping both ways over random types and values.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value as Json, json};

use super::{list, option};
use crate::{
    wit::{Case, NamedType, Type, Value},
    yaml,
};

fn name() -> impl Strategy<Value = String> {
    "[a-z]{1,4}(-[a-z][a-z0-9]{0,3}){0,2}"
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set(name(), 1..5).prop_map(|names| names.into_iter().collect())
}

pub(crate) fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::Bool),
        Just(Type::S8),
        Just(Type::U8),
        Just(Type::S16),
        Just(Type::U16),
        Just(Type::S32),
        Just(Type::U32),
        Just(Type::S64),
        Just(Type::U64),
        Just(Type::F32),
        Just(Type::F64),
        Just(Type::Char),
        Just(Type::String),
        names().prop_map(Type::Enum),
        names().prop_map(Type::Flags),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let maybe = proptest::option::of(inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.clone().prop_map(list),
            inner.clone().prop_map(option),
            inner.clone().prop_map(|ty| option(option(ty))),
            inner.clone().prop_map(|ty| list(Type::Tuple(vec![Type::String, ty]))),
            vec(inner.clone(), 1..4).prop_map(Type::Tuple),
            (names(), vec(inner.clone(), 5)).prop_map(|(names, types)| {
                Type::Record(names.into_iter().zip(types).map(|(name, ty)| NamedType { name, ty }).collect())
            }),
            (names(), vec(proptest::option::of(inner), 5)).prop_map(|(names, types)| {
                Type::Variant(names.into_iter().zip(types).map(|(name, ty)| Case { name, ty }).collect())
            }),
            (maybe.clone(), maybe).prop_map(|(ok, err)| Type::Result { ok, err }),
        ]
    })
}

pub(crate) fn any_value(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::S8 => any::<i8>().prop_map(Value::S8).boxed(),
        Type::U8 => any::<u8>().prop_map(Value::U8).boxed(),
        Type::S16 => any::<i16>().prop_map(Value::S16).boxed(),
        Type::U16 => any::<u16>().prop_map(Value::U16).boxed(),
        Type::S32 => any::<i32>().prop_map(Value::S32).boxed(),
        Type::U32 => any::<u32>().prop_map(Value::U32).boxed(),
        Type::S64 => any::<i64>().prop_map(Value::S64).boxed(),
        Type::U64 => any::<u64>().prop_map(Value::U64).boxed(),
        Type::F32 => any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))).boxed(),
        Type::F64 => any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))).boxed(),
        Type::Char => any::<char>().prop_map(Value::Char).boxed(),
        Type::String => any::<String>().prop_map(Value::String).boxed(),
        Type::Enum(names) => proptest::sample::select(names.clone()).prop_map(Value::Enum).boxed(),
        Type::Flags(names) => {
            proptest::sample::subsequence(names.clone(), 0..=names.len()).prop_map(Value::Flags).boxed()
        }
        Type::List(item) => vec(any_value(item), 0..4).prop_map(Value::List).boxed(),
        Type::Option(inner) => {
            proptest::option::of(any_value(inner).prop_map(Box::new)).prop_map(Value::Option).boxed()
        }
        Type::Tuple(items) => items.iter().map(any_value).collect::<Vec<_>>().prop_map(Value::Tuple).boxed(),
        Type::Record(fields) => {
            let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
            let values: Vec<_> = fields.iter().map(|field| any_value(&field.ty)).collect();
            values.prop_map(move |values| Value::Record(names.iter().cloned().zip(values).collect())).boxed()
        }
        Type::Variant(cases) => proptest::strategy::Union::new(cases.iter().map(|case| {
            let name = case.name.clone();
            payload(case.ty.as_ref()).prop_map(move |payload| Value::Variant(name.clone(), payload)).boxed()
        }))
        .boxed(),
        Type::Result { ok, err } => prop_oneof![
            payload(ok.as_deref()).prop_map(|payload| Value::Result(Ok(payload))),
            payload(err.as_deref()).prop_map(|payload| Value::Result(Err(payload))),
        ]
        .boxed(),
    }
}

fn payload(ty: Option<&Type>) -> BoxedStrategy<Option<Box<Value>>> {
    match ty {
        Some(ty) => any_value(ty).prop_map(|value| Some(Box::new(value))).boxed(),
        None => Just(None).boxed(),
    }
}

fn type_and_value() -> impl Strategy<Value = (Type, Value)> {
    any_type().prop_flat_map(|ty| {
        let value = any_value(&ty);
        (Just(ty), value)
    })
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-z-]{0,6}".prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        Just(json!("ok")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            vec(("[a-z_-]{0,6}|some|ok|err", inner), 0..4)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}

/// JSON as YAML text: the same but for characters that YAML wants escaped.
fn yaml_text(json: &Json) -> String {
    let escaped = |c: char| match c as u32 {
        0x20..=0x7e => c.to_string(),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    json.to_string().chars().map(escaped).collect()
}

/// Equality that takes NaN as equal to NaN: no text keeps what else a NaN holds.
fn same(a: &Value, b: &Value) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn json_and_back_is_the_same((ty, value) in type_and_value()) {
        let text = serde_json::to_string(&value.to_json(&ty)).unwrap();
        let back = Value::from_json(&serde_json::from_str(&text).unwrap(), &ty);
        let back = back.map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}\n{ty}")))?;
        prop_assert!(same(&value, &back), "{value:?} {text} {back:?}");
    }

    #[test]
    fn yaml_and_back_is_the_same((ty, value) in type_and_value()) {
        let text = yaml_text(&value.to_json(&ty));
        let node = yaml::parse(&text).map_err(|error| TestCaseError::fail(format!("{error} {text}")))?;
        let back = Value::from_node(&node, &ty);
        let back = back.map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}\n{ty}")))?;
        prop_assert!(same(&value, &back), "{value:?} {text} {back:?}");
    }

    #[test]
    fn any_json_for_any_type_is_an_answer(ty in any_type(), json in any_json()) {
        if let Ok(value) = Value::from_json(&json, &ty) {
            let again = Value::from_json(&value.to_json(&ty), &ty).unwrap();
            prop_assert!(same(&value, &again));
        }
    }
}

//! Single numbers and texts, and the words for types in messages.

use super::{Type, names::snake_case, source::View};
use crate::yaml::{parse_bool, parse_float, parse_integer};

impl Type {
    /// The smallest and the largest value of an integer type.
    pub(super) fn integer_range(&self) -> Option<(i128, i128)> {
        Some(match self {
            Type::S8 => (i8::MIN.into(), i8::MAX.into()),
            Type::U8 => (0, u8::MAX.into()),
            Type::S16 => (i16::MIN.into(), i16::MAX.into()),
            Type::U16 => (0, u16::MAX.into()),
            Type::S32 => (i32::MIN.into(), i32::MAX.into()),
            Type::U32 => (0, u32::MAX.into()),
            Type::S64 => (i64::MIN.into(), i64::MAX.into()),
            Type::U64 => (0, u64::MAX.into()),
            _ => return None,
        })
    }
}

/// The whole number that stands there, if it is one. A float without a fraction, as expressions give it, is one.
pub(super) fn whole_number(view: View<'_>) -> Option<i128> {
    match view {
        View::Plain(text) | View::Given(text) => parse_integer(text),
        View::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Some(value.into()),
            (_, Some(value), _) => Some(value.into()),
            (_, _, Some(value)) if value.fract() == 0.0 && value.abs() < 1e20 => Some(value as i128),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a number that Rust's `parse` for floats reads.
pub(super) fn float_text(view: View<'_>) -> Option<String> {
    match view {
        View::Number(number) => Some(number.to_string()),
        // JSON has no other way to write them.
        View::Given("NaN") | View::Quoted("NaN") | View::Plain("NaN") => Some("nan".to_owned()),
        View::Given("Infinity") | View::Quoted("Infinity") | View::Plain("Infinity") => Some("inf".to_owned()),
        View::Given("-Infinity") | View::Quoted("-Infinity") | View::Plain("-Infinity") => Some("-inf".to_owned()),
        View::Plain(text) | View::Given(text) => {
            parse_float(text).or_else(|| parse_integer(text).map(|number| number.to_string()))
        }
        _ => None,
    }
}

/// The text that stands there; numbers and booleans that an expression gave become theirs.
pub(super) fn text_of(view: View<'_>) -> Option<String> {
    match view {
        View::Plain(text) | View::Quoted(text) | View::Given(text) => Some(text.to_owned()),
        View::Number(number) => Some(number.to_string()),
        View::Bool(value) => Some(value.to_string()),
        View::Null | View::List(_) | View::Map(_) => None,
    }
}

/// Would the text be right without quotes?
pub(super) fn scalar_of(text: &str, ty: &Type) -> bool {
    match ty {
        Type::Bool => parse_bool(text).is_some(),
        Type::F32 | Type::F64 => parse_float(text).is_some(),
        ty => ty.integer_range().is_some() && parse_integer(text).is_some(),
    }
}

/// A type in words for a message.
pub(super) fn kind_of(ty: &Type) -> String {
    match ty {
        Type::Bool => "`true` or `false`".to_owned(),
        Type::F32 | Type::F64 => format!("a number ({ty})"),
        Type::Char => "one character (char)".to_owned(),
        Type::String => "a text (string)".to_owned(),
        Type::List(item) if item.pair_value().is_some() => "a mapping or a list of pairs".to_owned(),
        Type::List(_) => "a list".to_owned(),
        Type::Option(inner) => kind_of(inner),
        Type::Tuple(items) => format!("a list of {} items", items.len()),
        Type::Record(_) => "a mapping".to_owned(),
        Type::Variant(cases) => {
            format!("one of {}", listed_snake(&cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>()))
        }
        Type::Enum(names) => format!("one of {}", listed_snake(names)),
        Type::Flags(names) => format!("a list of {}", listed_snake(names)),
        Type::Result { .. } => "`{ ok: … }` or `{ err: … }`".to_owned(),
        integer => format!("a whole number ({integer})"),
    }
}

pub(super) fn listed_snake(names: &[String]) -> String {
    listed(&names.iter().map(|name| snake_case(name)).collect::<Vec<_>>())
}

/// Names for a message; of very many only the first.
pub(super) fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(12).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > 12 {
        text.push_str(", …");
    }
    text
}

//! JSON as YAML that people read and change: short values on a line, texts of several lines as blocks.

use std::fmt::Write as _;

use oxide_core::yaml::{is_null, parse_bool, parse_float, parse_integer};
use serde_json::Value as Json;

/// A value behind `key:` at this indentation: what follows the colon, with a line break at its end.
pub fn value(value: &Json, indent: usize) -> String {
    match value {
        Json::Object(map) if map.is_empty() => " {}\n".to_owned(),
        Json::Array(items) if items.is_empty() => " []\n".to_owned(),
        Json::Object(_) | Json::Array(_) => format!("\n{}", block(value, indent)),
        Json::String(text) => format!(" {}\n", self::text(text, indent)),
        scalar => format!(" {scalar}\n"),
    }
}

/// A mapping or a list as lines at this indentation.
pub fn block(value: &Json, indent: usize) -> String {
    let space = " ".repeat(indent);
    let mut out = String::new();
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                // Writing to a text cannot fail.
                let _ = write!(out, "{space}{}:{}", key_text(key), self::value(value, indent + 2));
            }
        }
        Json::Array(items) => {
            for item in items {
                match item {
                    Json::Object(map) if !map.is_empty() => {
                        let lines = block(item, indent + 2);
                        let _ = write!(out, "{space}- {}", lines.trim_start());
                    }
                    Json::Array(inner) if !inner.is_empty() => {
                        let _ = write!(out, "{space}-\n{}", block(item, indent + 2));
                    }
                    other => {
                        let _ = write!(out, "{space}-{}", self::value(other, indent + 2));
                    }
                }
            }
        }
        scalar => {
            let _ = write!(out, "{space}{}", self::value(scalar, indent).trim_start());
        }
    }
    out
}

/// A key, in quotes if it needs them.
fn key_text(key: &str) -> String {
    if is_plain(key) { key.to_owned() } else { quoted(key) }
}

/// A text as a scalar, without a line break at its end; a block stands at this indentation.
fn text(text: &str, indent: usize) -> String {
    if text.contains('\n') && fits_a_block(text) {
        let space = " ".repeat(indent);
        let chomp = match text.len() - text.trim_end_matches('\n').len() {
            0 => "-",
            1 => "",
            _ => "+",
        };
        let lines: Vec<String> = text
            .strip_suffix('\n')
            .unwrap_or(text)
            .split('\n')
            .map(|line| if line.is_empty() { String::new() } else { format!("{space}{line}") })
            .collect();
        return format!("|{chomp}\n{}", lines.join("\n"));
    }
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Would a block keep the text as it is?
fn fits_a_block(text: &str) -> bool {
    let first = text.split('\n').find(|line| !line.is_empty()).unwrap_or("");
    !first.is_empty()
        && !first.starts_with([' ', '\t'])
        && text.chars().all(|character| character == '\n' || is_printable(character))
}

fn is_printable(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{feff}')
}

/// Is the text the same without quotes?
fn is_plain(text: &str) -> bool {
    let inner = |character: char| character.is_ascii_alphanumeric() || "_-./ ".contains(character);
    let first = |character: char| character.is_ascii_alphanumeric() || "_/.".contains(character);
    text.chars().next().is_some_and(first)
        && !text.ends_with(' ')
        && text.chars().all(inner)
        && !is_null(text)
        && parse_bool(text).is_none()
        && parse_integer(text).is_none()
        && parse_float(text).is_none()
        && !text.starts_with(|character: char| character.is_ascii_digit() || character == '.')
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if is_printable(other) => out.push(other),
            other => {
                let _ = write!(out, "\\U{:08x}", u32::from(other));
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use oxide_core::{
        wit::{Type, Value},
        yaml,
    };
    use serde_json::json;

    use super::*;

    /// The text that YAML reads from what is written for it.
    fn read_back(text: &str) -> String {
        let written = block(&json!({ "key": text, "next": 1 }), 2);
        let node = yaml::parse(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
        let value = Value::from_node(node.get("key").unwrap(), &Type::String);
        match value.unwrap_or_else(|error| panic!("{error}\n{written}")) {
            Value::String(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_text_is_read_back_as_it_was() {
        for text in [
            "",
            " ",
            "plain",
            "two words",
            "true",
            "null",
            "~",
            "1",
            "1e3",
            "0x1f",
            ".inf",
            "2026-01-02",
            "- a",
            "a: b",
            "#a",
            "a #b",
            "'",
            "\"",
            "\\",
            "a\\nb",
            "*a",
            "&a",
            "{a}",
            "[a]",
            "`a`",
            "@a",
            "%a",
            "!a",
            "|",
            ">",
            "?",
            "a\nb",
            "a\nb\n",
            "a\n\n\n",
            "\na",
            "\n",
            "\n\n",
            " a\nb",
            "\ta\nb",
            "a\n b\n",
            "a \nb ",
            "a\n#b\n",
            "é\nü",
            "a\r\nb",
            "\u{1b}[31m",
            "\u{2028}a",
            "\u{feff}a\nb",
            "a\tb\nc",
            "## x\n\n- **y:** z (abc)\n",
            "no",
            "x:",
            "-",
            "---\na",
            "...",
            "a\n---\nb",
            "🎉",
            "\u{0}",
        ] {
            assert_eq!(read_back(text), text, "{text:?}");
        }
    }

    #[test]
    fn lists_and_mappings_are_lines() {
        let written = block(&json!({ "a": { "b": [1, "x", { "c": null, "d": [] }], "e": {} }, "f": true }), 0);
        assert_eq!(written, "a:\n  b:\n    - 1\n    - x\n    - c: null\n      d: []\n  e: {}\nf: true\n");
        assert!(yaml::parse(&written).is_ok());
    }
}

//! Durations (`90s`, `20m`, `1h30m`) and sizes (`4GiB`, `512MB`).

use super::reader::Reader;
use crate::{
    diagnostic::Diagnostic,
    yaml::{Content, Node},
};

/// Milliseconds of a duration: numbers with a unit, `ms`, `s`, `m`, `h` or `d`, one after the other.
pub fn parse_duration(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[letters..];
    }
    Some(total)
}

/// Bytes of a size: a number with a unit, `B`, `KiB`, `MiB`, `GiB`, `TiB` (1024) or `KB`, `MB`, `GB`, `TB` (1000).
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let unit: u64 = match text[end..].trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    let number = &text[..end];
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let value = number.parse::<f64>().ok()? * unit as f64;
    (value.is_finite() && value < 9e18).then_some(value as u64)
}

/// A duration of at least a millisecond and at most 30 days, in milliseconds.
pub(super) fn duration(node: &Node, reader: &mut Reader) -> Option<u64> {
    const MOST_MS: u64 = 30 * 24 * 60 * 60 * 1000;
    let text = reader.text(node, "a duration")?;
    let Some(value) = parse_duration(&text) else {
        let error = Diagnostic::at(node.span, format!("`{text}` is no duration"));
        reader.error(match text.parse::<u64>() {
            Ok(number) => error.hint(format!("it needs a unit: `{number}s` or `{number}m`")),
            Err(_) => error.hint("write it as `90s`, `20m`, `1h` or `500ms`"),
        });
        return None;
    };
    if value == 0 || value > MOST_MS {
        reader.error(Diagnostic::at(node.span, "a duration must be more than nothing and at most 30 days (`30d`)"));
        return None;
    }
    Some(value)
}

/// A size in bytes, at least 1.
pub(super) fn bytes(node: &Node, reader: &mut Reader) -> Option<u64> {
    let text = reader.text(node, "a size")?;
    let size = parse_bytes(&text).filter(|size| *size > 0);
    if size.is_none() {
        let error = Diagnostic::at(node.span, format!("`{text}` is no size"));
        reader.error(match text.parse::<u64>() {
            Ok(number) => error.hint(format!("it needs a unit: `{number}MiB` or `{number}GiB`")),
            Err(_) => error.hint("write it as `512MiB`, `4GiB` or `100KiB`"),
        });
    }
    size
}

/// An amount without unit, such as fuel: `20000000000` or `20e9`.
pub(super) fn amount(node: &Node, reader: &mut Reader, what: &str) -> Option<u64> {
    let Content::Scalar { text, plain: true } = &node.content else {
        reader.expected(node, what, "a number such as `20e9`");
        return None;
    };
    let value = text.parse::<u64>().ok().or_else(|| {
        let value = crate::yaml::parse_float(text)?.parse::<f64>().ok()?;
        (value.fract() == 0.0 && (1.0..1.8e19).contains(&value)).then_some(value as u64)
    });
    let value = value.filter(|value| *value > 0);
    if value.is_none() {
        reader.expected(node, what, "a number such as `20e9`");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read() {
        for (text, value) in
            [("500ms", 500), ("90s", 90_000), ("20m", 1_200_000), ("1h", 3_600_000), ("1h30m", 5_400_000)]
        {
            assert_eq!(parse_duration(text), Some(value), "{text}");
        }
        for text in ["", "5", "m", "1.5h", "1 h", "-1s", "5minutes", "99999999999999999999s", "9999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for (text, value) in
            [("4GiB", 4 << 30), ("512MB", 512_000_000), ("100KiB", 102_400), ("1.5 MiB", 3 << 19), ("7B", 7)]
        {
            assert_eq!(parse_bytes(text), Some(value), "{text}");
        }
        for text in ["", "5", "GiB", "4Gi", "4gib", "-1KiB", "1.2.3MB", "99999999999TiB", "é"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}

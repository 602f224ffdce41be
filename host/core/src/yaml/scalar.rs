//! What a plain scalar means by the core schema of YAML 1.2, asked only where a number, boolean or null is wanted.

/// Is it a plain null: empty, `~`, `null`?
pub fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// `true` or `false`, also `True`, `TRUE`, `False`, `FALSE`. Not `yes` and `on`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal with a sign, `0o17` or `0xff`. None for other texts and beyond 128 bits.
pub fn parse_integer(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| i128::from_str_radix(digits, 16).ok())?;
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return digits.bytes().all(|b| (b'0'..=b'7').contains(&b)).then(|| i128::from_str_radix(digits, 8).ok())?;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    decimal.then(|| text.parse().ok())?
}

/// The text of a decimal number, ready for Rust's `parse`; also `.inf`, `-.inf` and `.nan`. None for other texts.
pub fn parse_float(text: &str) -> Option<String> {
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'-') => ("-", &text[1..]),
        Some(b'+') => ("", &text[1..]),
        _ => ("", text),
    };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(format!("{sign}inf")),
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => return Some("nan".to_owned()),
        _ => {}
    }
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    Some(format!("{sign}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_core_schema() {
        for (text, number) in [("0", 0), ("-17", -17), ("+5", 5), ("0x1F", 31), ("0o17", 15), ("007", 7)] {
            assert_eq!(parse_integer(text), Some(number), "{text}");
        }
        for text in ["", "-", "1_000", "0b1", "1.0", "0x", "0x-1", "0o8", "twelve", "１"] {
            assert_eq!(parse_integer(text), None, "{text}");
        }
        for text in ["1", "1.", ".5", "-1.5e3", "+0.1E-2", ".inf", "-.inf", ".nan"] {
            assert!(parse_float(text).is_some_and(|text| text.parse::<f64>().is_ok()), "{text}");
        }
        for text in ["", ".", "e5", "1e", "inf", "nan", "-.nan", "1.2.3", "infinity", "0x1"] {
            assert_eq!(parse_float(text), None, "{text}");
        }
    }
}

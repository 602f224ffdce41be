//! Free texts of callers: names, descriptions, comments. They end up on terminals and in both databases.
//!
//! The document says the same of them: [`oxide_core::api::text`].

use crate::error::ApiError;

/// How long names may be, in characters.
pub const NAME_LENGTH_MAX: usize = 100;
/// How long descriptions may be, in characters.
pub const TEXT_LENGTH_MAX: usize = 2000;

/// Is it a text that can be kept and shown: no control characters but line breaks and tabs, nothing that turns the direction
/// of writing around, and not too long?
///
/// # Errors
/// 422 with the name of the field.
pub fn check_text(field: &str, text: &str, length_max: usize) -> Result<(), ApiError> {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t') || is_direction(c)) {
        return Err(ApiError::invalid(format!("`{field}` has control characters"))
            .suggest("write text: letters, signs, line breaks and tabs"));
    }
    match text.chars().count() {
        count if count > length_max => {
            Err(ApiError::invalid(format!("`{field}` has {count} characters, and {length_max} are the most")))
        }
        _ => Ok(()),
    }
}

/// The same of a text that stands in one line.
///
/// # Errors
/// As [`check_text`].
pub fn check_line(field: &str, text: &str, length_max: usize) -> Result<(), ApiError> {
    match text.contains(['\n', '\t']) {
        true => Err(ApiError::invalid(format!("`{field}` has line breaks or tabs")).suggest("write it in one line")),
        false => check_text(field, text, length_max),
    }
}

/// Does it change in which direction the text around it is shown?
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_can_be_shown() {
        for good in ["", "Zoë 日本\n\tis", "a".repeat(10).as_str()] {
            assert!(check_text("name", good, 10).is_ok(), "{good:?}");
        }
        for bad in ["a\0", "\x1b[2J", "x\u{202e}", "\u{9b}", "\r", "a".repeat(11).as_str()] {
            assert!(check_text("name", bad, 10).is_err() && check_line("name", bad, 10).is_err(), "{bad:?}");
        }
        assert!(check_line("name", "ä€𝄞", 3).is_ok());
        assert!(check_line("name", "a\nb", 10).is_err() && check_line("name", "a\tb", 10).is_err());
    }
}

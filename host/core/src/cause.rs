//! What led to an error, for places that have one line for it.

use std::error::Error;

/// An error and its causes: `could not load: no such file`.
pub fn in_one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

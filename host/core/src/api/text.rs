//! Texts that people write, as the documents of the API describe them. Whoever takes one checks the same.

/// Nothing but line breaks and tabs steers a terminal.
pub const TEXT: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
/// One line, and nothing in it steers a terminal.
pub const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

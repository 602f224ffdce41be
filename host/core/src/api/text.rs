//! Texts that people write, as the documents of the API describe them. Whoever takes one checks the same.

/// Nothing but line breaks and tabs steers a terminal, and nothing turns the direction of writing around.
pub const TEXT: &str = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$";
/// The same in one line.
pub const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$";
/// An e-mail address, or nothing.
pub const EMAIL: &str = r"^$|^[^\s@\u0000-\u001f\u007f-\u009f]+@[^\s@\u0000-\u001f\u007f-\u009f]+$";

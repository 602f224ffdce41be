//! Secrets: values that steps spend without reading them, and that are masked in everything that leaves.
//!
//! [`SecretValue`] keeps a value out of debug output; [`placeholder`] holds the texts that stand for values inside of a
//! step; [`mask`] finds values, and their usual encodings, in what a step prints and returns; [`LeasedSecrets`] are those
//! that an agent is given with a job.

mod leased;
pub mod mask;
pub mod placeholder;

pub use leased::LeasedSecrets;
pub use mask::{MaskStream, Masker};
pub use placeholder::{FillStream, Placeholders, StepSecret};

use std::{collections::BTreeMap, fmt};

/// A shorter value stands in too many places by chance: masking it would spoil every log, and not masking it would show it.
pub const SECRET_BYTES_MIN: usize = 6;
/// What a process takes as one environment variable on Linux is 128 KiB.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// The value of a secret. It is written out nowhere: not by `Debug`, and it has no `Display` and no serialisation.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

/// Why a text cannot be the value of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSecret {
    /// It could not be masked.
    #[error("its value has {0} bytes; it needs {SECRET_BYTES_MIN}, because a shorter one cannot be masked in logs")]
    Short(usize),
    /// No process takes it.
    #[error("its value has {0} bytes; it may have {SECRET_BYTES_MAX}")]
    Long(usize),
    /// No process takes it.
    #[error("its value holds a NUL byte, which no process and no header can be given")]
    Nul,
}

impl SecretValue {
    /// Takes a text as the value of a secret. White space around it counts as part of it only for its length.
    ///
    /// # Errors
    /// If the text is too short to be masked, too long, or holds a NUL byte.
    pub fn new(text: impl Into<String>) -> Result<SecretValue, UnusableSecret> {
        let text = text.into();
        match text.trim().len() {
            short @ 0..SECRET_BYTES_MIN => Err(UnusableSecret::Short(short)),
            _ if text.len() > SECRET_BYTES_MAX => Err(UnusableSecret::Long(text.len())),
            _ if text.contains('\0') => Err(UnusableSecret::Nul),
            _ => Ok(SecretValue(text)),
        }
    }

    /// The value. Every use of this function is a place where a secret leaves the host's keeping.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(***)")
    }
}

/// The values of secrets by name.
pub type Secrets = BTreeMap<String, SecretValue>;

/// What to type for a secret that has no value.
pub fn how_to_set(name: &str) -> String {
    format!("set the environment variable {name}, add a line `{name}=…` to `.env`, or write `--secret {name}=…`")
}

/// The same for a job, which does not know whether a server has sent it.
pub fn how_to_set_for_job(name: &str) -> String {
    format!("on a server: `oxide secrets set {name}`; here: {}", how_to_set(name))
}

/// Can a secret have this name? Letters, digits and `_`, and no digit at the beginning, as for environment variables.
pub fn is_secret_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
        && name.len() <= 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_masked_or_spent_is_refused_with_a_reason() {
        assert_eq!(SecretValue::new("abc"), Err(UnusableSecret::Short(3)));
        assert_eq!(SecretValue::new("  abc   "), Err(UnusableSecret::Short(3)));
        assert_eq!(SecretValue::new("a\0bcdefg"), Err(UnusableSecret::Nul));
        assert_eq!(SecretValue::new("x".repeat(SECRET_BYTES_MAX + 1)), Err(UnusableSecret::Long(SECRET_BYTES_MAX + 1)));
        let value = SecretValue::new("hunter2").unwrap();
        assert_eq!(format!("{value:?} {:?}", Some(&value)), "SecretValue(***) Some(SecretValue(***))");
        assert_eq!(value.expose(), "hunter2");
    }

    #[test]
    fn names_are_those_of_environment_variables() {
        for (name, good) in [("TOKEN", true), ("_a1", true), ("1a", false), ("a-b", false), ("", false), ("ä", false)]
        {
            assert_eq!(is_secret_name(name), good, "{name}");
        }
    }
}

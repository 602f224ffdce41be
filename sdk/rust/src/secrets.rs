//! Secrets that a plugin spends without reading them.
//!
//! [`placeholder`] is a text that stands for the value, the same for the whole step. Put it into the environment or the
//! standard input of a [`Command`](crate::Command), or into a request to a granted host: the host puts the value in its place.
//!
//! ```no_run
//! # use oxide_plugin::{Command, Failure, secrets};
//! # fn run() -> Result<(), Failure> {
//! Command::new("deploy").env("API_TOKEN", secrets::placeholder("API_TOKEN")?).run()?;
//! # Ok(())
//! # }
//! ```

use crate::Error;

pub use crate::bindings::oxide::ci::secrets::{Secret, names, open};

/// A text that stands for the value of a secret. It may be part of a longer text, such as `Bearer PLACEHOLDER`.
///
/// # Errors
/// [`Error::Denied`] if the step was not granted the secret.
pub fn placeholder(name: &str) -> Result<String, Error> {
    Ok(open(name)?.placeholder())
}

/// The value itself, for what cannot be done with a placeholder.
///
/// # Errors
/// [`Error::Denied`] unless the pipeline grants `reveal` for this secret.
pub fn reveal(name: &str) -> Result<String, Error> {
    open(name)?.reveal()
}

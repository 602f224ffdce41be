//! From errors to the failure of the step.
//!
//! A function that returns `Result<_, Failure>` takes `?` after everything that ends with an [`Error`] of the host or with
//! any error of Rust's. [`Context`] puts before it what was tried; [`fail!`](crate::fail) ends with a text of one's own.

use std::{any::Any, error, fmt};

use crate::{Error, Failure};

impl Failure {
    /// A failure for any reason, as a sentence for the person who reads the log.
    pub fn other(text: impl Into<String>) -> Failure {
        Failure::Other(text.into())
    }

    /// An input is unusable. The text says which one, why, and what to write instead.
    pub fn invalid_input(text: impl Into<String>) -> Failure {
        Failure::InvalidInput(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::ExitCode(code) => write!(to, "the command ended with exit code {code}"),
            Failure::InvalidInput(text) | Failure::Other(text) => to.write_str(text),
        }
    }
}

impl Error {
    /// What the host said.
    pub fn text(&self) -> &str {
        match self {
            Error::NotFound(text)
            | Error::Denied(text)
            | Error::Invalid(text)
            | Error::Limit(text)
            | Error::Other(text) => text,
        }
    }

    /// Does the thing named not exist?
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound(_))
    }
}

impl<E: error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Other(text_of(&error))
    }
}

/// What went wrong, with all of its causes.
fn text_of(error: &(impl error::Error + 'static)) -> String {
    if let Some(error) = (error as &dyn Any).downcast_ref::<Error>() {
        return error.text().to_owned();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Many errors repeat the text of their cause.
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// Says what was tried when something did not succeed: `workspace::read(path).context("could not read the settings")?`.
pub trait Context<T> {
    /// Makes a failure of the error, with these words before it.
    ///
    /// # Errors
    /// Where there was one.
    fn context(self, words: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: error::Error + 'static> Context<T> for Result<T, E> {
    fn context(self, words: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::Other(format!("{words}: {}", text_of(&error))))
    }
}

impl<T> Context<T> for Result<T, Failure> {
    /// An exit code stays one: it is the reason of the failure, and pipelines ask for it.
    fn context(self, words: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|failure| match failure {
            Failure::ExitCode(code) => Failure::ExitCode(code),
            Failure::InvalidInput(text) => Failure::InvalidInput(format!("{words}: {text}")),
            Failure::Other(text) => Failure::Other(format!("{words}: {text}")),
        })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, words: impl fmt::Display) -> Result<T, Failure> {
        self.ok_or_else(|| Failure::Other(words.to_string()))
    }
}

/// Returns from the function with a failure: `fail!("`{name}` has no lines")`.
#[macro_export]
macro_rules! fail {
    ($($text:tt)+) => {
        return ::core::result::Result::Err($crate::Failure::Other(::std::format!($($text)+)))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<u32, Failure> {
        if text.is_empty() {
            fail!("there is no {}", "number");
        }
        Ok(text.parse()?)
    }

    #[test]
    fn any_error_becomes_a_failure_in_its_own_words() {
        assert_eq!(number("7"), Ok(7));
        assert_eq!(number("x"), Err(Failure::other("invalid digit found in string")));
        assert_eq!(number(""), Err(Failure::other("there is no number")));
    }

    #[test]
    fn an_error_of_the_host_keeps_its_sentence() {
        let read = || -> Result<(), Failure> { Err(Error::NotFound("`a.txt` does not exist".into()))? };
        assert_eq!(read(), Err(Failure::other("`a.txt` does not exist")));
    }

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("could not read the settings")
        }
    }

    impl error::Error for Outer {
        fn source(&self) -> Option<&(dyn error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn causes_follow_their_error() {
        let cause = "x".parse::<u32>().unwrap_err();
        let failure = Failure::from(Outer(cause));
        assert_eq!(failure, Failure::other("could not read the settings: invalid digit found in string"));
    }

    #[test]
    fn context_stands_before_the_text_and_keeps_exit_codes() {
        let missing: Result<(), Error> = Err(Error::NotFound("`a` does not exist".into()));
        assert_eq!(missing.context("no settings"), Err(Failure::other("no settings: `a` does not exist")));
        assert_eq!(Err::<(), _>(Failure::ExitCode(3)).context("git"), Err(Failure::ExitCode(3)));
        assert_eq!(
            Err::<(), _>(Failure::invalid_input("`a` is empty")).context("x"),
            Err(Failure::invalid_input("x: `a` is empty"))
        );
        assert_eq!(None::<()>.context("there is no tag"), Err(Failure::other("there is no tag")));
    }
}

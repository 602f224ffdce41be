//! Why a text or JSON value is not a value of a WIT type.

use std::fmt;

use crate::{diagnostic::Diagnostic, yaml::Span};

/// One mismatch between what was written and the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// Where it was written; line 0 if it was not written in a file.
    pub span: Span,
    /// The way to the value, such as `tags[2].name`; empty for the whole value.
    pub path: String,
    /// The type that is wanted, in WIT syntax; empty where there is none, as for a field that does not exist.
    pub expected: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead, if there is something sure to say.
    pub hint: Option<String>,
}

impl MappingError {
    /// The error as one of a pipeline.
    pub fn into_diagnostic(self) -> Diagnostic {
        let diagnostic = Diagnostic { hint: self.hint.clone(), ..Diagnostic::at(self.span, self.to_string()) };
        if self.expected.is_empty() { diagnostic } else { diagnostic.label(format!("wants {}", self.expected)) }
    }
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "`{}`: {}", self.path, self.message),
        }
    }
}

impl std::error::Error for MappingError {}

/// Every mismatch that was found, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingErrors(pub Vec<MappingError>);

impl fmt::Display for MappingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for MappingErrors {}

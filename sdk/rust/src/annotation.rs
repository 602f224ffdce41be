//! Results for people beside the outputs: remarks on places in the source, and the summary of the step.

use crate::{
    Error,
    bindings::oxide::ci::output::{self, Annotation as Record},
};

pub use crate::bindings::oxide::ci::output::Severity;

/// A remark on a place in the source, recorded by [`record`](Annotation::record). A step may record 1,000.
///
/// ```no_run
/// use oxide_plugin::Annotation;
///
/// Annotation::warning("unused import").file("src/main.rs").line(3).record();
/// ```
#[must_use = "nothing is recorded before `record`"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation(Record);

impl Annotation {
    /// A remark of this severity.
    pub fn new(severity: Severity, message: impl Into<String>) -> Annotation {
        Annotation(Record { file: None, line: None, severity, message: message.into() })
    }

    /// For information.
    pub fn notice(message: impl Into<String>) -> Annotation {
        Annotation::new(Severity::Notice, message)
    }

    /// Should be looked at.
    pub fn warning(message: impl Into<String>) -> Annotation {
        Annotation::new(Severity::Warning, message)
    }

    /// Is wrong.
    pub fn error(message: impl Into<String>) -> Annotation {
        Annotation::new(Severity::Error, message)
    }

    /// The file, relative to the workspace.
    pub fn file(mut self, path: impl Into<String>) -> Annotation {
        self.0.file = Some(path.into());
        self
    }

    /// The line of the file, counted from 1.
    pub fn line(mut self, line: u32) -> Annotation {
        self.0.line = Some(line);
        self
    }

    /// Records it.
    pub fn record(self) {
        output::annotate(&self.0);
    }
}

/// Appends markdown to the summary of the step, which holds 1 MiB.
///
/// # Errors
/// [`Error::Limit`] where it would hold more.
pub fn add_summary(markdown: &str) -> Result<(), Error> {
    output::add_summary(markdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_has_a_place_only_where_it_is_given_one() {
        let record = Record { file: None, line: None, severity: Severity::Error, message: "no title".into() };
        assert_eq!(Annotation::error("no title").0, record);
        let placed = Record { file: Some("a.md".into()), line: Some(3), ..record };
        assert_eq!(Annotation::error("no title").file("a.md").line(3).0, placed);
    }
}

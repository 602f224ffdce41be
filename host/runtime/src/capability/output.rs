//! `oxide:ci/output`: annotations and the summary of a step.

use oxide_core::event::{Annotation, Severity};

use super::{
    CapabilityError,
    bindings::oxide::ci::output::{Annotation as WitAnnotation, Host, Severity as WitSeverity},
};
use crate::state::State;

const ANNOTATIONS_MAX: usize = 1000;
/// A longer message is cut.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
const SUMMARY_BYTES_MAX: usize = 1 << 20;

/// What a step has said beside its outputs.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub annotations: Vec<Annotation>,
    /// How many annotations came after the last that was kept.
    pub dropped: u64,
    pub summary: String,
}

impl Collected {
    fn annotate(&mut self, mut annotation: Annotation) {
        if self.annotations.len() < ANNOTATIONS_MAX {
            for text in annotation.file.iter_mut().chain([&mut annotation.message]) {
                text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
            }
            self.annotations.push(annotation);
        } else {
            self.dropped += 1;
        }
    }

    fn add_summary(&mut self, markdown: &str) -> Result<(), CapabilityError> {
        if self.summary.len() + markdown.len() > SUMMARY_BYTES_MAX {
            return Err(CapabilityError::Limit("the summary of a step holds 1 MiB".into()));
        }
        self.summary.push_str(markdown);
        Ok(())
    }
}

impl Host for State {
    async fn annotate(&mut self, annotation: WitAnnotation) -> wasmtime::Result<()> {
        self.called("output.annotate", &(&annotation,));
        self.collected.annotate(Annotation {
            file: annotation.file,
            line: annotation.line,
            severity: match annotation.severity {
                WitSeverity::Notice => Severity::Notice,
                WitSeverity::Warning => Severity::Warning,
                WitSeverity::Error => Severity::Error,
            },
            message: annotation.message,
        });
        Ok(())
    }

    async fn add_summary(&mut self, markdown: String) -> Result<(), CapabilityError> {
        self.called("output.add-summary", &(&markdown,));
        self.collected.add_summary(&markdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_annotations_are_kept_and_the_others_counted() {
        let mut collected = Collected::default();
        for line in 0..1003 {
            let message = "unused".to_owned();
            collected.annotate(Annotation { file: None, line: Some(line), severity: Severity::Notice, message });
        }
        assert_eq!((collected.annotations.len(), collected.dropped), (1000, 3));
        assert_eq!(collected.annotations[999].line, Some(999));
        let mut collected = Collected::default();
        let message = "ö".repeat(1 << 20);
        collected.annotate(Annotation { file: None, line: None, severity: Severity::Error, message });
        assert_eq!(collected.annotations[0].message.len(), 16 << 10);
    }

    #[test]
    fn a_summary_that_is_too_long_changes_nothing() {
        let mut collected = Collected::default();
        collected.add_summary("# Tests\n").unwrap();
        let error = collected.add_summary(&"x".repeat(1 << 20)).unwrap_err();
        assert!(matches!(error, CapabilityError::Limit(_)));
        assert_eq!(collected.summary, "# Tests\n");
    }
}

//! What a step left for people beside its log: annotations, its summary and its failure, as lines below the step.

use oxide_core::{
    event::{Annotation, Severity, StepRecord},
    outcome::Failure,
    quantity,
};

use crate::terminal::{Paint, without_controls};

/// So many annotations are shown where not everything is asked for.
const ANNOTATIONS_SHOWN: usize = 20;

/// All that a step left: summary, annotations, failure. With something to type for the others, the first annotations only, and
/// no summary.
pub fn of_step(record: &StepRecord, indent: &str, others: Option<&str>, paint: Paint) -> Vec<String> {
    let mut lines = match others {
        Some(_) => Vec::new(),
        None => summary(&record.summary, indent),
    };
    lines.extend(annotations(&record.annotations, indent, others, paint));
    lines.extend(record.failure.iter().flat_map(|it| failure(it, indent, paint)));
    lines
}

/// A line for each annotation, `FILE:LINE SEVERITY: MESSAGE`: all of them, or the first ones and what to type for the others.
pub fn annotations(annotations: &[Annotation], indent: &str, others: Option<&str>, paint: Paint) -> Vec<String> {
    let count = others.map_or(annotations.len(), |_| ANNOTATIONS_SHOWN);
    let shown = annotations.iter().take(count);
    let mut lines: Vec<String> = shown.map(|annotation| format!("{indent}{}", line(annotation, paint))).collect();
    let hidden = annotations.len().saturating_sub(count);
    if let Some(others) = others.filter(|_| hidden > 0) {
        let hidden = quantity::how_many(hidden as u64, "more annotation");
        lines.push(format!("{indent}{}", paint.dim(&format!("and {hidden}: `{others}` shows them"))));
    }
    lines
}

fn line(annotation: &Annotation, paint: Paint) -> String {
    let severity = match annotation.severity {
        Severity::Error => paint.red("error:"),
        Severity::Warning => paint.yellow("warning:"),
        Severity::Notice => paint.cyan("notice:"),
    };
    let place = match (&annotation.file, annotation.line) {
        (Some(file), Some(line)) => format!("{file}:{line} "),
        (Some(file), None) => format!("{file} "),
        (None, _) => String::new(),
    };
    let message = annotation.message.lines().find(|line| !line.trim().is_empty()).unwrap_or("(no message)");
    format!("{}{severity} {}", without_controls(&place).replace('\n', " "), without_controls(message.trim()))
}

/// The summary as it was written, indented.
pub fn summary(markdown: &str, indent: &str) -> Vec<String> {
    without_controls(markdown.trim()).lines().map(|line| format!("{indent}{line}")).collect()
}

/// The lines that explain a failure: what, and what to do.
pub fn failure(failure: &Failure, indent: &str, paint: Paint) -> Vec<String> {
    let mut message = without_controls(&failure.message);
    if message.is_empty() {
        message = "it failed without a reason".to_owned();
    }
    let mut lines: Vec<String> = message.lines().map(|line| format!("{indent}{}", paint.red(line))).collect();
    if let Some(hint) = &failure.hint {
        lines.push(format!("{indent}{} {}", paint.cyan("hint:"), without_controls(hint)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use oxide_core::outcome::FailureCause;

    use super::*;

    fn annotation(file: Option<&str>, line: Option<u32>, message: &str) -> Annotation {
        Annotation { file: file.map(str::to_owned), line, severity: Severity::Error, message: message.to_owned() }
    }

    #[test]
    fn an_annotation_is_one_line_without_control_characters() {
        let lines =
            |file, line, message| annotations(&[annotation(file, line, message)], "  ", None, Paint { colour: false });
        assert_eq!(lines(Some("src/a.rs"), Some(3), "\n is wrong\nand more"), ["  src/a.rs:3 error: is wrong"]);
        assert_eq!(lines(Some("a\nb"), None, "\u{1b}[31m"), ["  a b error:  [31m"]);
        assert_eq!(lines(None, Some(3), ""), ["  error: (no message)"]);
    }

    #[test]
    fn many_annotations_are_cut_unless_all_are_wanted() {
        let many = vec![annotation(None, None, "x"); 1000];
        let lines = |count: usize, others| annotations(&many[..count], "", others, Paint { colour: false });
        let some = lines(1000, Some("--verbose"));
        assert_eq!((some.len(), &*some[20]), (21, "and 980 more annotations: `--verbose` shows them"));
        assert_eq!(lines(21, Some("a b"))[20], "and 1 more annotation: `a b` shows them");
        assert_eq!((lines(20, Some("a b")).len(), lines(1000, None).len()), (20, 1000));
    }

    #[test]
    fn a_failure_says_what_and_what_to_do() {
        let lines = |failure: &Failure| super::failure(failure, "  ", Paint { colour: false });
        let failed = Failure::new(FailureCause::Environment, "one\ntwo").with_hint("do this");
        assert_eq!(lines(&failed), ["  one", "  two", "  hint: do this"]);
        assert_eq!(lines(&Failure::new(FailureCause::Plugin, "")), ["  it failed without a reason"]);
    }

    #[test]
    fn a_summary_is_indented() {
        assert_eq!(summary("# Tests\n\n1 \u{1b}passed\n", "  "), ["  # Tests", "  ", "  1  passed"]);
        assert!(summary("", "  ").is_empty());
    }
}

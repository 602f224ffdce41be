//! What is said beside the source, and how it is bounded. [`crate::place`] says where.

use crate::{
    place::{Files, Place, place},
    results::{Failed, Results},
    text::{clean, cut, one_line, shortened},
};

/// The host takes so many of a step.
pub const ANNOTATIONS_MAX: usize = 1000;
/// A longer message is cut.
const MESSAGE_BYTES_MAX: usize = 1000;

/// A remark on a place in the source. Each is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Where.
    pub place: Place,
    /// What there is to say; the first line says the most.
    pub message: String,
}

/// The remarks on all failures: first the reports that cannot be used, then the tests that failed. The last of a thousand
/// says how many more there are.
pub fn annotations(results: &Results, files: &Files) -> Vec<Annotation> {
    let broken = results.broken.iter().map(|(report, broken)| Annotation {
        place: Place { file: Some(report.clone()), line: broken.position.map(|position| position.line) },
        message: shortened(&format!("this report cannot be used: {}", one_line(&broken.reason)), MESSAGE_BYTES_MAX),
    });
    let failed = results.failed.iter().map(|failed| of_test(failed, files));
    let mut annotations: Vec<Annotation> = broken.chain(failed).take(ANNOTATIONS_MAX).collect();
    let all = results.counts.bad() as usize + results.broken.len() + results.broken_left_out as usize;
    if all > annotations.len() {
        annotations.truncate(ANNOTATIONS_MAX - 1);
        let more = all - annotations.len();
        annotations.push(Annotation {
            place: Place::default(),
            message: format!("{more} more failed tests are not marked: a step marks {ANNOTATIONS_MAX} places at most"),
        });
    }
    annotations
}

fn of_test(failed: &Failed, files: &Files) -> Annotation {
    let verb = if failed.is_error { "ended with an error" } else { "failed" };
    let title = shortened(&failed.title(), 300);
    let reason = failed.reason();
    let head = format!("{title} {verb}: {}", shortened(&reason, 600));
    // What follows the first line: the rest of the message, or of the text.
    let body = if failed.message.trim().is_empty() { &failed.text } else { &failed.message };
    let body = clean(body);
    let rest: Vec<&str> = body.lines().skip_while(|line| line.trim().is_empty()).skip(1).map(str::trim_end).collect();
    let rest = rest.join("\n");
    let rest = cut(rest.trim_end(), MESSAGE_BYTES_MAX.saturating_sub(head.len() + 1)).trim_end();
    let message = if rest.is_empty() { head } else { format!("{head}\n{rest}") };
    Annotation { place: place(failed, files), message }
}

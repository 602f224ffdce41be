//! What is said beside the source, and how it is bounded. [`crate::place`] says where.

use crate::{
    place::{Files, Place, place},
    results::{Failed, Results},
    source::Odd,
    text::{clean, cut, one_line, shortened},
};

/// The host takes so many of a step.
pub const ANNOTATIONS_MAX: usize = 1000;
/// A longer message is cut.
const MESSAGE_BYTES_MAX: usize = 1000;

/// A remark on a place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Where.
    pub place: Place,
    /// Something went wrong; else it is a warning.
    pub is_error: bool,
    /// What there is to say; the first line says the most.
    pub message: String,
}

/// The remarks on all failures: first on the reports, those that cannot be used before those that are odd, then on the tests
/// that failed. The last of a thousand says how many more there are.
pub fn annotations(results: &Results, files: &Files) -> Vec<Annotation> {
    let broken = results.broken.iter().map(|(report, broken)| Annotation {
        place: Place { file: Some(report.clone()), line: broken.position.map(|position| position.line) },
        is_error: true,
        message: shortened(&format!("this report cannot be used: {}", one_line(&broken.reason)), MESSAGE_BYTES_MAX),
    });
    let odd = results.odd.iter().map(|(report, odd)| of_odd(report, odd));
    let failed = results.failed.iter().map(|failed| of_test(failed, files));
    let mut annotations: Vec<Annotation> = broken.chain(odd).chain(failed).take(ANNOTATIONS_MAX).collect();
    let of_reports = results.odd.len() + results.broken.len() + results.broken_left_out as usize;
    let all = results.counts.bad() as usize + of_reports;
    if all > annotations.len() {
        annotations.truncate(ANNOTATIONS_MAX - 1);
        let more = all - annotations.len();
        annotations.push(Annotation {
            place: Place::default(),
            is_error: true,
            message: format!("{more} more failed tests are not marked: a step marks {ANNOTATIONS_MAX} places at most"),
        });
    }
    annotations
}

fn of_odd(report: &str, odd: &Odd) -> Annotation {
    let what = match odd.is_control {
        true => format!("a control character that XML forbids (U+{:04X})", odd.byte),
        false => format!("a byte that is not UTF-8 (0x{:02X})", odd.byte),
    };
    Annotation {
        place: Place { file: Some(report.to_owned()), line: Some(odd.line) },
        is_error: false,
        message: format!("this report holds {what}, and perhaps more of them; they are shown as `\u{fffd}`"),
    }
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
    Annotation { place: place(failed, files), is_error: true, message }
}

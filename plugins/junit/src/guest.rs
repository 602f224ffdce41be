//! Speaks to the host: finds and reads the files, and hands over what the other modules make of them.

use std::collections::BTreeSet;

use crate::{
    annotation, place, report,
    request::{self, Request},
    results::Results,
    source::Broken,
    summary, text,
};
use oxide::ci::{
    log::{self, Level},
    output::{self, Annotation, Severity},
    types::Error,
    workspace::{self, Directory, EntryKind},
};

wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "oxide:junit/junit", generate_all });

/// So much of a file is read at once.
const PIECE_BYTES: u32 = 1 << 20;

struct Junit;

export!(Junit);

impl Guest for Junit {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let request = request::decide(&inputs.files).map_err(Failure::InvalidInput)?;
        let root = workspace::root().map_err(|error| failed("could not open the workspace", error))?;
        let reports = matching(&root, &request)?;
        if reports.is_empty() {
            let text = request::nothing_found(&request, directory(&root, &request));
            if inputs.require_files.unwrap_or(true) {
                return Err(Failure::Other(text));
            }
            log::write(Level::Warning, &text);
        }

        let mut results = Results::default();
        for report in &reports {
            if let Err(broken) = report::read(report, pieces(&root, report), &mut results) {
                results.broken(report, broken);
            }
        }
        tell(&root, &results, reports.is_empty());
        conclude(&results, inputs.fail_on_failure.unwrap_or(true))
    }
}

/// The reports that the patterns name, sorted. A link is read if it is named itself.
fn matching(root: &Directory, request: &Request) -> Result<BTreeSet<String>, Failure> {
    let find = |pattern: &String| match root.glob(pattern) {
        Ok(entries) => {
            let is_plain = request::is_plain(pattern);
            let is_report = move |kind| kind == EntryKind::File || (kind == EntryKind::SymbolicLink && is_plain);
            Ok(entries.into_iter().filter(move |entry| is_report(entry.kind)).map(|entry| entry.path))
        }
        Err(Error::Invalid(text) | Error::Denied(text)) => Err(Failure::InvalidInput(format!("`files`: {text}"))),
        Err(error) => Err(failed(&format!("could not look for `{pattern}`"), error)),
    };
    let mut reports = BTreeSet::new();
    for pattern in &request.wanted {
        reports.extend(find(pattern)?);
    }
    for pattern in &request.unwanted {
        for path in find(pattern)? {
            reports.remove(&path);
        }
    }
    Ok(reports)
}

/// A pattern that is the path of a directory.
fn directory<'a>(root: &Directory, request: &'a Request) -> Option<&'a str> {
    let is_directory = |path: &str| root.stat(path).is_ok_and(|entry| entry.kind == EntryKind::Directory);
    request.wanted.iter().map(String::as_str).find(|pattern| request::is_plain(pattern) && is_directory(pattern))
}

/// Reads a file from its beginning, a piece at each call.
fn pieces<'a>(root: &'a Directory, path: &'a str) -> impl FnMut() -> Result<Vec<u8>, String> + 'a {
    let mut offset = 0;
    move || {
        let piece = root.read_range(path, offset, PIECE_BYTES).map_err(text_of)?;
        offset += piece.len() as u64;
        Ok(piece)
    }
}

/// Hands over annotations and summary and writes the log.
fn tell(root: &Directory, results: &Results, is_empty: bool) {
    let names = place::wanted_names(&results.failed);
    let found = if names.is_empty() { Ok(Vec::new()) } else { root.glob(&place::pattern(&names)) };
    let files = match found {
        Ok(entries) => {
            entries.into_iter().filter(|entry| entry.kind == EntryKind::File).map(|entry| entry.path).collect()
        }
        Err(error) => {
            let text = text_of(error);
            log::write(Level::Warning, &format!("could not look for the files of the failed tests: {text}"));
            Vec::new()
        }
    };
    let files = place::Files::new(files);
    for annotation in annotation::annotations(results, &files) {
        let place::Place { file, line } = annotation.place;
        let severity = if annotation.is_error { Severity::Error } else { Severity::Warning };
        output::annotate(&Annotation { file, line, severity, message: annotation.message });
    }
    if let Err(error) = output::add_summary(&summary::markdown(results, &files)) {
        log::write(Level::Warning, &format!("could not add the summary: {}", text_of(error)));
    }
    // The first is the failure of the step.
    for (report, broken) in results.broken.iter().skip(1) {
        log::write(Level::Error, &about_broken(report, broken));
    }
    for remark in &results.remarks {
        log::write(Level::Warning, &text::one_line(remark));
    }
    if results.counts.tests() == 0 && results.broken.is_empty() && !is_empty {
        log::write(Level::Warning, "the reports hold no test");
    }
    let reports = text::counted(results.reports, "report");
    log::write(Level::Info, &format!("{} ({reports})", summary::line(&results.counts)));
}

fn conclude(results: &Results, fail_on_failure: bool) -> Result<Outputs, Failure> {
    if let Some((report, broken)) = results.broken.first() {
        let more = results.broken.len() - 1 + results.broken_left_out as usize;
        let more = if more > 0 { format!(" (and {more} more reports cannot be used)") } else { String::new() };
        return Err(Failure::Other(format!("could not use the report {}{more}", about_broken(report, broken))));
    }
    if fail_on_failure && results.counts.bad() > 0 {
        return Err(Failure::Other(summary::failure(results)));
    }
    let counts = &results.counts;
    Ok(Outputs {
        files: results.reports,
        tests: counts.tests(),
        passed: counts.passed,
        failed: counts.failed,
        errors: counts.errors,
        skipped: counts.skipped,
        flaky: counts.flaky,
        duration_seconds: counts.seconds,
    })
}

/// `FILE:LINE:COLUMN: REASON`.
fn about_broken(report: &str, broken: &Broken) -> String {
    let at = broken.position.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
    text::one_line(&format!("{report}{at}: {}", broken.reason))
}

fn failed(what: &str, error: Error) -> Failure {
    Failure::Other(format!("{what}: {}", text_of(error)))
}

fn text_of(error: Error) -> String {
    match error {
        Error::NotFound(text)
        | Error::Denied(text)
        | Error::Invalid(text)
        | Error::Limit(text)
        | Error::Other(text) => text,
    }
}

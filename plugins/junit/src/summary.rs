//! The summary in markdown, and the same in one line. Bounded: what has no room is counted.

use std::fmt::Write;

use crate::{
    annotation::ANNOTATIONS_MAX,
    place::{Files, Place, place},
    results::{Counts, Failed, Results},
    text::{block, counted, duration, escaped, shortened},
};

/// The host takes 1 MiB; nobody reads so much.
pub const SUMMARY_BYTES_MAX: usize = 256 << 10;
/// The table ends here.
const SUITES_MAX: usize = 100;
/// So many failures are shown with their texts.
const DETAILS_MAX: usize = 50;
/// So many more in one line.
const NAMED_MAX: usize = 250;
/// A longer text of a failure is cut.
const TEXT_BYTES_MAX: usize = 3000;
/// So many reports, remarks and flaky tests are named.
const OTHERS_MAX: usize = 20;
/// The last section needs this much room.
const RESERVE: usize = 1 << 10;

/// `12 tests: 9 passed, 2 failed, 1 skipped in 3.2 s`.
pub fn line(counts: &Counts) -> String {
    if counts.tests() == 0 {
        return "no tests".to_owned();
    }
    let mut parts = vec![format!("{} passed", counts.passed)];
    if counts.failed > 0 {
        parts.push(format!("{} failed", counts.failed));
    }
    if counts.errors > 0 {
        parts.push(counted(counts.errors, "error"));
    }
    if counts.skipped > 0 {
        parts.push(format!("{} skipped", counts.skipped));
    }
    if counts.flaky > 0 {
        parts.push(format!("{} flaky", counts.flaky));
    }
    format!("{}: {} in {}", counted(counts.tests(), "test"), parts.join(", "), duration(counts.seconds))
}

/// Why the step fails, if it does because of its tests: the first of them by name.
pub fn failure(results: &Results) -> String {
    let bad = results.counts.bad();
    let mut text = format!("{bad} of {} failed: ", counted(results.counts.tests(), "test"));
    let named: Vec<String> = results.failed.iter().take(3).map(|failed| shortened(&failed.title(), 200)).collect();
    text.push_str(&named.join(", "));
    let more = (bad as usize).saturating_sub(named.len());
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// The summary.
pub fn markdown(results: &Results, files: &Files) -> String {
    let mut page = Page { text: String::new() };
    let counts = &results.counts;
    let icon = if counts.bad() > 0 || !results.broken.is_empty() { "❌" } else { "✅" };
    page.add(&format!("### {icon} {}\n", line(counts)));
    broken(&mut page, results);
    suites(&mut page, results);
    failures(&mut page, results, files);
    flaky(&mut page, results);
    slowest(&mut page, results);
    page.text
}

/// The text so far. Every section is added whole or not at all.
struct Page {
    text: String,
}

impl Page {
    /// Adds a section if there is room for it.
    fn add(&mut self, section: &str) -> bool {
        let fits = self.text.len() + section.len() <= SUMMARY_BYTES_MAX - RESERVE;
        if fits {
            self.text.push_str(section);
        }
        fits
    }

    /// Says how much was left out; there is always room for it.
    fn more(&mut self, number: usize, what: &str) {
        if number > 0 && self.text.len() + 100 <= SUMMARY_BYTES_MAX {
            let _ = write!(self.text, "\nand {number} more {what}\n");
        }
    }
}

fn broken(page: &mut Page, results: &Results) {
    if results.broken.is_empty() {
        return;
    }
    page.add("\n#### Reports that cannot be used\n\n");
    let mut shown = 0;
    for (report, broken) in results.broken.iter().take(OTHERS_MAX) {
        let position = broken.position.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
        let place = escaped(&format!("{}{position}", shortened(report, 500)));
        shown += usize::from(page.add(&format!("- {place}: {}\n", escaped(&shortened(&broken.reason, 500)))));
    }
    page.more(results.broken.len() - shown + results.broken_left_out as usize, "reports");
}

fn suites(page: &mut Page, results: &Results) {
    if results.suites.is_empty() {
        return;
    }
    page.add("\n| suite | tests | passed | failed | errors | skipped | time |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    // Those with failures first; each half in the order of the reports.
    let (bad, good): (Vec<_>, Vec<_>) = results.suites.iter().partition(|suite| suite.counts.bad() > 0);
    let mut shown = 0;
    for suite in bad.into_iter().chain(good).take(SUITES_MAX) {
        let (name, counts) = (escaped(&shortened(&suite.name, 200)), &suite.counts);
        let (tests, time) = (counts.tests(), duration(counts.seconds));
        let Counts { passed, failed, errors, skipped, .. } = counts;
        let row = format!("| {name} | {tests} | {passed} | {failed} | {errors} | {skipped} | {time} |\n");
        shown += usize::from(page.add(&row));
    }
    page.more(results.suites.len() - shown + results.suites_left_out as usize, "suites");
}

fn failures(page: &mut Page, results: &Results, files: &Files) {
    if results.failed.is_empty() {
        return;
    }
    page.add("\n#### Failed\n");
    let mut shown = 0;
    for failed in results.failed.iter().take(DETAILS_MAX) {
        if !page.add(&detail(failed, &place(failed, files))) {
            break;
        }
        shown += 1;
    }
    let mut section = "\n";
    for failed in results.failed.iter().skip(shown).take(NAMED_MAX) {
        let line = format!("{section}- {}\n", heading(failed, &place(failed, files)));
        if !page.add(&line) {
            break;
        }
        section = "";
        shown += 1;
    }
    page.more((results.counts.bad() as usize).saturating_sub(shown), "failed tests");
    if results.counts.bad() as usize > ANNOTATIONS_MAX {
        page.add(&format!("\nOf the failed tests, {ANNOTATIONS_MAX} at most are marked in the source.\n"));
    }
}

fn heading(failed: &Failed, place: &Place) -> String {
    let mut text = format!("**{}**", escaped(&shortened(&failed.title(), 300)));
    if let Some(file) = &place.file {
        let line = place.line.map_or(String::new(), |line| format!(":{line}"));
        let _ = write!(text, " at {}", escaped(&shortened(&format!("{file}{line}"), 500)));
    }
    let _ = write!(text, ": {}", escaped(&shortened(&failed.reason(), 300)));
    text
}

fn detail(failed: &Failed, place: &Place) -> String {
    let mut section = format!("\n{}\n", heading(failed, place));
    let (message, text) = (failed.message.trim(), failed.text.trim_end());
    // Most texts begin with the message.
    let whole = if text.contains(message) { text.to_owned() } else { format!("{message}\n{text}") };
    if whole.trim() != failed.reason().trim() && !whole.trim().is_empty() {
        let _ = write!(section, "\n{}", block(&shortened(whole.trim_matches('\n'), TEXT_BYTES_MAX)));
    }
    section
}

fn flaky(page: &mut Page, results: &Results) {
    if results.flaky.is_empty() {
        return;
    }
    page.add("\n#### Passed after another try\n\n");
    let mut shown = 0;
    for title in results.flaky.iter().take(OTHERS_MAX) {
        shown += usize::from(page.add(&format!("- {}\n", escaped(&shortened(title, 300)))));
    }
    page.more((results.counts.flaky as usize).saturating_sub(shown), "flaky tests");
}

fn slowest(page: &mut Page, results: &Results) {
    if results.slowest.is_empty() {
        return;
    }
    let mut section = String::from("\n#### Slowest\n\n| test | time |\n| --- | ---: |\n");
    for timed in &results.slowest {
        let title = escaped(&shortened(&timed.title, 300));
        let _ = writeln!(section, "| {title} | {} |", duration(timed.seconds));
    }
    page.add(&section);
}

//! What the elements of a JUnit report mean, in the dialects of the programs that write it.
//!
//! Nobody has ever written the format down, so this reads what is there: suites in suites, a suite as the root, attributes
//! that are missing. The numbers in the attributes of a suite are not believed: the tests are counted.

use crate::{
    markup::{Element, Event, Markup},
    results::{Counts, Failed, Outcome, Results, Suite},
    source::{Broken, Source},
    text::{counted, cut, seconds},
};

/// The attributes that say something, of suites, tests and verdicts.
const ATTRIBUTES: [&str; 13] = [
    "name",
    "classname",
    "time",
    "message",
    "type",
    "file",
    "filepath",
    "line",
    "status",
    "result",
    "failures",
    "errors",
    "id",
];

/// A longer name is cut.
const NAME_BYTES_MAX: usize = 1 << 10;
/// A longer message is cut.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Of a longer text only the beginning is kept.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Reads a report that comes in pieces and adds what it says to the results: also what stands before a place that cannot be
/// read.
///
/// # Errors
/// If it is not well-formed, or no report.
pub fn read<P>(name: &str, pieces: P, results: &mut Results) -> Result<(), Broken>
where
    P: FnMut() -> Result<Vec<u8>, String>,
{
    results.reports = results.reports.saturating_add(1);
    let mut markup = Markup::new(Source::open(pieces)?, &ATTRIBUTES);
    let mut report = Report { name, results, open: Vec::new() };
    let read = report.read(&mut markup);
    if let Some(odd) = markup.odd() {
        results.odd(name, odd);
    }
    read
}

/// A report that is being read.
struct Report<'a> {
    name: &'a str,
    results: &'a mut Results,
    open: Vec<Node>,
}

/// An element that is open.
enum Node {
    Suite(OpenSuite),
    Case(Case),
    /// A failure or the like, with its text.
    Verdict(Verdict),
    /// A part of the failure that holds its stack trace.
    StackTrace,
    /// What the test has printed.
    Printed(String),
    /// Anything else.
    Other,
}

/// A suite that is open.
#[derive(Default)]
struct OpenSuite {
    name: String,
    file: Option<String>,
    seconds: Option<f64>,
    /// How many failures and errors its attributes speak of.
    declared_bad: u32,
    /// How many were found, in the suites inside of it too.
    found_bad: u32,
    counts: Counts,
    has_times: bool,
}

/// A test that is open.
#[derive(Default)]
struct Case {
    name: String,
    class_name: String,
    file: Option<String>,
    line: Option<u32>,
    seconds: Option<f64>,
    was_not_run: bool,
    verdicts: Vec<Verdict>,
    printed: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failure,
    Error,
    Skipped,
    /// A try that failed before one that passed.
    Flaky,
    /// A further try that failed too.
    Rerun,
}

/// What an element in a test says of it.
struct Verdict {
    kind: Kind,
    message: String,
    text: String,
}

/// More verdicts on one test than these say nothing new.
const VERDICTS_MAX: usize = 20;

impl Report<'_> {
    /// Reads to the end of the document.
    fn read<P>(&mut self, markup: &mut Markup<P>) -> Result<(), Broken>
    where
        P: FnMut() -> Result<Vec<u8>, String>,
    {
        while let Some(event) = markup.next(self.wanted_text())? {
            match event {
                Event::Open(element) => self.open(&element)?,
                Event::Text(text) => self.text(&text),
                Event::Close => self.close(),
            }
        }
        Ok(())
    }

    /// How much of the text that comes next is wanted.
    fn wanted_text(&self) -> usize {
        match self.open.last() {
            Some(Node::Verdict(verdict)) => TEXT_BYTES_MAX.saturating_sub(verdict.text.len()),
            Some(Node::Printed(text)) => TEXT_BYTES_MAX.saturating_sub(text.len()),
            Some(Node::StackTrace) => TEXT_BYTES_MAX,
            _ => 0,
        }
    }

    fn open(&mut self, element: &Element) -> Result<(), Broken> {
        let node = match (self.open.last(), element.name.as_str()) {
            (None, "testsuites" | "testsuite") => Node::Suite(self.suite(element)),
            (None, other) => {
                return Err(Broken::whole(format!(
                    "it is no JUnit report: its root element is `<{other}>`, not `<testsuites>` or `<testsuite>`"
                )));
            }
            (Some(Node::Suite(_)), "testsuite") => Node::Suite(self.suite(element)),
            (Some(Node::Suite(suite)), "testcase") => Node::Case(case(element, suite)),
            (Some(Node::Suite(_)), "failure" | "error") | (Some(Node::Case(_)), _) => inside_case(element),
            (Some(Node::Verdict(_)), "stackTrace") => Node::StackTrace,
            _ => Node::Other,
        };
        self.open.push(node);
        Ok(())
    }

    fn suite(&self, element: &Element) -> OpenSuite {
        let outer = self.open.iter().rev().find_map(|node| match node {
            Node::Suite(suite) => Some(suite),
            _ => None,
        });
        let number = |name| element.attribute(name).and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
        let own_name = element.attribute("name").filter(|name| !name.trim().is_empty());
        let name = own_name.or_else(|| element.attribute("id")).or(outer.map(|outer| outer.name.as_str()));
        OpenSuite {
            name: cut(name.unwrap_or(self.name), NAME_BYTES_MAX).to_owned(),
            file: path(element).or_else(|| outer.and_then(|outer| outer.file.clone())),
            seconds: element.attribute("time").and_then(seconds),
            declared_bad: number("failures").saturating_add(number("errors")),
            ..OpenSuite::default()
        }
    }

    fn text(&mut self, text: &str) {
        let mut open = self.open.iter_mut().rev();
        let (into, separate) = match (open.next(), open.next()) {
            (Some(Node::Verdict(verdict)), _) => (&mut verdict.text, false),
            (Some(Node::StackTrace), Some(Node::Verdict(verdict))) => (&mut verdict.text, true),
            (Some(Node::Printed(printed)), _) => (printed, false),
            _ => return,
        };
        if separate && into.trim().is_empty() {
            into.clear();
        }
        into.push_str(cut(text, TEXT_BYTES_MAX.saturating_sub(into.len())));
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Node::Suite(suite)) => self.end_suite(suite),
            Some(Node::Case(case)) => self.end_case(case),
            Some(Node::Verdict(verdict)) => match self.open.last_mut() {
                Some(Node::Case(case)) if case.verdicts.len() < VERDICTS_MAX => case.verdicts.push(verdict),
                // A suite that failed outside of its tests: it counts as a test that has its name.
                Some(Node::Suite(suite)) => {
                    let name = suite.name.clone();
                    self.end_case(Case { name, verdicts: vec![verdict], ..Case::default() });
                }
                _ => {}
            },
            Some(Node::Printed(text)) => {
                if let Some(Node::Case(case)) = self.open.last_mut() {
                    case.printed.push_str(cut(&text, TEXT_BYTES_MAX.saturating_sub(case.printed.len())));
                }
            }
            Some(Node::StackTrace | Node::Other) | None => {}
        }
    }

    fn end_suite(&mut self, mut suite: OpenSuite) {
        if !suite.has_times
            && suite.counts.tests() > 0
            && let Some(seconds) = suite.seconds
        {
            suite.counts.seconds += seconds;
            self.results.counts.seconds += seconds;
        }
        if let Some(Node::Suite(outer)) = self.open.last_mut() {
            outer.found_bad = outer.found_bad.saturating_add(suite.found_bad);
        } else if suite.found_bad == 0 && suite.declared_bad > 0 {
            self.results.remark(format!(
                "{} speaks of {} in its attributes, but no test in it says so",
                self.name,
                counted(suite.declared_bad, "failure")
            ));
        }
        self.results.end_suite(Suite { name: suite.name, counts: suite.counts });
    }

    fn end_case(&mut self, case: Case) {
        let Some(Node::Suite(suite)) = self.open.last_mut() else { return };
        let outcome = outcome(&case);
        let seconds = case.seconds.unwrap_or(0.0);
        suite.counts.add(outcome, seconds);
        suite.has_times |= case.seconds.is_some();
        suite.found_bad =
            suite.found_bad.saturating_add(u32::from(matches!(outcome, Outcome::Failed | Outcome::Error)));
        let title = || {
            let (class_name, name) = (case.class_name.clone(), case.name.clone());
            Failed { class_name, name, ..Failed::default() }.title()
        };
        let suite_name = &suite.name;
        self.results.add(outcome, seconds, title, || failed(&case, suite_name, outcome));
    }
}

/// The file that an element names.
fn path(element: &Element) -> Option<String> {
    let path = element.attribute("file").or_else(|| element.attribute("filepath"))?;
    (!path.trim().is_empty()).then(|| cut(path.trim(), NAME_BYTES_MAX).to_owned())
}

fn case(element: &Element, suite: &OpenSuite) -> Case {
    let text = |name| cut(element.attribute(name).unwrap_or_default(), NAME_BYTES_MAX).to_owned();
    let own_file = path(element);
    let line = own_file.as_ref().and_then(|_| element.attribute("line")).and_then(|line| line.trim().parse().ok());
    // pytest counts lines from 0; `pytest` is what it calls its suites.
    let line = if suite.name == "pytest" { line.map(|line: u32| line.saturating_add(1)) } else { line };
    let is = |name, values: &[&str]| element.attribute(name).is_some_and(|value| values.contains(&value));
    Case {
        name: text("name"),
        class_name: text("classname"),
        file: own_file.or_else(|| suite.file.clone()),
        line: line.filter(|line| *line > 0),
        seconds: element.attribute("time").and_then(seconds),
        // GoogleTest and CTest tell it in attributes.
        was_not_run: is("status", &["notrun", "disabled", "skipped"]) || is("result", &["suppressed", "skipped"]),
        ..Case::default()
    }
}

fn inside_case(element: &Element) -> Node {
    let kind = match element.name.as_str() {
        "failure" => Kind::Failure,
        "error" => Kind::Error,
        "skipped" => Kind::Skipped,
        "flakyFailure" | "flakyError" => Kind::Flaky,
        "rerunFailure" | "rerunError" => Kind::Rerun,
        "system-out" | "system-err" => return Node::Printed(String::new()),
        _ => return Node::Other,
    };
    let message = element.attribute("message").or_else(|| element.attribute("type")).unwrap_or_default();
    Node::Verdict(Verdict { kind, message: cut(message, MESSAGE_BYTES_MAX).to_owned(), text: String::new() })
}

fn outcome(case: &Case) -> Outcome {
    let has = |kind| case.verdicts.iter().any(|verdict| verdict.kind == kind);
    if has(Kind::Failure) {
        Outcome::Failed
    } else if has(Kind::Error) {
        Outcome::Error
    } else if has(Kind::Skipped) || case.was_not_run {
        Outcome::Skipped
    } else if has(Kind::Flaky) || has(Kind::Rerun) {
        Outcome::Flaky
    } else {
        Outcome::Passed
    }
}

fn failed(case: &Case, suite: &str, outcome: Outcome) -> Failed {
    let is_error = outcome == Outcome::Error;
    let wanted = if is_error { Kind::Error } else { Kind::Failure };
    let mut verdicts = case.verdicts.iter().filter(|verdict| verdict.kind == wanted);
    let verdict = verdicts.next();
    let text = verdict.map_or("", |verdict| verdict.text.trim_matches(['\n', '\r']).trim_end());
    Failed {
        suite: suite.to_owned(),
        class_name: case.class_name.clone(),
        name: case.name.clone(),
        is_error,
        message: verdict.map(|verdict| verdict.message.clone()).unwrap_or_default(),
        // CTest leaves the failure empty and has all in what was printed.
        text: if text.is_empty() { case.printed.trim().to_owned() } else { text.to_owned() },
        file: case.file.clone(),
        line: case.line,
    }
}

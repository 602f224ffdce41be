//! What the reports say, together. Holds a bounded amount: what is beyond it is counted only.

use crate::{
    source::{Broken, Odd},
    text::one_line,
};

/// So many failures are kept with their texts; the host takes as many annotations.
pub const FAILURES_MAX: usize = 1000;
/// So many suites are kept.
const SUITES_MAX: usize = 500;
/// So many more are kept if something failed in them.
const FAILED_SUITES_MAX: usize = 500;
/// So many tests that took longest are kept.
pub const SLOWEST_MAX: usize = 10;
/// So many names of tests that passed at last are kept.
const FLAKY_MAX: usize = 100;
/// So many remarks on the reports are kept.
const REMARKS_MAX: usize = 20;
/// So many reports with odd bytes are kept.
const ODD_MAX: usize = 100;
/// So many reports that cannot be used are kept.
const BROKEN_MAX: usize = 100;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// As it should, but not at once.
    Flaky,
    /// It did not find what it expected.
    Failed,
    /// It could not tell.
    Error,
    /// It was not executed.
    Skipped,
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Passed, at once or not.
    pub passed: u32,
    /// Did not find what they expected.
    pub failed: u32,
    /// Could not tell.
    pub errors: u32,
    /// Were not executed.
    pub skipped: u32,
    /// Passed, but not at once; counted as passed too.
    pub flaky: u32,
    /// How long all took together.
    pub seconds: f64,
}

impl Counts {
    /// All tests.
    pub fn tests(&self) -> u32 {
        self.bad().saturating_add(self.passed).saturating_add(self.skipped)
    }

    /// Those that failed or could not tell.
    pub fn bad(&self) -> u32 {
        self.failed.saturating_add(self.errors)
    }

    /// Counts one test.
    pub fn add(&mut self, outcome: Outcome, seconds: f64) {
        let number = match outcome {
            Outcome::Passed | Outcome::Flaky => &mut self.passed,
            Outcome::Failed => &mut self.failed,
            Outcome::Error => &mut self.errors,
            Outcome::Skipped => &mut self.skipped,
        };
        *number = number.saturating_add(1);
        self.flaky = self.flaky.saturating_add(u32::from(outcome == Outcome::Flaky));
        self.seconds += seconds;
    }
}

/// A suite of tests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Of the tests that stand in it itself.
    pub counts: Counts,
}

/// A test that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// The name of its suite.
    pub suite: String,
    /// Its class, module or package, as the report has it.
    pub class_name: String,
    /// Its name.
    pub name: String,
    /// It could not tell, rather than finding something else than it expected.
    pub is_error: bool,
    /// The message of the failure.
    pub message: String,
    /// The text of the failure, often a stack trace.
    pub text: String,
    /// The file that the report names.
    pub file: Option<String>,
    /// The line that the report names, counted from 1.
    pub line: Option<u32>,
}

impl Failed {
    /// Class and name as people know the test.
    pub fn title(&self) -> String {
        let (class, name) = (one_line(&self.class_name), one_line(&self.name));
        match (class.is_empty(), name.is_empty()) {
            (_, true) if class.is_empty() => "a test without a name".to_owned(),
            (_, true) => class,
            (true, false) => name,
            // Some programs write the class into the name too.
            (false, false) if name.starts_with(&class) => name,
            (false, false) => format!("{class} › {name}"),
        }
    }

    /// What is wrong in one line: the message, or where there is none the first line of the text.
    pub fn reason(&self) -> String {
        let lines = |text: &str| text.lines().map(one_line).filter(|line| !line.is_empty()).take(2).collect::<Vec<_>>();
        let (message, text) = (lines(&self.message), lines(&self.text));
        match message.first().or(text.first()) {
            None => "the report gives no reason".to_owned(),
            // A panic of Rust says first where, which is shown anyway, and then why.
            Some(first) if first.starts_with("thread '") && first.contains(" panicked at ") => {
                message.get(1).or(text.get(1)).unwrap_or(first).clone()
            }
            Some(first) => first.clone(),
        }
    }
}

/// How long a test took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// Class and name.
    pub title: String,
    /// How long.
    pub seconds: f64,
}

/// What all reports say.
#[derive(Debug, Default)]
pub struct Results {
    /// How many reports were read.
    pub reports: u32,
    /// All tests.
    pub counts: Counts,
    /// The suites that hold tests themselves, in the order of the reports.
    pub suites: Vec<Suite>,
    /// How many suites more there are.
    pub suites_left_out: u32,
    /// The first tests that failed.
    pub failed: Vec<Failed>,
    /// The tests that took longest, the longest first.
    pub slowest: Vec<Timed>,
    /// The first tests that passed, but not at once.
    pub flaky: Vec<String>,
    /// What is odd about the reports.
    pub remarks: Vec<String>,
    /// The first reports with bytes that no report can hold, with the first of them.
    pub odd: Vec<(String, Odd)>,
    /// The reports that cannot be used, with the reason.
    pub broken: Vec<(String, Broken)>,
    /// How many more of them there are.
    pub broken_left_out: u32,
}

impl Results {
    /// Counts a test. `title` and `failed` are asked only where they are kept.
    pub fn add(&mut self, outcome: Outcome, seconds: f64, title: impl Fn() -> String, failed: impl FnOnce() -> Failed) {
        self.counts.add(outcome, seconds);
        if matches!(outcome, Outcome::Failed | Outcome::Error) && self.failed.len() < FAILURES_MAX {
            self.failed.push(failed());
        }
        if outcome == Outcome::Flaky && self.flaky.len() < FLAKY_MAX {
            self.flaky.push(title());
        }
        let at = self.slowest.partition_point(|other| other.seconds >= seconds);
        if seconds > 0.0 && at < SLOWEST_MAX {
            self.slowest.insert(at, Timed { title: title(), seconds });
            self.slowest.truncate(SLOWEST_MAX);
        }
    }

    /// Keeps a suite that has ended, unless it holds no test itself.
    pub fn end_suite(&mut self, suite: Suite) {
        if suite.counts.tests() == 0 {
            return;
        }
        let most = if suite.counts.bad() > 0 { SUITES_MAX + FAILED_SUITES_MAX } else { SUITES_MAX };
        if self.suites.len() < most {
            self.suites.push(suite);
        } else {
            self.suites_left_out = self.suites_left_out.saturating_add(1);
        }
    }

    /// Keeps a remark.
    pub fn remark(&mut self, text: String) {
        if self.remarks.len() < REMARKS_MAX {
            self.remarks.push(text);
        }
    }

    /// Keeps that a report holds bytes that no report can hold.
    pub fn odd(&mut self, report: &str, odd: Odd) {
        if self.odd.len() < ODD_MAX {
            self.odd.push((report.to_owned(), odd));
        }
    }

    /// Keeps that a report cannot be used.
    pub fn broken(&mut self, report: &str, broken: Broken) {
        if self.broken.len() < BROKEN_MAX {
            self.broken.push((report.to_owned(), broken));
        } else {
            self.broken_left_out = self.broken_left_out.saturating_add(1);
        }
    }
}

//! What a person, or a program, reads of cases.

use std::path::Path;

use oxide_core::{limit::Usage, quantity, yaml::Span};
use serde_json::{Value as Json, json};

use super::compare::Mismatch;
use crate::terminal::{Paint, without_controls};

/// How a case ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The name of the case.
    pub name: String,
    /// The file, as it is shown.
    pub file: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was used up; nothing if it could not be run.
    pub usage: Usage,
}

/// What came of a case.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Everything is as expected. Holds whether anything was expected.
    Ok {
        /// Is there an `expect`?
        expects: bool,
    },
    /// What was seen is expected from now on.
    Accepted,
    /// It differs.
    Failed {
        /// How.
        mismatches: Vec<Mismatch>,
        /// The end of the log.
        log: Vec<String>,
        /// Why it was not accepted, if that was asked.
        not_accepted: Option<String>,
    },
    /// It could not be run; holds what is shown as it is.
    Broken(String),
}

impl Ended {
    /// Is the case as it should be?
    pub fn is_ok(&self) -> bool {
        matches!(self.verdict, Verdict::Ok { .. } | Verdict::Accepted)
    }

    fn place(&self, span: Option<Span>) -> String {
        match span.filter(|span| span.line > 0) {
            Some(span) => format!("{}:{}", self.file, span.line),
            None => self.file.clone(),
        }
    }

    /// The lines for people.
    pub fn as_text(&self, width: usize, paint: Paint) -> String {
        let word = match &self.verdict {
            Verdict::Ok { .. } => paint.green("ok      "),
            Verdict::Accepted => paint.yellow("accepted"),
            Verdict::Failed { .. } | Verdict::Broken(_) => paint.red("FAILED  "),
        };
        let used = match &self.verdict {
            Verdict::Broken(_) => "not run".to_owned(),
            _ => format!(
                "{}, {} fuel, {}",
                quantity::measured_us(self.usage.wall_us),
                quantity::count(self.usage.fuel),
                quantity::bytes(self.usage.memory_bytes)
            ),
        };
        let mut out = format!("{word}  {:width$}  {}\n", self.name, paint.dim(&used));
        match &self.verdict {
            Verdict::Ok { expects: false } => {
                out.push_str("    it has no `expect`, so only success was checked; `--accept` writes what was seen\n");
            }
            Verdict::Ok { .. } | Verdict::Accepted => {}
            Verdict::Broken(text) => text.lines().for_each(|line| out.push_str(&format!("    {line}\n"))),
            Verdict::Failed { mismatches, log, not_accepted } => {
                for mismatch in mismatches {
                    let message = without_controls(&mismatch.message).replace('\n', "\n      ");
                    out.push_str(&format!("    {}  {}\n", message, paint.dim(&self.place(mismatch.span))));
                    for line in &mismatch.lines {
                        let line = match line.as_bytes().first() {
                            Some(b'-') => paint.red(line),
                            Some(b'+') => paint.green(line),
                            _ => line.clone(),
                        };
                        out.push_str(&format!("      {line}\n"));
                    }
                }
                log.iter().for_each(|line| out.push_str(&format!("    {}\n", paint.dim(line))));
                if let Some(why) = not_accepted {
                    out.push_str(&format!("    {} {why}\n", paint.yellow("not accepted:")));
                }
            }
        }
        out
    }

    /// The same for programs.
    pub fn as_json(&self) -> Json {
        let (status, details) = match &self.verdict {
            Verdict::Ok { .. } => ("ok", json!([])),
            Verdict::Accepted => ("accepted", json!([])),
            Verdict::Broken(text) => ("broken", json!([{ "message": text.trim() }])),
            Verdict::Failed { mismatches, .. } => {
                let mismatch = |mismatch: &Mismatch| {
                    json!({
                        "part": mismatch.part,
                        "message": mismatch.message,
                        "file": self.file,
                        "line": mismatch.span.map(|span| span.line).filter(|line| *line > 0),
                        "difference": mismatch.lines,
                    })
                };
                ("failed", mismatches.iter().map(mismatch).collect())
            }
        };
        json!({ "name": self.name, "status": status, "file": self.file, "mismatches": details, "usage": self.usage })
    }
}

/// The last line for people.
pub fn summary(ended: &[Ended], folder: &Path, paint: Paint) -> String {
    let good = ended.iter().filter(|ended| ended.is_ok()).count();
    let bad = ended.len() - good;
    let cases = quantity::how_many(ended.len() as u64, "case");
    match bad {
        0 => format!("{} {cases} in {}\n", paint.green("ok:"), folder.display()),
        _ => format!("{} {bad} of {cases} in {}\n", paint.red("FAILED:"), folder.display()),
    }
}

//! What steps found out: remarks, summaries, test reports. Pure: rows in, entries out.

use oxide_core::{
    api::run::{RunAnnotation, RunSummary, TestReport},
    event::StepRecord,
    plan::Plan,
};
use oxide_store::{JobRow, StepRow};
use serde_json::{Map, Value as Json};

/// Steps that have ended, with the names of their stages.
fn ended<'a>(
    plan: &'a Plan,
    jobs: &'a [JobRow],
    steps: &'a [StepRow],
) -> impl Iterator<Item = (&'a str, &'a StepRow, &'a StepRecord)> {
    steps.iter().filter_map(|step| {
        let job = jobs.iter().find(|job| job.job == step.attempt.job)?;
        Some((plan.stage(job.stage).name.as_str(), step, step.record.as_deref()?))
    })
}

/// What steps remarked on places in the source.
pub(super) fn annotations(plan: &Plan, jobs: &[JobRow], steps: &[StepRow]) -> Vec<RunAnnotation> {
    let of_step = |(stage, step, record): (&str, &StepRow, &StepRecord)| {
        let entry = |annotation: &oxide_core::event::Annotation| RunAnnotation {
            stage: stage.to_owned(),
            job: step.attempt.job,
            attempt: step.attempt.number,
            step: step.step,
            annotation: annotation.clone(),
        };
        record.annotations.iter().map(entry).collect::<Vec<_>>()
    };
    ended(plan, jobs, steps).flat_map(of_step).collect()
}

/// The summaries of steps.
pub(super) fn summaries(plan: &Plan, jobs: &[JobRow], steps: &[StepRow]) -> Vec<RunSummary> {
    let found = ended(plan, jobs, steps).filter(|(_, _, record)| !record.summary.is_empty());
    found
        .map(|(stage, step, record)| RunSummary {
            stage: stage.to_owned(),
            job: step.attempt.job,
            attempt: step.attempt.number,
            step: step.step,
            name: step.name.clone(),
            markdown: record.summary.clone(),
        })
        .collect()
}

/// What steps read in test reports: those whose outputs count tests. A step that failed has no outputs, and that is how
/// `oxide/junit` ends when a test failed; the first line of its summary says the same.
pub(super) fn tests(plan: &Plan, jobs: &[JobRow], steps: &[StepRow]) -> Vec<TestReport> {
    let report = |(stage, step, record): (&str, &StepRow, &StepRecord)| {
        let counts = match record.failure {
            Some(_) => Counts::in_outputs(&record.outputs).or_else(|| Counts::in_summary(&record.summary)),
            None => Counts::in_outputs(&record.outputs),
        }?;
        Some(TestReport {
            stage: stage.to_owned(),
            job: step.attempt.job,
            attempt: step.attempt.number,
            step: step.step,
            total: counts.total,
            passed: counts.passed,
            failed: counts.failed,
            skipped: counts.skipped,
            outputs: record.outputs.clone(),
        })
    };
    ended(plan, jobs, steps).filter_map(report).collect()
}

/// How many tests there are, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    total: u64,
    passed: u64,
    /// With those that ended with an error.
    failed: u64,
    skipped: u64,
}

impl Counts {
    fn in_outputs(outputs: &Map<String, Json>) -> Option<Counts> {
        let count = |name: &str| outputs.get(name).and_then(Json::as_u64);
        let (total, failed) = (count("tests")?, count("failed")?);
        Some(Counts {
            total,
            passed: count("passed").unwrap_or(0),
            failed: failed.saturating_add(count("errors").unwrap_or(0)),
            skipped: count("skipped").unwrap_or(0),
        })
    }

    /// Reads `### ICON 12 tests: 9 passed, 2 failed, 1 skipped in 3.2 s`, the first line of a summary of `oxide/junit`.
    fn in_summary(summary: &str) -> Option<Counts> {
        let (_, line) = summary.lines().next()?.strip_prefix("### ")?.split_once(' ')?;
        let (total, parts) = line.split_once(": ")?;
        let total = total.strip_suffix(" tests").or_else(|| total.strip_suffix(" test"))?;
        let (parts, _) = parts.rsplit_once(" in ")?;
        let mut counts = Counts { total: count(total)?, ..Counts::default() };
        for part in parts.split(", ") {
            let (number, what) = part.split_once(' ')?;
            let number = count(number)?;
            match what {
                "passed" => counts.passed = number,
                "failed" | "error" | "errors" => counts.failed += number,
                "skipped" => counts.skipped = number,
                _ => {}
            }
        }
        Some(counts)
    }
}

/// A number of tests. Larger ones are nobody's; a sum of these cannot overflow.
fn count(text: &str) -> Option<u64> {
    text.parse::<u32>().ok().map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn the_summary_of_failed_tests_counts_them() {
        let counts = |total, passed, failed, skipped| Some(Counts { total, passed, failed, skipped });
        let cases = [
            ("### ❌ 3 tests: 1 passed, 1 failed, 1 skipped in 3.2 s\n\n| suite |", counts(3, 1, 1, 1)),
            ("### ❌ 9 tests: 2 passed, 1 failed, 4 errors, 2 skipped, 1 flaky in 1 min 2 s\n", counts(9, 2, 5, 2)),
            ("### ❌ 1 test: 0 passed, 1 error in 5 ms", counts(1, 0, 1, 0)),
            ("### ❌ no tests\n", None),
            ("### Coverage: 3 of 4 in 5 files", None),
            ("3 tests: 1 passed in 1 s", None),
            ("### ❌ 3 tests: many passed in 1 s", None),
            ("", None),
        ];
        for (summary, expected) in cases {
            assert_eq!(Counts::in_summary(summary), expected, "{summary}");
        }
    }
}

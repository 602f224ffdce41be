//! What steps found out: remarks, summaries, test reports. Pure: rows in, entries out.

use oxide_core::{
    api::run::{RunAnnotation, RunSummary, TestReport},
    event::StepRecord,
    plan::Plan,
};
use oxide_store::{JobRow, StepRow};

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

/// What steps read in test reports: those whose outputs count tests.
pub(super) fn tests(plan: &Plan, jobs: &[JobRow], steps: &[StepRow]) -> Vec<TestReport> {
    let report = |(stage, step, record): (&str, &StepRow, &StepRecord)| {
        let count = |name: &str| record.outputs.get(name).and_then(serde_json::Value::as_u64);
        let (total, failed) = (count("tests")?, count("failed")?);
        Some(TestReport {
            stage: stage.to_owned(),
            job: step.attempt.job,
            attempt: step.attempt.number,
            step: step.step,
            total,
            passed: count("passed").unwrap_or(0),
            failed: failed + count("errors").unwrap_or(0),
            skipped: count("skipped").unwrap_or(0),
            outputs: record.outputs.clone(),
        })
    };
    ended(plan, jobs, steps).filter_map(report).collect()
}

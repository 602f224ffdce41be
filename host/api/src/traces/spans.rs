//! A run as spans: run, stages, attempts of jobs, steps. Pure.
//!
//! The encoding is OTLP's in JSON (OpenTelemetry Protocol 1.7, "JSON Protobuf Encoding"); attributes are named as in OpenTelemetry's
//! semantic conventions for CI/CD. The id of the trace is the id of the run.

use oxide_core::{
    api::run::{Attempt, Job, RunDetails, Stage, Step},
    outcome::Status,
    time::Timestamp,
};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

/// What is sent to a collector for a run that has ended. Parts that never began have no span.
pub fn of_run(run: &RunDetails) -> Json {
    let trace = Trace { id: run.about.id.to_string().replace('-', ""), ended_at: run.about.ended_at };
    let about = &run.about;
    let mut spans = Vec::new();
    let root = trace.span_id(&["run"]);
    let began = about.started_at.unwrap_or(about.created_at);
    let facts = [
        ("cicd.pipeline.name", json!(about.pipeline_name)),
        ("cicd.pipeline.run.id", json!(about.id)),
        ("cicd.pipeline.run.number", json!(about.number)),
        ("cicd.pipeline.result", json!(result(about.status))),
        ("vcs.ref.head.name", json!(about.git.reference)),
        ("vcs.ref.head.revision", json!(about.git.sha)),
    ];
    let span = Span { id: &root, parent: None, name: &about.pipeline_name, began, ended: about.ended_at };
    spans.push(trace.span(span, about.status, about.reason.as_deref(), &facts));
    for stage in &run.stages {
        trace.stage(&root, stage, &mut spans);
    }
    json!({
        "resourceSpans": [{
            "resource": { "attributes": attributes(&[("service.name", json!("oxide"))]) },
            "scopeSpans": [{ "scope": { "name": "oxide", "version": env!("CARGO_PKG_VERSION") }, "spans": spans }],
        }],
    })
}

struct Trace {
    id: String,
    /// Ends what did not say when it ended.
    ended_at: Option<Timestamp>,
}

struct Span<'a> {
    id: &'a str,
    parent: Option<&'a str>,
    name: &'a str,
    began: Timestamp,
    ended: Option<Timestamp>,
}

impl Trace {
    fn stage(&self, parent: &str, stage: &Stage, spans: &mut Vec<Json>) {
        let Some(began) = stage.started_at else { return };
        let id = self.span_id(&["stage", &stage.name]);
        let facts = task(&stage.name, &id, stage.status);
        let span = Span { id: &id, parent: Some(parent), name: &stage.name, began, ended: stage.ended_at };
        spans.push(self.span(span, stage.status, stage.reason.as_deref(), &facts));
        for job in &stage.jobs {
            for attempt in &job.attempts {
                self.attempt(&id, job, attempt, spans);
            }
        }
    }

    fn attempt(&self, parent: &str, job: &Job, attempt: &Attempt, spans: &mut Vec<Json>) {
        let Some(began) = attempt.started_at else { return };
        let (position, number) = (job.job.to_string(), attempt.attempt.to_string());
        let id = self.span_id(&["job", &position, &number]);
        let mut facts = task(&job.name, &format!("{position}/{number}"), attempt.status);
        facts.push(("cicd.worker.id", json!(attempt.agent)));
        let span = Span { id: &id, parent: Some(parent), name: &job.name, began, ended: attempt.ended_at };
        spans.push(self.span(span, attempt.status, attempt.reason.as_deref(), &facts));
        for step in &attempt.steps {
            self.step(&id, [&position, &number], step, spans);
        }
    }

    fn step(&self, parent: &str, [job, attempt]: [&str; 2], step: &Step, spans: &mut Vec<Json>) {
        let Some(began) = step.started_at else { return };
        let position = step.step.to_string();
        let id = self.span_id(&["step", job, attempt, &position]);
        let mut facts = task(&step.name, &format!("{job}/{attempt}/{position}"), step.status);
        facts.push(("oxide.plugin.reference", json!(step.plugin.reference)));
        facts.push(("oxide.plugin.digest", json!(step.plugin.digest)));
        let failure = step.record.as_ref().and_then(|record| record.failure.as_ref());
        let reason = failure.map(|failure| failure.message.as_str()).or(step.reason.as_deref());
        let span = Span { id: &id, parent: Some(parent), name: &step.name, began, ended: step.ended_at };
        spans.push(self.span(span, step.status, reason, &facts));
    }

    fn span(&self, span: Span<'_>, status: Status, reason: Option<&str>, facts: &[(&str, Json)]) -> Json {
        let ended = span.ended.or(self.ended_at).unwrap_or(span.began).max(span.began);
        let code = if matches!(status, Status::Failure | Status::Timeout) { 2 } else { 0 };
        json!({
            "traceId": self.id,
            "spanId": span.id,
            "parentSpanId": span.parent.unwrap_or_default(),
            "name": span.name,
            "kind": 1,
            "startTimeUnixNano": nanoseconds(span.began),
            "endTimeUnixNano": nanoseconds(ended),
            "attributes": attributes(facts),
            "status": { "code": code, "message": reason.filter(|_| code == 2).unwrap_or_default() },
        })
    }

    /// Eight bytes that are the same whenever the trace is made anew.
    fn span_id(&self, path: &[&str]) -> String {
        let mut hash = Sha256::new_with_prefix(&self.id);
        path.iter().for_each(|word| hash.update([b"\0", word.as_bytes()].concat()));
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn task(name: &str, id: &str, status: Status) -> Vec<(&'static str, Json)> {
    vec![
        ("cicd.pipeline.task.name", json!(name)),
        ("cicd.pipeline.task.run.id", json!(id)),
        ("cicd.pipeline.task.run.result", json!(result(status))),
    ]
}

/// The conventions' words for how something ended.
fn result(status: Status) -> &'static str {
    match status {
        Status::Warning => "success",
        Status::Cancelled => "cancellation",
        Status::Skipped => "skip",
        other => other.as_str(),
    }
}

fn attributes(facts: &[(&str, Json)]) -> Vec<Json> {
    let value = |fact: &Json| match fact {
        Json::Null => None,
        Json::Number(number) => Some(json!({ "intValue": number.to_string() })),
        Json::String(text) => Some(json!({ "stringValue": text })),
        other => Some(json!({ "stringValue": other.to_string() })),
    };
    facts.iter().filter_map(|(key, fact)| Some(json!({ "key": key, "value": value(fact)? }))).collect()
}

/// Numbers of 64 bits are texts in this encoding.
fn nanoseconds(time: Timestamp) -> String {
    (i128::from(time.0.max(0)) * 1_000_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_called_as_the_conventions_say() {
        let ends = [
            (Status::Success, "success"),
            (Status::Warning, "success"),
            (Status::Failure, "failure"),
            (Status::Cancelled, "cancellation"),
            (Status::Timeout, "timeout"),
            (Status::Skipped, "skip"),
        ];
        for (status, word) in ends {
            assert_eq!(result(status), word);
        }
    }
}

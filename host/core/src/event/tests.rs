use std::collections::BTreeSet;

use super::*;
use crate::time::Timestamp;

fn run() -> RunId {
    RunId(uuid::Uuid::from_u128(1))
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

/// One event of each kind.
pub(crate) fn one_of_each() -> Vec<EventKind> {
    let (job, attempt, step, agent) = (JobIndex(2), 1, StepIndex(3), AgentId(uuid(7)));
    let (pipeline, approval) = (PipelineId(uuid(4)), ApprovalId(uuid(5)));
    let stage = || "test".to_owned();
    let reason = || Some("step `unit` failed".to_owned());
    let webhook = || WebhookReceived { delivery: DeliveryId(uuid(8)), event: "push".into(), repository: None };
    let record = StepRecord::of_end(Status::Success, Timestamp(1), Timestamp(2));
    vec![
        EventKind::PipelineCreated { pipeline, name: "build".into(), version: 1 },
        EventKind::PipelineUpdated { pipeline, name: "build".into(), version: 2 },
        EventKind::PipelineDeleted { pipeline, name: "build".into() },
        EventKind::RunQueued { pipeline: "build".into(), number: 1 },
        EventKind::RunWaiting { reason: "waits".into() },
        EventKind::RunStarted,
        EventKind::RunCompleted { status: Status::Failure, reason: reason(), duration_ms: 5 },
        EventKind::RunCancelled { reason: "cancelled by ann".into() },
        EventKind::ApprovalRequested {
            approval,
            stage: stage(),
            approvers: vec![Approver::User("ann".into())],
            minimum: 1,
            expires_at: Timestamp(9),
        },
        EventKind::ApprovalCompleted { approval, stage: stage(), status: ApprovalStatus::Approved, reason: None },
        EventKind::StageStarted { stage: stage() },
        EventKind::StageCompleted { stage: stage(), status: Status::Success, reason: None, duration_ms: 5 },
        EventKind::JobQueued { job, attempt },
        EventKind::JobStarted { job, attempt, agent },
        EventKind::JobCompleted { job, attempt, status: Status::Failure, reason: reason() },
        EventKind::StepStarted { job, attempt, step, try_number: 1 },
        EventKind::StepOutput { job, attempt, step, first_line: 1, line_count: 20 },
        EventKind::StepCompleted { job, attempt, step, record: Box::new(record) },
        EventKind::ArtifactUploaded {
            job,
            attempt,
            step,
            name: "report v1.2".into(),
            files: 1,
            bytes: 2,
            expires_at: Timestamp(9),
        },
        EventKind::AgentRegistered {
            agent,
            name: "box".into(),
            labels: vec!["linux".into()],
            capabilities: vec![AgentCapability::Docker],
            slots: 2,
            version: "0.1.0".into(),
        },
        EventKind::AgentHeartbeat {
            agent,
            status: AgentStatus::Busy,
            attempts: vec![AttemptId { run: run(), job, number: 1 }],
            metrics: Some(SystemMetrics { cpu_percent: 12.5, ..SystemMetrics::default() }),
        },
        EventKind::AgentDisconnected { agent, name: "box".into(), reason: "not heard of for 30 s".into() },
        EventKind::WebhookGithub(webhook()),
        EventKind::WebhookGitlab(webhook()),
        EventKind::WebhookGitea(webhook()),
        EventKind::PluginLoaded {
            digest: "sha256:0".into(),
            reference: "oxide/run@1".into(),
            capabilities: vec![Capability::Workspace],
            agent: Some(agent),
        },
        EventKind::PluginUnloaded {
            digest: "sha256:0".into(),
            reference: "oxide/run@1".into(),
            agent: None,
            reason: "not used for a day".into(),
        },
    ]
}

fn word_matches(pattern: &str, word: &str) -> bool {
    pattern == word || (pattern.starts_with('{') && !word.is_empty())
}

#[test]
fn every_kind_has_a_subject_of_the_listed_form_and_survives_json() {
    let kinds = one_of_each();
    assert_eq!(kinds.len(), SUBJECTS.len());
    for (kind, listed) in kinds.into_iter().zip(SUBJECTS) {
        let event = Event::of_run(run(), Some(ProjectId(uuid(2))), Timestamp(1_795_248_000_000), kind);
        let subject = event.subject();
        let (words, patterns): (Vec<_>, Vec<_>) = (subject.split('.').collect(), listed.pattern.split('.').collect());
        assert_eq!(words.len(), patterns.len(), "{subject}");
        assert!(words.iter().zip(&patterns).all(|(word, pattern)| word_matches(pattern, word)), "{subject}");
        let numbered = NumberedEvent { seq: 12, event: Arc::new(event) };
        let json = serde_json::to_value(&numbered).unwrap();
        assert_eq!(json["type"], listed.kind);
        assert_eq!(json["seq"], 12);
        assert_eq!(json["at"], "2026-11-21T08:00:00.000Z");
        assert_eq!(serde_json::from_value::<NumberedEvent>(json).unwrap(), numbered);
    }
}

#[test]
fn no_two_kinds_are_alike() {
    let kinds: BTreeSet<_> = SUBJECTS.iter().map(|subject| subject.kind).collect();
    let patterns: BTreeSet<_> = SUBJECTS.iter().map(|subject| subject.pattern).collect();
    assert_eq!((kinds.len(), patterns.len()), (SUBJECTS.len(), SUBJECTS.len()));
}

#[test]
fn the_schema_lists_the_same_kinds() {
    let schema = serde_json::to_value(schemars::schema_for!(EventKind)).unwrap();
    let in_schema: BTreeSet<String> = schema["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["properties"]["type"]["const"].as_str().unwrap().to_owned())
        .collect();
    let listed: BTreeSet<String> = SUBJECTS.iter().map(|subject| subject.kind.to_owned()).collect();
    assert_eq!(in_schema, listed);
}

#[test]
fn events_of_older_versions_are_read() {
    let old =
        r#"{"run":"00000000-0000-0000-0000-000000000001","at":1700000000001,"type":"stage.started","stage":"test"}"#;
    let event: Event = serde_json::from_str(old).unwrap();
    let kind = EventKind::StageStarted { stage: "test".into() };
    assert_eq!(event, Event::of_run(run(), None, Timestamp(1_700_000_000_001), kind));
}

#[test]
fn a_name_becomes_one_word_of_a_subject() {
    assert_eq!(subject_token("report v1.2*>"), "report_v1_2__");
    assert_eq!(subject_token(""), "_");
}

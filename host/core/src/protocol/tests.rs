use super::*;
use crate::id::{JobIndex, RunId};

fn chunk(body: &'static [u8]) -> LogChunk {
    LogChunk {
        step: StepIndex(1),
        first_line: 1,
        line_count: 1,
        raw_bytes: 6,
        marks: vec![LogMark { line: 0, at: Timestamp(5), stream: LogStream::Stdout }],
        body: Bytes::from_static(body),
    }
}

#[test]
fn the_bytes_of_a_log_travel_as_base64() {
    let chunk = chunk(b"\x00\xff\x28");
    let json = serde_json::to_value(&chunk).unwrap();
    assert_eq!(json["body"], "AP8o");
    assert_eq!(json["marks"][0]["at"], "1970-01-01T00:00:00.005Z");
    assert_eq!(serde_json::from_value::<LogChunk>(json.clone()).unwrap(), chunk);
    let mut old = json;
    old["body"] = serde_json::json!([0, 255, 40]);
    old["marks"][0]["at"] = 5.into();
    assert_eq!(serde_json::from_value::<LogChunk>(old).unwrap(), chunk, "as older versions wrote it");
    let bad = serde_json::json!({"step":1,"first_line":1,"line_count":1,"raw_bytes":1,"marks":[],"body":"%"});
    assert!(serde_json::from_value::<LogChunk>(bad).is_err());
}

#[test]
fn messages_of_older_agents_are_read() {
    let agent = AgentId(uuid::Uuid::from_u128(7));
    let register: Register =
        serde_json::from_value(serde_json::json!({"agent": agent, "name": "box", "labels": [], "slots": 2})).unwrap();
    assert_eq!((register.capabilities, register.version.as_str()), (Vec::new(), ""));
    let heartbeat: Heartbeat = serde_json::from_value(serde_json::json!({"agent": agent, "attempts": []})).unwrap();
    assert_eq!(heartbeat.metrics, None);
}

#[test]
fn a_whole_report_survives_its_way() {
    let attempt = AttemptId { run: RunId(uuid::Uuid::from_u128(1)), job: JobIndex(2), number: 3 };
    let change = StepChange { step: StepIndex(0), at: Timestamp(7), kind: StepChangeKind::Started { try_number: 1 } };
    let kind = StepChangeKind::ArtifactUploaded { name: "a.b".into(), files: 1, bytes: 2, expires_at: Timestamp(9) };
    let report = Report {
        agent: AgentId(uuid::Uuid::from_u128(7)),
        attempt,
        number: 1,
        changes: vec![change.clone(), StepChange { kind, ..change }],
        logs: vec![chunk(b"x")],
    };
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

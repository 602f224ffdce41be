use std::{collections::BTreeSet, sync::Arc};

use uuid::Uuid;

use super::{
    check::{fitting, problems},
    *,
};
use crate::{
    api::{
        event::{ChannelMessage, ClientMessage, EventPayload, ServerMessage},
        log::{LogEnd, LogLines, LogText},
    },
    event::{Event, EventKind, NumberedEvent, one_of_each},
    id::{JobIndex, ProjectId, RunId, StepIndex},
    outcome::Status,
    protocol::LogStream,
    time::Timestamp,
};

fn references<'a>(value: &'a Json, found: &mut Vec<&'a str>) {
    match value {
        Json::Object(fields) => {
            if let Some(Json::String(text)) = fields.get("$ref") {
                found.push(text);
            }
            fields.values().for_each(|value| references(value, found));
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn places(nats: bool) -> Places {
    Places { nats, ..Places::default() }
}

fn text() -> LogText {
    LogText { at: Timestamp(1), stream: LogStream::Stdout, text: "built".into() }
}

/// An event as a server streams it.
fn streamed(kind: EventKind) -> EventPayload {
    let lines = matches!(kind, EventKind::StepOutput { .. }).then(|| vec![text()]);
    let event = Event::of_run(RunId(Uuid::from_u128(1)), Some(ProjectId(Uuid::from_u128(2))), Timestamp(1), kind);
    EventPayload { event: NumberedEvent { seq: 1, event: Arc::new(event) }, lines }
}

/// The names of the messages of an operation.
fn of_operation(document: &Json, operation: &str) -> BTreeSet<String> {
    let messages = document["operations"][operation]["messages"].as_array().unwrap();
    messages.iter().map(|message| message["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn every_event_is_in_it_wherever_it_comes_from() {
    let document = document(&places(true));
    for subject in SUBJECTS {
        let name = capitals(subject.kind);
        let (event, on_socket) = (format!("{name}Event"), format!("{name}ChannelMessage"));
        assert_eq!(document["channels"][&name]["address"], subject.pattern);
        assert_eq!(document["components"]["messages"][&event]["name"], subject.kind);
        assert!(!document["components"]["messages"][&event]["summary"].as_str().unwrap().is_empty(), "{name}");
        let schema = &document["components"]["schemas"][&event];
        assert_eq!(schema["properties"]["type"]["const"], subject.kind, "{name}");
        assert_eq!(schema["required"].as_array().unwrap()[..3], ["seq", "at", "type"].map(Json::from));
        assert_eq!(document["operations"][format!("publish{name}")]["action"], "send");
        assert!(of_operation(&document, "streamEvents").contains(&event));
        for operation in ["sendEvents", "sendEventsOfRun"] {
            assert_eq!(document["operations"][operation]["action"], "send");
            assert!(of_operation(&document, operation).contains(&on_socket));
        }
    }
    assert_eq!(of_operation(&document, "streamEvents").len(), SUBJECTS.len());
}

#[test]
fn every_reference_leads_somewhere() {
    for nats in [true, false] {
        let document = document(&places(nats));
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads out"));
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
    assert!(!document_text().contains("$defs") && !document_text().contains("[`"));
}

#[test]
fn every_event_that_is_sent_is_one_of_its_messages() {
    let document = document(&places(true));
    for kind in one_of_each() {
        let payload = streamed(kind);
        let channel = payload.event.event.subject();
        let sent = serde_json::to_value(&payload).unwrap();
        let name = capitals(sent["type"].as_str().unwrap());
        let schema = format!("#/components/schemas/{name}Event");
        assert_eq!(problems(&document, &schema, &sent), [] as [String; 0]);
        assert_eq!(fitting(&document, "events", &sent), [format!("{name}Event")]);
        let on_socket = serde_json::to_value(ChannelMessage { channel, payload }).unwrap();
        assert_eq!(fitting(&document, "socket", &on_socket), [format!("{name}ChannelMessage")]);
        let elsewhere = json!({ "channel": "run.a.other", "payload": sent });
        assert_eq!(fitting(&document, "socket", &elsewhere), [] as [String; 0]);
        for spoil in ["seq", "at", "type"] {
            let mut less = sent.clone();
            less.as_object_mut().unwrap().remove(spoil);
            assert_ne!(problems(&document, &schema, &less), [] as [String; 0], "{name} without {spoil}");
        }
        let mut more = sent.clone();
        more["nobody_knows_it"] = json!(1);
        assert_ne!(problems(&document, &schema, &more), [] as [String; 0]);
    }
    let lines = &document["components"]["schemas"]["StepOutputEvent"]["properties"]["lines"];
    assert_eq!((&lines["type"], &lines["items"]["$ref"]), (&json!("array"), &json!("#/components/schemas/LogText")));
    assert!(document["components"]["schemas"]["RunStartedEvent"]["properties"].get("lines").is_none());
}

#[test]
fn what_clients_say_is_received_and_answered() {
    let document = document(&places(false));
    let channels = vec!["run.*.started".to_owned()];
    let said = [
        ("Subscribe", ClientMessage::Subscribe { channels: channels.clone(), since: Some(5) }),
        ("Subscribe", ClientMessage::Subscribe { channels: channels.clone(), since: None }),
        ("Unsubscribe", ClientMessage::Unsubscribe { channels: channels.clone() }),
        ("Ping", ClientMessage::Ping),
    ];
    for (name, message) in said {
        let message = serde_json::to_value(message).unwrap();
        for (channel, ending) in [("socket", ""), ("runSocket", "OfRun")] {
            assert_eq!(fitting(&document, channel, &message), [format!("{name}Message")]);
            let operation = &document["operations"][format!("receive{name}{ending}")];
            assert_eq!(operation["action"], "receive");
            assert_eq!(operation["channel"]["$ref"], format!("#/channels/{channel}"));
            let answer = if name == "Ping" { "PongMessage" } else { "SubscribedMessage" };
            let answer = format!("#/channels/{channel}/messages/{answer}");
            assert_eq!(operation["reply"]["messages"][0]["$ref"], answer);
            assert_eq!(
                operation["reply"]["messages"][1]["$ref"],
                format!("#/channels/{channel}/messages/ErrorMessage")
            );
        }
    }
    assert_eq!(fitting(&document, "socket", &json!({ "action": "shout" })), [] as [String; 0]);
    let answers = [
        ("SubscribedMessage", ServerMessage::Subscribed { channels, since: 7 }),
        ("PongMessage", ServerMessage::Pong),
        ("ErrorMessage", ServerMessage::Error { message: "no".into(), suggestions: vec!["yes".into()] }),
    ];
    for (name, message) in answers {
        assert_eq!(fitting(&document, "socket", &serde_json::to_value(message).unwrap()), [name.to_owned()]);
    }
}

#[test]
fn a_log_is_streamed_in_its_messages() {
    let document = document(&places(false));
    let lines = LogLines {
        stage: "build".into(),
        job: JobIndex(0),
        attempt: 1,
        step: StepIndex(0),
        name: "make".into(),
        first_line: 1,
        lines: vec![text()],
    };
    let end = LogEnd { status: Status::Success, reason: None };
    let (lines, end) = (serde_json::to_value(lines).unwrap(), serde_json::to_value(end).unwrap());
    assert_eq!(fitting(&document, "log", &lines), ["LogLines".to_owned()]);
    assert_eq!(fitting(&document, "log", &end), ["LogEnd".to_owned()]);
    let words: Vec<&Json> = ["LogLines", "LogEnd"].map(|name| &document["components"]["messages"][name]["name"]).into();
    assert_eq!(words, [&json!("lines"), &json!("end")]);
}

#[test]
fn an_event_too_large_for_nats_is_known_by_its_head() {
    let document = document(&places(true));
    let head =
        json!({ "seq": 1, "at": "2026-11-21T08:00:00.000Z", "type": "step.completed", "job": 0, "truncated": true });
    assert_eq!(fitting(&document, "StepCompleted", &head), ["EventHead".to_owned()]);
}

#[test]
fn it_names_the_places_of_the_server_and_nats_without_its_address() {
    let there = Places { host: "ci.example.org".into(), tls: true, base_path: "/oxide".into(), nats: false };
    let document = super::document(&there);
    let servers = &document["servers"];
    assert_eq!((&servers["websocket"]["protocol"], &servers["http"]["protocol"]), (&json!("wss"), &json!("https")));
    assert_eq!(servers["websocket"]["pathname"], "/oxide");
    assert!(servers.get("nats").is_none() && document["channels"].get("RunStarted").is_none());
    assert!(document["components"]["securitySchemes"].get("natsUser").is_none());
    let document = super::document(&places(true));
    let nats = &document["servers"]["nats"];
    assert_eq!((&nats["protocol"], &nats["host"]), (&json!("nats"), &json!("{host}")));
}

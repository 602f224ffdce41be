//! The AsyncAPI 3.0 document of all events, made from their types.
//!
//! A channel for each form of subject, with one message; two servers, WebSocket and NATS; the schemas of the types below
//! `components`, so that clients can be generated.

use std::collections::BTreeMap;

use schemars::schema_for;
use serde_json::{Map, Value as Json, json};

use crate::event::{NumberedEvent, SUBJECTS, Subject};

/// The parameters of subjects, with what they are.
const PARAMETERS: [(&str, &str); 7] = [
    ("run", "The id of the run."),
    ("approval", "The id of the approval."),
    ("stage", "The name of the stage."),
    ("job", "The index of the job within the run."),
    ("step", "The index of the job, `-`, and the index of the step within the job."),
    ("artifact", "The name of the artifact; what a word of a subject cannot hold is `_`."),
    ("agent", "The id of the agent."),
];

/// Where the events of a server are to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Host and port of the server for WebSocket, such as `ci.example.org`.
    pub websocket_host: String,
    /// Is it `wss`?
    pub websocket_tls: bool,
    /// The path of the WebSocket, such as `/api/v1/ws`.
    pub websocket_path: String,
    /// Host and port of NATS; none if the server has none.
    pub nats_host: Option<String>,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            websocket_host: "localhost:8080".to_owned(),
            websocket_tls: false,
            websocket_path: "/api/v1/ws".to_owned(),
            nats_host: Some("localhost:4222".to_owned()),
        }
    }
}

/// The document.
pub fn document(places: &Places) -> Json {
    let (kinds, mut schemas) = schemas();
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for subject in SUBJECTS {
        let name = message_name(subject.kind);
        let kind = kinds.get(subject.kind).cloned().unwrap_or_default();
        let summary = kind.get("description").cloned().unwrap_or(Json::Null);
        schemas.insert(name.clone(), payload(&kind));
        messages.insert(name.clone(), message(subject, &name, &summary));
        channels.insert(name.clone(), channel(subject, &name, &summary));
        operations.insert(format!("receive{name}"), operation(&name, &summary));
    }
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Oxide CI events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that happens on an Oxide CI server: pipelines, runs, stages, jobs, steps, approvals, \
                agents, webhooks, artifacts and plugins. Subscribe over WebSocket by `{\"action\": \"subscribe\", \
                \"channels\": [\"run.*.started\"]}`, or over NATS JetStream, stream `OXIDE_EVENTS`. `seq` grows from event \
                to event: who was away goes on after the last one that it saw.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": servers(places),
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "parameters": parameters(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token (`oxide_pat_…`) or the token of a session.",
                },
                "natsUser": { "type": "userPassword", "description": "What the operator of the NATS server gives out." },
            },
        },
    });
    rewrite(&mut document);
    document
}

/// The document with the places of a server on this machine, as text: what `oxide` prints and the tests compare.
pub fn document_text() -> String {
    let mut text =
        serde_json::to_string_pretty(&document(&Places::default())).expect("a document of texts and numbers");
    text.push('\n');
    text
}

/// What each kind of event adds to the common part, and the schemas of all types that they name.
fn schemas() -> (BTreeMap<String, Map<String, Json>>, Map<String, Json>) {
    let whole = Json::from(schema_for!(NumberedEvent));
    let mut shared = whole["$defs"].as_object().cloned().unwrap_or_default();
    let kinds = variants(&whole);
    let kinds = kinds.into_iter().filter_map(|kind| {
        // A kind that is a type of its own stands beside a reference to it.
        let mut kind = resolve(kind, &shared);
        kind.remove("$schema");
        let name = kind.get("properties")?.get("type")?.get("const")?.as_str()?.to_owned();
        Some((name, kind))
    });
    let kinds: BTreeMap<_, _> = kinds.collect();
    shared.retain(|name, _| !matches!(name.as_str(), "Event" | "EventKind"));
    (kinds, shared)
}

/// The alternatives of the flattened kind, wherever the generator of schemas has put them.
fn variants(schema: &Json) -> Vec<Map<String, Json>> {
    let here = ["oneOf", "anyOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
    let found: Vec<Map<String, Json>> = here.flatten().filter_map(|one| one.as_object().cloned()).collect();
    if !found.is_empty() {
        return found;
    }
    let below = schema.get("allOf").and_then(Json::as_array).into_iter().flatten();
    let defined = schema.get("$defs").and_then(|defs| defs.get("EventKind")).into_iter();
    below.chain(defined).map(variants).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Puts the properties of a type that the kind refers to among its own.
fn resolve(mut kind: Map<String, Json>, shared: &Map<String, Json>) -> Map<String, Json> {
    let Some(Json::String(reference)) = kind.remove("$ref") else { return kind };
    let named = reference.rsplit('/').next().and_then(|name| shared.get(name));
    for key in ["properties", "required"] {
        match (kind.get_mut(key), named.and_then(|named| named.get(key))) {
            (Some(Json::Object(own)), Some(Json::Object(more))) => own.extend(more.clone()),
            (Some(Json::Array(own)), Some(Json::Array(more))) => own.extend(more.clone()),
            (None, Some(more)) => drop(kind.insert(key.to_owned(), more.clone())),
            _ => {}
        }
    }
    kind
}

/// The schema of the events of one kind: what all have, and its own.
fn payload(kind: &Map<String, Json>) -> Json {
    let mut properties = json!({
        "seq": { "type": "integer", "minimum": 0, "description": "The number. Grows from event to event; gaps mean nothing." },
        "run": { "$ref": "#/$defs/RunId", "description": "The run that it belongs to, if it belongs to one." },
        "project": { "$ref": "#/$defs/ProjectId", "description": "The project that it belongs to, if it belongs to one." },
        "at": { "$ref": "#/$defs/Timestamp", "description": "When it happened." },
    });
    let mut required = vec![json!("seq"), json!("at")];
    if let (Some(all), Some(own)) = (properties.as_object_mut(), kind.get("properties").and_then(Json::as_object)) {
        all.extend(own.clone());
    }
    required.extend(kind.get("required").and_then(Json::as_array).into_iter().flatten().cloned());
    let mut schema = json!({ "type": "object", "properties": properties, "required": required });
    if let Some(description) = kind.get("description") {
        schema["description"] = description.clone();
    }
    schema
}

fn message(subject: Subject, name: &str, summary: &Json) -> Json {
    json!({
        "name": subject.kind,
        "title": subject.kind,
        "summary": summary,
        "contentType": "application/json",
        "payload": { "$ref": format!("#/components/schemas/{name}") },
    })
}

fn channel(subject: Subject, name: &str, summary: &Json) -> Json {
    let mut channel = json!({
        "address": subject.pattern,
        "title": subject.kind,
        "summary": summary,
        "messages": { name: { "$ref": format!("#/components/messages/{name}") } },
    });
    let named: Map<String, Json> = subject
        .pattern
        .split('.')
        .filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'))
        .map(|word| (word.to_owned(), json!({ "$ref": format!("#/components/parameters/{word}") })))
        .collect();
    if !named.is_empty() {
        channel["parameters"] = named.into();
    }
    channel
}

fn operation(name: &str, summary: &Json) -> Json {
    json!({
        "action": "receive",
        "summary": summary,
        "channel": { "$ref": format!("#/channels/{name}") },
        "messages": [{ "$ref": format!("#/channels/{name}/messages/{name}") }],
    })
}

fn parameters() -> Json {
    let used =
        |name: &&(&str, &str)| SUBJECTS.iter().any(|subject| subject.pattern.contains(&format!("{{{}}}", name.0)));
    let described = |(name, description): &(&str, &str)| ((*name).to_owned(), json!({ "description": description }));
    Json::Object(PARAMETERS.iter().filter(used).map(described).collect())
}

fn servers(places: &Places) -> Json {
    let mut servers = json!({
        "websocket": {
            "host": places.websocket_host,
            "pathname": places.websocket_path,
            "protocol": if places.websocket_tls { "wss" } else { "ws" },
            "description": "The server itself. Who may view a project receives its events.",
            "security": [{ "$ref": "#/components/securitySchemes/token" }],
        },
    });
    if let Some(host) = &places.nats_host {
        servers["nats"] = json!({
            "host": host,
            "protocol": "nats",
            "description": "JetStream, stream `OXIDE_EVENTS`. If the operator chose a prefix, it stands before every subject.",
            "security": [{ "$ref": "#/components/securitySchemes/natsUser" }],
        });
    }
    servers
}

/// Leads references to where the schemas are, and makes descriptions plain: `` [`Status::Warning`] `` is a link in Rust only.
fn rewrite(value: &mut Json) {
    match value {
        Json::Object(fields) => {
            fields.remove("$schema");
            for (key, value) in fields.iter_mut() {
                match value {
                    Json::String(text) if key == "$ref" => {
                        *text = text.replace("#/$defs/", "#/components/schemas/");
                    }
                    Json::String(text) if matches!(key.as_str(), "description" | "summary" | "title") => {
                        *text = without_links(text);
                    }
                    other => rewrite(other),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(rewrite),
        _ => {}
    }
}

fn without_links(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`").replace('\n', " ")
}

/// `run.started` as a name in the document: `RunStarted`.
fn message_name(kind: &str) -> String {
    let capital = |word: &str| {
        let mut characters = word.chars();
        characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect::<String>()
    };
    kind.split('.').map(capital).collect::<Vec<_>>().concat() + "Event"
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{event::Event, time::Timestamp};

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

    #[test]
    fn every_event_is_in_it() {
        let document = document(&Places::default());
        assert_eq!(document["channels"].as_object().unwrap().len(), SUBJECTS.len());
        for subject in SUBJECTS {
            let name = message_name(subject.kind);
            assert_eq!(document["channels"][&name]["address"], subject.pattern);
            assert_eq!(document["components"]["messages"][&name]["name"], subject.kind);
            let schema = &document["components"]["schemas"][&name];
            assert_eq!(schema["properties"]["type"]["const"], subject.kind, "{name}");
            assert!(schema["required"].as_array().unwrap().contains(&json!("type")));
            assert!(document["channels"][&name]["summary"].is_string(), "{name} says what it tells");
            assert_eq!(document["operations"][format!("receive{name}")]["action"], "receive");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&Places::default());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads out"));
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        assert!(!document_text().contains("$defs") && !document_text().contains("[`"));
    }

    #[test]
    fn what_is_sent_has_the_fields_that_the_document_names() {
        let document = document(&Places::default());
        for kind in crate::event::one_of_each() {
            let event = Event::of_run(crate::id::RunId(uuid::Uuid::from_u128(1)), None, Timestamp(1), kind);
            let sent = serde_json::to_value(NumberedEvent { seq: 1, event: Arc::new(event) }).unwrap();
            let name = message_name(sent["type"].as_str().unwrap());
            let schema = &document["components"]["schemas"][&name];
            for field in sent.as_object().unwrap().keys() {
                assert!(schema["properties"].get(field).is_some(), "{name} has no `{field}`");
            }
            for field in schema["required"].as_array().unwrap() {
                assert!(sent.get(field.as_str().unwrap()).is_some(), "{name} needs {field}");
            }
        }
    }

    #[test]
    fn a_server_without_nats_does_not_name_it() {
        let places = Places { nats_host: None, websocket_tls: true, ..Places::default() };
        let document = document(&places);
        assert!(document["servers"].get("nats").is_none());
        assert_eq!(document["servers"]["websocket"]["protocol"], "wss");
    }
}

//! The messages of the document, read from the types that are sent.

use std::collections::BTreeMap;

use schemars::schema_for;
use serde_json::{Map, Value as Json, json};

use crate::{
    api::{
        event::{ChannelMessage, ClientMessage, EventPayload, EventQuery, ServerMessage},
        log::{LogEnd, LogLines, LogStreamQuery},
    },
    event::{SUBJECTS, Subject},
};

/// The kind of event that carries lines.
const WITH_LINES: &str = "step.output";

/// A message with the schema of what is sent.
pub(super) struct Message {
    /// Its name in the document, and that of its schema.
    pub name: String,
    /// The word in it that says what it is, such as `run.started` or `subscribe`.
    pub word: String,
    /// What it tells.
    pub summary: String,
    /// What it looks like.
    pub schema: Json,
}

/// All messages.
pub(super) struct Messages {
    /// Events in the order of [`SUBJECTS`], as server-sent events and NATS bring them.
    pub events: Vec<Message>,
    /// The same, each with its subject, as a WebSocket brings them.
    pub on_socket: Vec<Message>,
    /// What clients say on a WebSocket.
    pub said: Vec<Message>,
    /// What the server answers there.
    pub answers: Vec<Message>,
    /// What a stream of a log brings.
    pub log: Vec<Message>,
    /// What stands on NATS in the place of an event that is too large for it.
    pub head: Message,
    /// The types that their schemas name.
    pub shared: Map<String, Json>,
}

impl Messages {
    /// Reads them from their types.
    pub fn read() -> Messages {
        let whole = Json::from(schema_for!(EventPayload));
        let mut shared = definitions(&whole);
        let kinds = kinds(&whole, &shared);
        let common = Common::of(&whole);
        let none = Map::new();
        let events: Vec<Message> = SUBJECTS
            .iter()
            .map(|subject| {
                let kind = kinds.get(subject.kind).unwrap_or(&none);
                let name = format!("{}Event", capitals(subject.kind));
                let schema = common.with(kind, subject.kind == WITH_LINES);
                Message { name, word: subject.kind.to_owned(), summary: summary(&schema), schema }
            })
            .collect();
        let envelope = Json::from(schema_for!(ChannelMessage));
        let on_socket =
            SUBJECTS.iter().zip(&events).map(|(subject, event)| on_socket(&envelope, *subject, event)).collect();
        let (said, answers) = (Json::from(schema_for!(ClientMessage)), Json::from(schema_for!(ServerMessage)));
        let (lines, end) = (Json::from(schema_for!(LogLines)), Json::from(schema_for!(LogEnd)));
        for root in [&said, &answers, &lines, &end] {
            shared.extend(definitions(root));
        }
        shared.retain(|name, _| !matches!(name.as_str(), "Event" | "EventKind"));
        Messages {
            events,
            on_socket,
            said: words(&said),
            answers: words(&answers),
            log: vec![of_log("LogLines", "lines", lines), of_log("LogEnd", "end", end)],
            head: head(&common),
            shared,
        }
    }

    /// Every message once.
    pub fn all(&self) -> impl Iterator<Item = &Message> {
        let lists = [&self.events, &self.on_socket, &self.said, &self.answers, &self.log];
        lists.into_iter().flatten().chain([&self.head])
    }
}

/// What may stand in the query of a stream of events.
pub(super) fn event_query() -> Json {
    without_definitions(Json::from(schema_for!(EventQuery)))
}

/// What may stand in the query of a stream of a log.
pub(super) fn log_query() -> Json {
    without_definitions(Json::from(schema_for!(LogStreamQuery)))
}

/// `run.started` as a name in the document: `RunStarted`.
pub(super) fn capitals(words: &str) -> String {
    let capital = |word: &str| {
        let mut characters = word.chars();
        characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect::<String>()
    };
    words.split('.').map(capital).collect::<Vec<_>>().concat()
}

/// The subjects of one form as a regular expression.
fn pattern(subject: Subject) -> String {
    let word = |word: &str| if word.starts_with('{') { "[^.]+".to_owned() } else { word.to_owned() };
    format!("^{}$", subject.pattern.split('.').map(word).collect::<Vec<_>>().join("\\."))
}

fn definitions(schema: &Json) -> Map<String, Json> {
    schema.get("$defs").and_then(Json::as_object).cloned().unwrap_or_default()
}

fn without_definitions(mut schema: Json) -> Json {
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$defs");
    }
    schema
}

fn summary(schema: &Json) -> String {
    schema.get("description").and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// What events of all kinds have.
struct Common {
    properties: Map<String, Json>,
    required: Vec<Json>,
}

impl Common {
    fn of(whole: &Json) -> Common {
        let mut properties = whole.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
        properties.values_mut().for_each(never_null);
        let required = whole.get("required").and_then(Json::as_array).cloned().unwrap_or_default();
        Common { properties, required }
    }

    /// The schema of the events of one kind: what all have, and its own.
    fn with(&self, kind: &Map<String, Json>, has_lines: bool) -> Json {
        let own = kind.get("properties").and_then(Json::as_object).into_iter().flatten();
        let common = self.properties.iter().filter(|(name, _)| has_lines || name.as_str() != "lines");
        let properties: Map<String, Json> =
            common.chain(own).map(|(name, schema)| (name.clone(), schema.clone())).collect();
        let more = kind.get("required").and_then(Json::as_array).into_iter().flatten();
        let required: Vec<Json> = self.required.iter().chain(more).cloned().collect();
        let mut schema = json!({ "type": "object", "properties": properties, "required": required });
        if let Some(description) = kind.get("description") {
            schema["description"] = description.clone();
        }
        schema
    }
}

/// What is left out instead of being null is never null.
fn never_null(schema: &mut Json) {
    let null = json!("null");
    if let Some(Json::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| *kind != null);
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema["type"] = only;
        }
    }
    let is_null = |one: &Json| one.get("type") == Some(&null);
    let Some(Json::Array(choices)) = schema.get("anyOf") else { return };
    let rest: Vec<&Json> = choices.iter().filter(|one| !is_null(one)).collect();
    let [Json::Object(only)] = rest.as_slice() else { return };
    let only = only.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("anyOf");
        fields.extend(only);
    }
}

/// What each kind of event adds to what all have.
fn kinds(whole: &Json, shared: &Map<String, Json>) -> BTreeMap<String, Map<String, Json>> {
    let kinds = variants(whole).into_iter().filter_map(|kind| {
        // A kind that is a type of its own stands beside a reference to it.
        let mut kind = resolve(kind, shared);
        kind.remove("$schema");
        Some((constant(&kind, "type")?, kind))
    });
    kinds.collect()
}

/// The word that a property of this name always has.
fn constant(schema: &Map<String, Json>, property: &str) -> Option<String> {
    Some(schema.get("properties")?.get(property)?.get("const")?.as_str()?.to_owned())
}

/// The alternatives of an enum, wherever the generator of schemas has put them.
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

/// An event with its subject.
fn on_socket(envelope: &Json, subject: Subject, event: &Message) -> Message {
    let mut schema = without_definitions(envelope.clone());
    schema["description"] = json!(event.summary);
    schema["properties"]["channel"]["pattern"] = json!(pattern(subject));
    schema["properties"]["payload"] = json!({ "$ref": format!("#/components/schemas/{}", event.name) });
    let name = format!("{}ChannelMessage", capitals(subject.kind));
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("title");
    }
    Message { name, word: event.word.clone(), summary: event.summary.clone(), schema }
}

/// A message for each alternative of what is told apart by `action`.
fn words(root: &Json) -> Vec<Message> {
    let messages = variants(root).into_iter().filter_map(|schema| {
        let word = constant(&schema, "action")?;
        let schema = Json::Object(schema);
        Some(Message { name: format!("{}Message", capitals(&word)), word, summary: summary(&schema), schema })
    });
    messages.collect()
}

fn of_log(name: &str, word: &str, schema: Json) -> Message {
    let schema = without_definitions(schema);
    Message { name: name.to_owned(), word: word.to_owned(), summary: summary(&schema), schema }
}

/// An event of which NATS holds the head only.
fn head(common: &Common) -> Message {
    let summary = "An event that is larger than a message of NATS may be: its short fields only.";
    let kind = json!({
        "properties": {
            "type": { "type": "string", "description": "What happened." },
            "truncated": { "type": "boolean", "const": true, "description": "There is more: ask the API for it." },
        },
        "required": ["type", "truncated"],
        "description": summary,
    });
    let mut schema = common.with(kind.as_object().unwrap_or(&Map::new()), false);
    schema["additionalProperties"] = json!(true);
    Message { name: "EventHead".to_owned(), word: "truncated".to_owned(), summary: summary.to_owned(), schema }
}

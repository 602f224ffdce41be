//! The AsyncAPI 3.0 document of everything that a server says and takes besides REST, made from the types that are sent.
//!
//! It stands where the server stands: the server `send`s events, and `receive`s what clients say on a WebSocket. Its
//! channels are the two WebSockets, the streams of server-sent events, and, if events are published to NATS, each form of
//! subject. The schemas of the types are below `components`, so that clients can be generated.

mod messages;

use serde_json::{Map, Value as Json, json};

use crate::event::SUBJECTS;
use messages::{Message, Messages, capitals, event_query, log_query};

/// The parameters of addresses, with what they are.
const PARAMETERS: [(&str, &str); 7] = [
    ("run", "The id of the run."),
    ("approval", "The id of the approval."),
    ("stage", "The name of the stage."),
    ("job", "The index of the job within the run."),
    ("step", "The index of the job, `-`, and the index of the step within the job."),
    ("artifact", "The name of the artifact; what a word of a subject cannot hold is `_`."),
    ("agent", "The id of the agent."),
];

const SOCKET: &str = "Say `subscribe` with subjects, in which `*` stands for one word and `>` for the rest. `payload.seq` of the last \
    event is what to say as `since` after a cut.";
const EVENTS: &str = "The `event` of each is the type, the `data` the message, the `id` its `seq`: whoever comes again with \
    `Last-Event-ID` misses nothing.";
const LOG: &str = "The `event` of each is the name of the message, the `data` the message, the `id` a position: whoever comes again \
    with `Last-Event-ID` goes on behind it.";
const NATS: &str = "JetStream, stream `OXIDE_EVENTS`. If the operator chose a prefix, it stands before every subject. Lines of logs are \
    not sent there.";

/// Where the events of a server are to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Host and port of the server, such as `ci.example.org`.
    pub host: String,
    /// Is it reached by `https` and `wss`?
    pub tls: bool,
    /// What stands before `/api/v1` in its addresses, such as `/oxide`; empty for most.
    pub base_path: String,
    /// Are events published to NATS? Where that is, is nothing to tell everybody: the document has a variable for it.
    pub nats: bool,
}

impl Default for Places {
    fn default() -> Self {
        Places { host: "localhost:7780".to_owned(), tls: false, base_path: String::new(), nats: true }
    }
}

/// The document.
pub fn document(places: &Places) -> Json {
    let all = Messages::read();
    let mut parts = Parts::default();
    parts.sockets(&all);
    parts.streams(&all);
    if places.nats {
        parts.subjects(&all);
    }
    let mut schemas = all.shared.clone();
    let mut messages = Map::new();
    for message in all.all() {
        schemas.insert(message.name.clone(), message.schema.clone());
        messages.insert(message.name.clone(), described(message));
    }
    let parameters = parameters(&parts.channels);
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Oxide CI events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that happens on an Oxide CI server: pipelines, runs, stages, jobs, steps, approvals, \
                agents, webhooks, artifacts and plugins. Subscribe over WebSocket by `{\"action\": \"subscribe\", \
                \"channels\": [\"run.*.started\"]}`, read server-sent events, or follow NATS JetStream if the operator has it. \
                `seq` grows from event to event: who was away goes on after the last one that it saw. Actions are those of \
                the server: it sends events, and receives what clients say.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": servers(places),
        "channels": parts.channels,
        "operations": parts.operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "parameters": parameters,
            "securitySchemes": security(places),
        },
    });
    rewrite(&mut document);
    document
}

/// The document of a server on this machine, as text.
pub fn document_text() -> String {
    let mut text =
        serde_json::to_string_pretty(&document(&Places::default())).expect("a document of texts and numbers");
    text.push('\n');
    text
}

/// Channels with what is done on them.
#[derive(Default)]
struct Parts {
    channels: Map<String, Json>,
    operations: Map<String, Json>,
}

impl Parts {
    fn sockets(&mut self, all: &Messages) {
        let of_all = ("socket", "", "/api/v1/ws", "A WebSocket for events. Nothing comes before it is asked for.");
        let of_run = (
            "runSocket",
            "OfRun",
            "/api/v1/ws/runs/{run}",
            "A WebSocket for the events of one run, from its first one on. More can be asked for.",
        );
        for (channel, ending, address, summary) in [of_all, of_run] {
            let about = json!({
                "address": address,
                "title": channel,
                "summary": summary,
                "description": SOCKET,
                "servers": [server("websocket")],
                "bindings": { "ws": { "method": "GET", "query": event_query(), "bindingVersion": "0.1.0" } },
            });
            self.channel(channel, about, all.on_socket.iter().chain(&all.said).chain(&all.answers));
            let summary = "Sends the events that the client has subscribed to and may see.";
            self.operation(&format!("sendEvents{ending}"), "send", channel, summary, &all.on_socket);
            for said in &all.said {
                let name = format!("receive{}{ending}", capitals(&said.word));
                let answers = all.answers.iter().filter(|answer| is_answer(&said.word, &answer.word));
                let reply = json!({ "channel": channel_of(channel), "messages": within(channel, answers) });
                self.operation(&name, "receive", channel, &said.summary, [said]);
                self.operations[name.as_str()]["reply"] = reply;
            }
        }
    }

    fn streams(&mut self, all: &Messages) {
        let events =
            ("events", "/api/v1/events", "A stream of server-sent events.", EVENTS, &all.events, event_query());
        let log = (
            "log",
            "/api/v1/runs/{run}/logs/stream",
            "A stream of the log of a run, from line 1 on, as server-sent events.",
            LOG,
            &all.log,
            log_query(),
        );
        for (channel, address, summary, description, messages, query) in [events, log] {
            let about = json!({
                "address": address,
                "title": channel,
                "summary": summary,
                "description": description,
                "servers": [server("http")],
            });
            self.channel(channel, about, messages);
            let name = format!("stream{}", capitals(channel));
            self.operation(&name, "send", channel, summary, messages);
            self.operations[name.as_str()]["bindings"] =
                json!({ "http": { "method": "GET", "query": query, "bindingVersion": "0.3.0" } });
        }
    }

    fn subjects(&mut self, all: &Messages) {
        for (subject, event) in SUBJECTS.iter().zip(&all.events) {
            let channel = capitals(subject.kind);
            let about = json!({
                "address": subject.pattern,
                "title": subject.kind,
                "summary": event.summary,
                "servers": [server("nats")],
            });
            self.channel(&channel, about, [event, &all.head]);
            self.operation(&format!("publish{channel}"), "send", &channel, &event.summary, [event, &all.head]);
        }
    }

    fn channel<'a>(&mut self, name: &str, mut about: Json, messages: impl IntoIterator<Item = &'a Message>) {
        let address = about["address"].as_str().unwrap_or_default();
        let named: Map<String, Json> = parameters_of(address)
            .map(|word| (word.to_owned(), json!({ "$ref": format!("#/components/parameters/{word}") })))
            .collect();
        if !named.is_empty() {
            about["parameters"] = named.into();
        }
        let link = |message: &Message| {
            (message.name.clone(), json!({ "$ref": format!("#/components/messages/{}", message.name) }))
        };
        about["messages"] = messages.into_iter().map(link).collect::<Map<_, _>>().into();
        self.channels.insert(name.to_owned(), about);
    }

    fn operation<'a>(
        &mut self,
        name: &str,
        action: &str,
        channel: &str,
        summary: &str,
        messages: impl IntoIterator<Item = &'a Message>,
    ) {
        let operation = json!({
            "action": action,
            "summary": summary,
            "channel": channel_of(channel),
            "messages": within(channel, messages),
        });
        self.operations.insert(name.to_owned(), operation);
    }
}

/// Can the server answer this word of a client with that one?
fn is_answer(said: &str, answer: &str) -> bool {
    match said {
        "ping" => matches!(answer, "pong" | "error"),
        _ => matches!(answer, "subscribed" | "error"),
    }
}

fn channel_of(name: &str) -> Json {
    json!({ "$ref": format!("#/channels/{name}") })
}

fn within<'a>(channel: &str, messages: impl IntoIterator<Item = &'a Message>) -> Json {
    let link = |message: &Message| json!({ "$ref": format!("#/channels/{channel}/messages/{}", message.name) });
    messages.into_iter().map(link).collect::<Vec<_>>().into()
}

fn server(name: &str) -> Json {
    json!({ "$ref": format!("#/servers/{name}") })
}

fn described(message: &Message) -> Json {
    json!({
        "name": message.word,
        "title": message.word,
        "summary": message.summary,
        "contentType": "application/json",
        "payload": { "$ref": format!("#/components/schemas/{}", message.name) },
    })
}

/// The words of an address that differ.
fn parameters_of(address: &str) -> impl Iterator<Item = &str> {
    address.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

/// The parameters that some channel has.
fn parameters(channels: &Map<String, Json>) -> Json {
    let is_used = |name: &str| channels.values().any(|channel| channel["parameters"].get(name).is_some());
    let used = PARAMETERS.iter().filter(|parameter| is_used(parameter.0));
    Json::Object(used.map(|(name, about)| ((*name).to_owned(), json!({ "description": about }))).collect())
}

fn servers(places: &Places) -> Json {
    let of = |protocol: &str, description: &str| {
        let mut server = json!({
            "host": places.host,
            "protocol": protocol,
            "description": description,
            "security": [{ "$ref": "#/components/securitySchemes/token" }],
        });
        if !places.base_path.is_empty() {
            server["pathname"] = json!(places.base_path);
        }
        server
    };
    let (ws, http) = if places.tls { ("wss", "https") } else { ("ws", "http") };
    let mut servers = json!({
        "websocket": of(ws, "The server itself. Who may view a project receives its events."),
        "http": of(http, "The same server, for server-sent events."),
    });
    if places.nats {
        servers["nats"] = json!({
            "host": "{host}",
            "protocol": "nats",
            "description": NATS,
            "variables": {
                "host": {
                    "description": "Host and port of NATS; the operator knows them.",
                    "examples": ["nats.example.org:4222"],
                },
            },
            "security": [{ "$ref": "#/components/securitySchemes/natsUser" }],
        });
    }
    servers
}

fn security(places: &Places) -> Json {
    let mut schemes = json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token (`oxide_pat_…`) or the token of a session.",
        },
    });
    if places.nats {
        let description = "What the operator of the NATS server gives out.";
        schemes["natsUser"] = json!({ "type": "userPassword", "description": description });
    }
    schemes
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

#[cfg(test)]
mod check;
#[cfg(test)]
mod tests;

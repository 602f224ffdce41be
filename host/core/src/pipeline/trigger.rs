//! `triggers:` and `concurrency:`: what starts runs, and how many may go on. Read and checked; used by the server.

use super::reader::Reader;
use crate::{
    diagnostic::Diagnostic,
    schedule::{self, ScheduleError},
    yaml::{Content, Node, is_null},
};

/// What starts a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Triggers {
    /// A push to a branch.
    pub push: Option<Changes>,
    /// A pull request.
    pub pull_request: Option<Changes>,
    /// Patterns of tags.
    pub tag: Vec<String>,
    /// Times.
    pub schedule: Vec<Schedule>,
    /// A person, with these inputs; none if `manual` is not written.
    pub manual: Option<Vec<ManualInput>>,
    /// Pipelines whose success starts this one.
    pub upstream: Vec<String>,
}

/// Which changes start a run; an empty list means all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Patterns of branches.
    pub branches: Vec<String>,
    /// Patterns of paths.
    pub paths: Vec<String>,
}

/// A time that starts runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Five fields of cron.
    pub cron: String,
    /// The name of the time zone; none is UTC.
    pub timezone: Option<String>,
}

/// An input of a manual run.
#[derive(Clone, Debug, PartialEq)]
pub struct ManualInput {
    /// The name.
    pub name: String,
    /// What values it takes.
    pub kind: InputKind,
    /// The value if none is given.
    pub default: Option<Node>,
    /// A value must be given.
    pub required: bool,
    /// What it is for.
    pub description: Option<String>,
}

/// What values an input takes.
#[derive(Clone, Debug, PartialEq)]
pub enum InputKind {
    /// Any text.
    Text,
    /// One of these texts.
    Choice(Vec<String>),
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// How many runs of a group may go on at the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct Concurrency {
    /// The group; may hold expressions.
    pub group: Node,
    /// How many.
    pub limit: u64,
    /// A newer run cancels an older one.
    pub cancel_in_progress: bool,
}

const KEYS: [&str; 6] = ["push", "pull_request", "tag", "schedule", "manual", "upstream"];

impl Triggers {
    pub(super) fn read(node: &Node, reader: &mut Reader) -> Triggers {
        let Some(fields) = reader.fields(node, "triggers", &KEYS) else { return Triggers::default() };
        let texts = |key: &str, reader: &mut Reader| {
            fields.get(key).map(|node| reader.texts(node, &format!("`{key}`"))).unwrap_or_default()
        };
        Triggers {
            push: fields.get("push").map(|node| changes(node, "push", reader)),
            pull_request: fields.get("pull_request").map(|node| changes(node, "pull_request", reader)),
            tag: texts("tag", reader),
            schedule: fields.get("schedule").map(|node| schedules(node, reader)).unwrap_or_default(),
            manual: fields.get("manual").map(|node| manual(node, reader)),
            upstream: texts("upstream", reader),
        }
    }
}

impl Concurrency {
    pub(super) fn read(node: &Node, reader: &mut Reader) -> Option<Concurrency> {
        if let Content::Scalar { .. } = node.content {
            let group = reader.template(node, "`concurrency`")?;
            return Some(Concurrency { group, limit: 1, cancel_in_progress: false });
        }
        let fields = reader.fields(node, "concurrency", &["group", "limit", "cancel_in_progress"])?;
        let limit = fields.get("limit").and_then(|node| reader.number(node, "the limit", 1, 1000)).unwrap_or(1);
        let cancel = fields.get("cancel_in_progress").and_then(|node| reader.boolean(node, "`cancel_in_progress`"));
        let Some(group) = fields.get("group") else {
            let error = Diagnostic::at(fields.span, "`concurrency` has no `group`");
            reader.error(error.hint("write `group: \"${{ git.branch }}\"`"));
            return None;
        };
        let group = reader.template(group, "the group")?;
        Some(Concurrency { group, limit, cancel_in_progress: cancel.unwrap_or(false) })
    }
}

/// A key with nothing behind it means "any".
fn is_empty(node: &Node) -> bool {
    matches!(&node.content, Content::Scalar { text, plain: true } if is_null(text))
}

fn changes(node: &Node, what: &str, reader: &mut Reader) -> Changes {
    if is_empty(node) {
        return Changes::default();
    }
    let Some(fields) = reader.fields(node, what, &["branches", "paths"]) else { return Changes::default() };
    let texts = |key: &str, reader: &mut Reader| {
        fields.get(key).map(|node| reader.texts(node, &format!("`{key}`"))).unwrap_or_default()
    };
    Changes { branches: texts("branches", reader), paths: texts("paths", reader) }
}

fn schedules(node: &Node, reader: &mut Reader) -> Vec<Schedule> {
    let items: Vec<&Node> = match &node.content {
        Content::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    items.into_iter().filter_map(|item| schedule(item, reader)).collect()
}

fn schedule(node: &Node, reader: &mut Reader) -> Option<Schedule> {
    let mut timezone_span = node.span;
    let (cron, timezone) = match node.content {
        Content::Map(_) => {
            let fields = reader.fields(node, "a schedule", &["cron", "timezone"])?;
            let Some(cron) = fields.get("cron") else {
                reader.error(
                    Diagnostic::at(fields.span, "the schedule has no `cron`").hint("write `cron: \"0 3 * * *\"`"),
                );
                return None;
            };
            let timezone = fields.get("timezone").map(|node| {
                timezone_span = node.span;
                reader.name(node, "the time zone")
            });
            (
                cron,
                match timezone {
                    Some(None) => return None,
                    Some(name) => name,
                    None => None,
                },
            )
        }
        _ => (node, None),
    };
    let text = reader.text(cron, "a schedule")?;
    match schedule::check(&text, timezone.as_deref().unwrap_or(schedule::UTC)) {
        Ok(()) => {}
        Err(ScheduleError::TimeZone { name, suggestion }) => {
            let error = Diagnostic::at(timezone_span, format!("there is no time zone `{name}`"));
            reader.error(match suggestion {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("write a name of the time zone database, such as `Europe/Berlin`"),
            });
            return None;
        }
        Err(problem) => {
            let error = Diagnostic::at(cron.span, format!("`{text}` is no schedule: {problem}"));
            reader.error(error.hint("five fields: minute, hour, day, month, day of the week, such as `0 3 * * 1-5`"));
            return None;
        }
    }
    Some(Schedule { cron: text, timezone })
}

fn manual(node: &Node, reader: &mut Reader) -> Vec<ManualInput> {
    if is_empty(node) {
        return Vec::new();
    }
    let Some(fields) = reader.fields(node, "manual", &["inputs"]) else { return Vec::new() };
    let Some(inputs) = fields.get("inputs") else { return Vec::new() };
    let entries = reader.entries(inputs, "`inputs`").unwrap_or_default();
    entries.iter().filter_map(|(key, value)| input(key, value, reader)).collect()
}

fn input(key: &Node, node: &Node, reader: &mut Reader) -> Option<ManualInput> {
    const TYPES: [&str; 3] = ["string", "number", "boolean"];
    let name = reader.id(key, "the name of an input")?;
    if is_empty(node) {
        return Some(ManualInput { name, kind: InputKind::Text, default: None, required: false, description: None });
    }
    let keys = ["type", "options", "default", "required", "description"];
    let fields = reader.fields(node, "an input", &keys)?;
    let written = fields.get("type").and_then(|node| reader.text(node, "the type of an input"));
    let mut kind = match written.as_deref() {
        None | Some("string") => InputKind::Text,
        Some("number") => InputKind::Number,
        Some("boolean") => InputKind::Boolean,
        Some(other) => {
            let span = fields.get("type").map_or(node.span, |node| node.span);
            let error = Diagnostic::at(span, format!("there is no type `{other}`")).did_you_mean(other, TYPES);
            reader.error(if error.hint.is_some() { error } else { error.hint("types are string, number and boolean") });
            InputKind::Text
        }
    };
    if let Some((options_key, options)) = fields.entry("options") {
        let options = reader.texts(options, "an option");
        if kind != InputKind::Text {
            reader.error(Diagnostic::at(options_key.span, "only an input of type string has options"));
        } else if options.is_empty() {
            reader.error(Diagnostic::at(options_key.span, "the input has no options"));
        } else {
            kind = InputKind::Choice(options);
        }
    }
    let default = fields.get("default").filter(|node| !is_empty(node)).cloned();
    if let Some(default) = &default
        && let Err(problem) = kind.read(&reader.text(default, "a default")?)
    {
        reader.error(Diagnostic::at(default.span, format!("the default of the input `{name}` {problem}")));
    }
    let required = fields.get("required").and_then(|node| reader.boolean(node, "`required`")).unwrap_or(false);
    let description = fields.get("description").and_then(|node| reader.text(node, "the description"));
    Some(ManualInput { name, kind, default, required, description })
}

impl InputKind {
    /// The value that a text means for this input; else what is wrong, as the rest of a sentence.
    pub fn read(&self, text: &str) -> Result<serde_json::Value, String> {
        match self {
            InputKind::Text => Ok(text.into()),
            InputKind::Choice(options) if options.iter().any(|option| option == text) => Ok(text.into()),
            InputKind::Choice(options) => Err(format!("must be one of {}, and is `{text}`", options.join(", "))),
            InputKind::Boolean => crate::yaml::parse_bool(text)
                .map(serde_json::Value::from)
                .ok_or_else(|| format!("must be true or false, and is `{text}`")),
            InputKind::Number => {
                let whole = crate::yaml::parse_integer(text).and_then(|number| i64::try_from(number).ok());
                let float = || crate::yaml::parse_float(text)?.parse::<f64>().ok().filter(|value| value.is_finite());
                whole
                    .map(serde_json::Value::from)
                    .or_else(|| float().map(serde_json::Value::from))
                    .ok_or_else(|| format!("must be a number, and is `{text}`"))
            }
        }
    }
}

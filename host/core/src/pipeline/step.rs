//! `steps:` of a stage: `uses:`, `run:`, `parallel:`.

use std::collections::HashMap;

use super::{GrantList, LimitChanges, artifacts, condition, grants, quantity, reader::Reader, retry};
use crate::{
    diagnostic::Diagnostic,
    plan::{Condition, RetryPolicy},
    yaml::{Content, Node, Span},
};

/// One entry of `steps`.
#[derive(Clone, Debug, PartialEq)]
pub enum StepItem {
    /// One step.
    One(Box<Step>),
    /// Steps that run side by side.
    Parallel(Vec<Step>),
}

/// A step as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// `id:`.
    pub id: Option<String>,
    /// `name:`; may hold expressions.
    pub name: Option<Node>,
    /// `if:`.
    pub condition: Option<Condition>,
    /// Environment variables of its commands; values may hold expressions.
    pub env: Vec<(String, Node)>,
    /// How long it may take in milliseconds.
    pub timeout_ms: Option<u64>,
    /// When it is tried again.
    pub retry: Option<RetryPolicy>,
    /// Limits that differ from those of the stage.
    pub limits: LimitChanges,
    /// What its plugin is granted; none if it does not say.
    pub grants: Option<GrantList>,
    /// The secrets that it may spend; a script has them as environment variables.
    pub secrets: Vec<String>,
    /// Its failure is a warning.
    pub allow_failure: bool,
    /// Where it was written.
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `run:`: a script.
    Run {
        /// The script; may hold expressions.
        script: Node,
        /// `shell:`.
        shell: Option<String>,
        /// `working_directory:`; may hold expressions.
        working_directory: Option<Node>,
    },
    /// `uses:`: a plugin.
    Uses {
        /// As it stands behind `uses:`.
        reference: String,
        /// Where that was written.
        reference_span: Span,
        /// `with:`; an empty mapping if there is none.
        with: Node,
    },
}

/// The ids of the steps of a stage, with the places where they were written.
#[derive(Default)]
pub(super) struct Ids(HashMap<String, Span>);

impl Ids {
    /// Takes an id.
    ///
    /// # Errors
    /// Where it was taken before.
    pub fn take(&mut self, id: &str, span: Span) -> Result<(), Span> {
        match self.0.insert(id.to_owned(), span) {
            Some(first) => Err(first),
            None => Ok(()),
        }
    }
}

const KEYS: [&str; 17] = [
    "uses",
    "with",
    "run",
    "shell",
    "env",
    "id",
    "name",
    "if",
    "timeout",
    "retry",
    "limits",
    "grants",
    "secrets",
    "allow_failure",
    "working_directory",
    "parallel",
    "artifacts",
];

/// How many steps a stage may have.
const MAX_STEPS: usize = 10_000;

pub(super) fn read_all(node: &Node, stage: &str, ids: &mut Ids, reader: &mut Reader) -> Vec<StepItem> {
    let Some(items) = reader.list(node, "`steps`") else { return Vec::new() };
    if items.is_empty() {
        reader.error(Diagnostic::at(node.span, format!("stage `{stage}` has no steps")));
    }
    if items.len() > MAX_STEPS {
        let message = format!("stage `{stage}` has {} steps; it may have {MAX_STEPS}", items.len());
        reader.error(Diagnostic::at(node.span, message));
        return Vec::new();
    }
    items.iter().flat_map(|item| read_item(item, ids, reader)).collect()
}

/// The steps of one entry: itself, and behind it those that upload its artifacts.
fn read_item(node: &Node, ids: &mut Ids, reader: &mut Reader) -> Vec<StepItem> {
    let one = |step: Step| StepItem::One(Box::new(step));
    let Some(parallel) = node.get("parallel") else {
        let step = read(node, ids, reader).map(one);
        return step.into_iter().chain(uploads(node, reader).into_iter().map(one)).collect();
    };
    let Content::Map(entries) = &node.content else { return Vec::new() };
    for (key, _) in entries.iter().filter(|(key, _)| key.as_text() != Some("parallel")) {
        let name = key.as_text().unwrap_or("");
        let error = Diagnostic::at(key.span, format!("`{name}` cannot stand beside `parallel`"));
        reader.error(error.hint("write it at the steps below `parallel`"));
    }
    let Some(items) = reader.list(parallel, "`parallel`") else { return Vec::new() };
    if items.is_empty() {
        reader.error(Diagnostic::at(parallel.span, "`parallel` has no steps"));
    }
    let (mut steps, mut behind) = (Vec::new(), Vec::new());
    for item in items {
        if item.get("parallel").is_some() {
            reader.error(Diagnostic::at(item.span, "`parallel` cannot stand within `parallel`"));
            continue;
        }
        steps.extend(read(item, ids, reader));
        behind.extend(uploads(item, reader).into_iter().map(one));
    }
    std::iter::once(StepItem::Parallel(steps)).chain(behind).collect()
}

fn uploads(node: &Node, reader: &mut Reader) -> Vec<Step> {
    node.get("artifacts").map(|node| artifacts::read(node, reader)).unwrap_or_default()
}

/// A step that a shorthand stands for.
pub(super) fn uses(reference: &str, with: Node, span: Span) -> Step {
    Step {
        action: Action::Uses { reference: reference.to_owned(), reference_span: span, with },
        id: None,
        name: None,
        condition: None,
        env: Vec::new(),
        timeout_ms: None,
        retry: None,
        limits: LimitChanges::default(),
        grants: None,
        secrets: Vec::new(),
        allow_failure: false,
        span,
    }
}

fn read(node: &Node, ids: &mut Ids, reader: &mut Reader) -> Option<Step> {
    let fields = reader.fields(node, "a step", &KEYS)?;
    let id = fields.get("id").and_then(|node| {
        let id = reader.id(node, "the id of a step")?;
        if let Err(first) = ids.take(&id, node.span) {
            let error = Diagnostic::at(node.span, format!("two steps of this stage have the id `{id}`"));
            reader.error(error.label(format!("the first one is on line {}", first.line)));
        }
        Some(id)
    });
    let action = match (fields.entry("run"), fields.entry("uses")) {
        (Some((key, _)), Some(_)) => {
            let error = Diagnostic::at(key.span, "a step has `run` or `uses`, not both");
            reader.error(error.hint("make two steps of it"));
            None
        }
        (None, None) => {
            let error = Diagnostic::at(node.span, "the step has neither `run` nor `uses`");
            reader.error(error.hint("write `run: COMMAND` or `uses: PLUGIN`"));
            None
        }
        (Some((_, script)), None) => {
            for key in ["with", "grants"] {
                if let Some((key_node, _)) = fields.entry(key) {
                    reader.error(Diagnostic::at(
                        key_node.span,
                        format!("`{key}` belongs to `uses`, and this step has `run`"),
                    ));
                }
            }
            let script = reader.text(script, "`run`").map(|_| script.clone());
            let shell = fields.get("shell").and_then(|node| reader.name(node, "the shell"));
            let directory = fields.get("working_directory");
            for (key, what) in [("run", "`run`"), ("shell", "the shell"), ("working_directory", "`working_directory`")]
            {
                if let Some(node) = fields.get(key) {
                    reader.takes_process(node, what);
                }
            }
            let working_directory = directory.and_then(|node| reader.template(node, "`working_directory`"));
            script.and_then(|script| {
                if script.as_text().is_none_or(|text| text.trim().is_empty()) {
                    reader.error(Diagnostic::at(script.span, "`run` is empty"));
                    return None;
                }
                Some(Action::Run { script, shell, working_directory })
            })
        }
        (None, Some((_, uses))) => {
            for key in ["shell", "working_directory"] {
                if let Some((key_node, _)) = fields.entry(key) {
                    reader.error(Diagnostic::at(
                        key_node.span,
                        format!("`{key}` belongs to `run`, and this step has `uses`"),
                    ));
                }
            }
            let with = fields.get("with").cloned();
            let with = with.unwrap_or(Node { span: uses.span, content: Content::Map(Vec::new()) });
            let known_kind =
                matches!(with.content, Content::Map(_)) || crate::yaml::is_null(with.as_text().unwrap_or("x"));
            if !known_kind {
                reader.expected(&with, "`with`", "a mapping");
            }
            let reference = reader.name(uses, "`uses`");
            reference.map(|reference| Action::Uses { reference, reference_span: uses.span, with })
        }
    };
    let step = Step {
        id,
        name: fields.get("name").and_then(|node| reader.template(node, "the name of a step")),
        condition: fields.get("if").and_then(|node| condition::read(node, reader)),
        env: fields.get("env").map(|node| reader.env(node)).unwrap_or_default(),
        timeout_ms: fields.get("timeout").and_then(|node| quantity::duration(node, reader)),
        retry: fields.get("retry").and_then(|node| retry::read(node, reader)),
        limits: fields.get("limits").map(|node| LimitChanges::read(node, reader)).unwrap_or_default(),
        secrets: fields.get("secrets").map(|node| grants::secret_names(node, reader)).unwrap_or_default(),
        grants: fields.get("grants").and_then(|node| GrantList::read(node, reader)),
        allow_failure: fields.get("allow_failure").and_then(|n| reader.boolean(n, "`allow_failure`")).unwrap_or(false),
        span: node.span,
        action: action?,
    };
    Some(step)
}

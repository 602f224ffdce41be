//! `stages:`: the nodes of the run's graph.

use super::{
    LimitChanges, Matrix, Service, StageEnvironment, StepItem, approval,
    cache::{self, Cache},
    condition, quantity,
    reader::Reader,
    retry, service,
    step::{self, Ids},
};
use crate::{
    diagnostic::Diagnostic,
    plan::{Condition, PlannedApproval, RetryPolicy},
    yaml::{Content, Node, Span},
};

/// A stage as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its key below `stages`.
    pub name: String,
    /// Where that key was written.
    pub span: Span,
    /// What it waits for.
    pub depends_on: Vec<StageDependency>,
    /// The values of which each combination becomes a job.
    pub matrix: Option<Matrix>,
    /// Labels that an agent must have; may hold expressions.
    pub runs_on: Vec<Node>,
    /// Where its commands run; none if it does not say.
    pub environment: Option<StageEnvironment>,
    /// Containers that run beside each of its jobs.
    pub services: Vec<Service>,
    /// Its steps; at least one.
    pub steps: Vec<StepItem>,
    /// `if:`.
    pub condition: Option<Condition>,
    /// How long it may take in milliseconds.
    pub timeout_ms: Option<u64>,
    /// When a job of it gets a new attempt.
    pub retry: Option<RetryPolicy>,
    /// Its failure is a warning.
    pub allow_failure: bool,
    /// Whom it asks before it begins.
    pub approval: Option<PlannedApproval>,
    /// Environment variables of its commands; values may hold expressions.
    pub env: Vec<(String, Node)>,
    /// Limits of its steps.
    pub limits: LimitChanges,
}

/// One entry of `depends_on`.
#[derive(Clone, Debug, PartialEq)]
pub struct StageDependency {
    /// The name of the stage.
    pub stage: String,
    /// It need not exist.
    pub optional: bool,
    /// Its failure does not matter.
    pub allow_failure: bool,
    /// Where it was written.
    pub span: Span,
}

const KEYS: [&str; 14] = [
    "depends_on",
    "matrix",
    "runs_on",
    "environment",
    "services",
    "steps",
    "if",
    "timeout",
    "retry",
    "allow_failure",
    "env",
    "limits",
    "cache",
    "approval",
];

/// Reads the stages. The cache is that of the pipeline, for stages without one of their own.
pub(super) fn read_all(node: &Node, cache: &[Cache], reader: &mut Reader) -> Vec<Stage> {
    let Some(entries) = reader.entries(node, "`stages`") else { return Vec::new() };
    if entries.is_empty() {
        reader.error(Diagnostic::at(node.span, "the pipeline has no stages"));
    }
    entries.iter().filter_map(|(key, value)| read(key, value, cache, reader)).collect()
}

fn read(key: &Node, node: &Node, cache: &[Cache], reader: &mut Reader) -> Option<Stage> {
    let name = reader.id(key, "the name of a stage")?;
    let fields = reader.fields(node, "a stage", &KEYS)?;
    let mut ids = Ids::default();
    let steps = match fields.get("steps") {
        Some(node) => step::read_all(node, &name, &mut ids, reader),
        None if !fields.lacks("steps") => Vec::new(),
        None => {
            let error = Diagnostic::at(key.span, format!("stage `{name}` has no `steps`"));
            reader.error(error.hint("add `steps: [{ run: make }]`"));
            Vec::new()
        }
    };
    let own = fields.get("cache").map(|node| cache::read(node, reader));
    let steps = cache::surround(steps, own.as_deref().unwrap_or(cache), &mut ids, reader);
    let runs_on = match fields.get("runs_on") {
        None => Vec::new(),
        Some(node) => match &node.content {
            Content::List(items) => items.iter().filter_map(|item| reader.template(item, "a label")).collect(),
            _ => reader.template(node, "`runs_on`").into_iter().collect(),
        },
    };
    Some(Stage {
        span: key.span,
        depends_on: fields.get("depends_on").map(|node| dependencies(node, &name, reader)).unwrap_or_default(),
        matrix: fields.get("matrix").and_then(|node| Matrix::read(node, reader)),
        runs_on,
        environment: fields.get("environment").and_then(|node| StageEnvironment::read(node, reader)),
        services: fields.get("services").map(|node| service::read_all(node, reader)).unwrap_or_default(),
        steps,
        condition: fields.get("if").and_then(|node| condition::read(node, reader)),
        timeout_ms: fields.get("timeout").and_then(|node| quantity::duration(node, reader)),
        retry: fields.get("retry").and_then(|node| retry::read(node, reader)),
        allow_failure: fields.get("allow_failure").and_then(|n| reader.boolean(n, "`allow_failure`")).unwrap_or(false),
        approval: fields.get("approval").and_then(|node| approval::read(node, reader)),
        env: fields.get("env").map(|node| reader.env(node)).unwrap_or_default(),
        limits: fields.get("limits").map(|node| LimitChanges::read(node, reader)).unwrap_or_default(),
        name,
    })
}

fn dependencies(node: &Node, stage: &str, reader: &mut Reader) -> Vec<StageDependency> {
    let items: Vec<&Node> = match &node.content {
        Content::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    let mut dependencies: Vec<StageDependency> = Vec::new();
    for item in items {
        let Some(dependency) = dependency(item, reader) else { continue };
        if dependency.stage == stage {
            reader.error(Diagnostic::at(dependency.span, format!("stage `{stage}` depends on itself")));
        } else if dependencies.iter().any(|known| known.stage == dependency.stage) {
            let message = format!("`depends_on` names `{}` twice", dependency.stage);
            reader.error(Diagnostic::at(dependency.span, message));
        } else {
            dependencies.push(dependency);
        }
    }
    dependencies
}

fn dependency(node: &Node, reader: &mut Reader) -> Option<StageDependency> {
    let Content::Map(_) = node.content else {
        let stage = reader.text(node, "an entry of `depends_on`")?;
        return Some(StageDependency { stage, optional: false, allow_failure: false, span: node.span });
    };
    let fields = reader.fields(node, "an entry of `depends_on`", &["stage", "optional", "allow_failure"])?;
    let Some(stage) = fields.get("stage") else {
        reader.error(Diagnostic::at(fields.span, "the dependency has no `stage`").hint("write `{ stage: NAME }`"));
        return None;
    };
    let mut flag =
        |key: &str| fields.get(key).and_then(|node| reader.boolean(node, &format!("`{key}`"))).unwrap_or(false);
    let (optional, allow_failure) = (flag("optional"), flag("allow_failure"));
    let name = reader.text(stage, "the name of a stage")?;
    Some(StageDependency { stage: name, optional, allow_failure, span: stage.span })
}

//! `cache:` of a pipeline or a stage: short for a step that restores and one that saves, both `oxide/cache@1`.
//!
//! The restoring step stands before the stage's own steps, but behind the checkouts that the stage begins with: a key made
//! with `hash_files` needs the files. The saving step stands at the end. It runs if all went well and there was no entry of
//! exactly this key, and takes the key from the restoring step, for the steps between may have changed what it is made of.

use super::{
    Action, GrantList, Step, StepItem,
    reader::Reader,
    step::{self, Ids},
};
use crate::{
    diagnostic::Diagnostic,
    grant::Grants,
    plan::Condition,
    plugin::Capability,
    yaml::{Content, Node, Span},
};

/// The plugin that `cache:` stands for.
const CACHE_PLUGIN: &str = "oxide/cache@1";
/// The plugin behind whose steps the cache is restored.
const CHECKOUT_PLUGIN: &str = "oxide/checkout@";

/// `cache:` as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cache {
    /// The id of the restoring step.
    id: String,
    key: Node,
    restore_keys: Option<Node>,
    paths: Node,
    span: Span,
}

const KEYS: [&str; 4] = ["id", "key", "restore_keys", "paths"];

/// Reads one cache or a list of them. An empty list is none, and so switches off that of the pipeline for a stage.
pub(super) fn read(node: &Node, reader: &mut Reader) -> Vec<Cache> {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut caches: Vec<Cache> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        caches.extend(read_one(item, index, reader));
    }
    caches
}

fn read_one(node: &Node, index: usize, reader: &mut Reader) -> Option<Cache> {
    let fields = reader.fields(node, "`cache`", &KEYS)?;
    for (key, hint) in
        [("key", "add `key: \"cargo-${{ hash_files('Cargo.lock') }}\"`"), ("paths", "add `paths: [target]`")]
    {
        if fields.lacks(key) {
            reader.error(Diagnostic::at(node.span, format!("the cache has no `{key}`")).hint(hint));
        }
    }
    let id = match fields.get("id") {
        Some(id) => reader.id(id, "the id of a cache")?,
        None if index == 0 => "cache".to_owned(),
        None => format!("cache_{}", index + 1),
    };
    let restore_keys = fields.get("restore_keys").map(|node| list(node, "`restore_keys`", reader));
    let paths = fields.get("paths").map(|node| list(node, "`paths`", reader));
    Some(Cache {
        id,
        key: fields.get("key").and_then(|node| key(node, reader))?,
        restore_keys: restore_keys.flatten(),
        paths: paths.flatten()?,
        span: node.span,
    })
}

/// The key. One with expressions is looked at when it is known.
fn key(node: &Node, reader: &mut Reader) -> Option<Node> {
    let key = reader.template(node, "the key of a cache")?;
    if key.as_text().is_some_and(|text| text.trim().is_empty()) {
        let error = Diagnostic::at(node.span, "the key of a cache is empty");
        reader.error(error.hint("name what the cache depends on, such as `cargo-${{ hash_files('Cargo.lock') }}`"));
        return None;
    }
    Some(key)
}

/// One text or several, as a list.
pub(super) fn list(node: &Node, what: &str, reader: &mut Reader) -> Option<Node> {
    let texts = match &node.content {
        Content::List(items) => items.iter().map(|item| reader.template(item, what)).collect::<Option<Vec<_>>>()?,
        _ => vec![reader.template(node, what)?],
    };
    if texts.is_empty() {
        reader.error(Diagnostic::at(node.span, format!("{what} is empty")));
        return None;
    }
    Some(Node { span: node.span, content: Content::List(texts) })
}

/// Puts the steps of the caches around those of a stage.
pub(super) fn surround(steps: Vec<StepItem>, caches: &[Cache], ids: &mut Ids, reader: &mut Reader) -> Vec<StepItem> {
    if steps.is_empty() {
        return steps;
    }
    for cache in caches {
        if let Err(first) = ids.take(&cache.id, cache.span) {
            let message = format!("a cache of this stage has the id `{}`, and so has a step", cache.id);
            let error = Diagnostic::at(first, message);
            reader.error(error.hint("give the step another id, or write an `id` below `cache`"));
        }
    }
    let checks_out = |item: &StepItem| match item {
        StepItem::One(step) => {
            matches!(&step.action, Action::Uses { reference, .. } if reference.starts_with(CHECKOUT_PLUGIN))
        }
        StepItem::Parallel(_) => false,
    };
    let first = steps.iter().position(checks_out);
    let behind = first.map_or(0, |first| first + steps[first..].iter().take_while(|item| checks_out(item)).count());
    let mut steps = steps;
    let own = steps.split_off(behind);
    let restoring = caches.iter().map(|cache| one(cache.restore()));
    let saving = caches.iter().rev().map(|cache| one(cache.save()));
    steps.into_iter().chain(restoring).chain(own).chain(saving).collect()
}

fn one(step: Step) -> StepItem {
    StepItem::One(Box::new(step))
}

impl Cache {
    fn restore(&self) -> Step {
        let mut with = vec![("action", Node::text("restore")), ("key", self.key.clone())];
        with.extend(self.restore_keys.iter().map(|keys| ("restore_keys", keys.clone())));
        Step { id: Some(self.id.clone()), ..self.step("restore", with, None) }
    }

    fn save(&self) -> Step {
        let id = &self.id;
        let with = vec![
            ("action", Node::text("save")),
            ("key", Node::text(format!("${{{{ steps.{id}.outputs.key }}}}"))),
            ("paths", self.paths.clone()),
        ];
        let missed = format!("success() && has(steps.{id}.outputs.hit) && !steps.{id}.outputs.hit");
        self.step("save", with, Some(missed))
    }

    /// A cache that cannot be reached makes a run slow, not wrong: its steps may fail.
    fn step(&self, what: &str, with: Vec<(&str, Node)>, condition: Option<String>) -> Step {
        let with = with.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut grants = Grants { capabilities: [Capability::Cache].into(), ..Grants::default() };
        if what == "restore" {
            grants.make_read_only(Capability::Cache);
        }
        let name = if self.id == "cache" { format!("{what} cache") } else { format!("{what} cache ({})", self.id) };
        let written = step::uses(CACHE_PLUGIN, Node { span: self.span, ..Node::map(with) }, self.span);
        Step {
            name: Some(Node::text(name)),
            condition: condition.map(|expression| Condition { expression, span: self.span }),
            grants: Some(GrantList { grants, places: Vec::new(), span: self.span }),
            allow_failure: true,
            ..written
        }
    }
}

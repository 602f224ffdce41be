//! `artifacts:` of a step: short for steps behind it that upload, `oxide/upload-artifact@1`.

use super::{GrantList, Step, cache, condition, reader::Reader, step};
use crate::{
    diagnostic::Diagnostic,
    grant::Grants,
    plugin::Capability,
    yaml::{Content, Node, parse_integer},
};

/// The plugin that `artifacts:` stands for.
const UPLOAD_PLUGIN: &str = "oxide/upload-artifact@1";

/// How long an artifact is kept at most.
const MAX_RETENTION_DAYS: u64 = 400;

const KEYS: [&str; 5] = ["name", "paths", "retention_days", "if_missing", "if"];

/// Reads one artifact or a list of them as the steps that upload them.
pub(super) fn read(node: &Node, reader: &mut Reader) -> Vec<Step> {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    items.iter().filter_map(|item| read_one(item, reader)).collect()
}

fn read_one(node: &Node, reader: &mut Reader) -> Option<Step> {
    if let Content::Scalar { .. } = node.content {
        let error = Diagnostic::at(node.span, "an artifact is a mapping with `name` and `paths`");
        reader.error(error.hint("write `artifacts: { name: app, paths: [dist] }`"));
        return None;
    }
    let fields = reader.fields(node, "`artifacts`", &KEYS)?;
    for (key, hint) in [("name", "add `name: app`"), ("paths", "add `paths: [dist]`")] {
        if fields.lacks(key) {
            reader.error(Diagnostic::at(node.span, format!("the artifact has no `{key}`")).hint(hint));
        }
    }
    let name = fields.get("name").and_then(|node| reader.template(node, "the name of an artifact"));
    let paths = fields.get("paths").and_then(|node| cache::list(node, "`paths`", reader));
    let condition = fields.get("if").and_then(|node| condition::read(node, reader));
    let (name, paths) = (name?, paths?);
    check_name(&name, reader);
    if let Some(days) = fields.get("retention_days")
        && let Content::Scalar { text, plain: true } = &days.content
        && parse_integer(text).is_some()
    {
        reader.number(days, "`retention_days`", 1, MAX_RETENTION_DAYS);
    }
    let mut with = vec![("name".to_owned(), name.clone()), ("paths".to_owned(), paths)];
    for key in ["retention_days", "if_missing"] {
        with.extend(fields.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let grants = Grants { capabilities: [Capability::Artifacts].into(), ..Grants::default() };
    // The steps before are not known where names are evaluated, so a name made of their outputs is not shown.
    let text = name.as_text().unwrap_or_default();
    let shown = if text.contains("${{") { "upload an artifact".to_owned() } else { format!("upload {text}") };
    Some(Step {
        name: Some(Node { span: name.span, ..Node::text(shown) }),
        condition,
        grants: Some(GrantList { grants, places: Vec::new(), span: node.span }),
        ..step::uses(UPLOAD_PLUGIN, Node { span: node.span, ..Node::map(with) }, node.span)
    })
}

/// Refuses what cannot be a name, as the store of the artifacts would. What an expression makes is known only there.
fn check_name(node: &Node, reader: &mut Reader) {
    let text = node.as_text().unwrap_or_default();
    let mut characters = text.chars();
    let good = characters.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && text.len() <= 100;
    if !good && !text.contains("${{") {
        let error = Diagnostic::at(node.span, format!("`{text}` cannot be the name of an artifact"));
        let rule = "it begins with a letter, a digit or `_`; letters, digits, `.`, `_` and `-` follow, 100 at most";
        reader.error(error.hint(rule));
    }
}

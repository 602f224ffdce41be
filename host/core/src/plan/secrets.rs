//! Which secrets a step spends: those that its expressions name, and those below `secrets:`.

use std::collections::BTreeSet;

use crate::{
    expression::{self, Part},
    yaml::{Content, Node},
};

/// The secrets that the expressions in a node name.
pub(super) fn named_in(node: &Node) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(node, &mut names);
    names
}

fn collect(node: &Node, names: &mut BTreeSet<String>) {
    match &node.content {
        Content::Scalar { text, .. } if text.contains("secrets") => {
            for part in expression::parts(text, node.span).unwrap_or_default() {
                if let Part::Expression { text, .. } = part {
                    names.extend(whole_secret(text).map(str::to_owned));
                }
            }
        }
        Content::List(items) => items.iter().for_each(|item| collect(item, names)),
        Content::Map(entries) => entries.iter().for_each(|(_, value)| collect(value, names)),
        Content::Scalar { .. } | Content::Evaluated(_) => {}
    }
}

/// The name of the secret, if the expression is one and nothing else.
pub(super) fn whole_secret(expression: &str) -> Option<&str> {
    let name = expression.trim().strip_prefix("secrets.")?;
    crate::secret::is_secret_name(name).then_some(name)
}

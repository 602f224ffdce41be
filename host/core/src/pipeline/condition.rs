//! `if:` of stages and steps.

use super::reader::Reader;
use crate::{expression, plan::Condition, yaml::Node};

/// Reads a condition; its expression is checked at planning.
pub(super) fn read(node: &Node, reader: &mut Reader) -> Option<Condition> {
    let text = reader.text(node, "a condition")?;
    match expression::condition_text(&text, node.span) {
        Ok((expression, span)) => Some(Condition { expression, span }),
        Err(error) => {
            reader.error(error);
            None
        }
    }
}

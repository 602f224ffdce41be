//! `approval:` of a stage: who must agree before it begins.

use super::{quantity, reader::Reader};
use crate::{
    access::Role,
    approval::{Approver, DEFAULT_APPROVAL_TIMEOUT_MS},
    diagnostic::{Diagnostic, nearest},
    plan::PlannedApproval,
    yaml::{Content, Node},
};

/// How many people can be asked to agree.
const MINIMUM_MAX: u64 = 100;

/// Reads `approval`.
pub(super) fn read(node: &Node, reader: &mut Reader) -> Option<PlannedApproval> {
    let fields = reader.fields(node, "an approval", &["approvers", "minimum", "timeout"])?;
    let approvers = match fields.get("approvers") {
        Some(node) => approvers(node, reader)?,
        None if fields.lacks("approvers") => vec![Approver::Role(Role::Maintainer)],
        None => return None,
    };
    let minimum = fields.get("minimum").map_or(Some(1), |node| reader.number(node, "`minimum`", 1, MINIMUM_MAX))?;
    let timeout_ms = fields.get("timeout").map_or(Some(DEFAULT_APPROVAL_TIMEOUT_MS), |n| quantity::duration(n, reader));
    let named = approvers.iter().filter(|approver| matches!(approver, Approver::User(_))).count();
    if named == approvers.len() && (named as u64) < minimum {
        let place = fields.get("minimum").map_or(node.span, |node| node.span);
        let error = Diagnostic::at(place, format!("{minimum} people must agree, and {named} can"));
        reader.error(error.hint(format!("write `minimum: {named}`, or name more approvers")));
        return None;
    }
    Some(PlannedApproval { approvers, minimum: u32::try_from(minimum).unwrap_or(1), timeout_ms: timeout_ms? })
}

fn approvers(node: &Node, reader: &mut Reader) -> Option<Vec<Approver>> {
    let items: Vec<&Node> = match &node.content {
        Content::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    let mut approvers = Vec::new();
    for item in &items {
        let text = reader.text(item, "an approver")?;
        match text.parse::<Approver>() {
            Ok(approver) if approvers.contains(&approver) => {
                reader.error(Diagnostic::at(item.span, format!("`approvers` names `{text}` twice")));
            }
            Ok(approver) => approvers.push(approver),
            Err(_) => {
                let word = text.trim_start_matches("role:").trim();
                let roles = Role::ALL.map(Role::as_str);
                let near = roles.into_iter().find(|role| *role == word).or_else(|| nearest(word, roles));
                let error = Diagnostic::at(item.span, format!("`{text}` names no approver"));
                reader.error(match near {
                    Some(role) => error.hint(format!("did you mean `role:{role}`?")),
                    None => error.hint("write `role:maintainer`, or another role, or `user:NAME`"),
                });
                return None;
            }
        }
    }
    if items.is_empty() {
        reader
            .error(Diagnostic::at(node.span, "`approvers` names nobody").hint("write `approvers: [role:maintainer]`"));
        return None;
    }
    Some(approvers)
}

//! `retry:` of stages and steps.

use super::reader::{Reader, found};
use crate::{
    diagnostic::Diagnostic,
    plan::{RetryOn, RetryPolicy},
    yaml::{Content, Node},
};

const CAUSES: [&str; 4] = ["agent_lost", "timeout", "failure", "exit_code"];
const EXAMPLE: &str = "write `retry: { max_attempts: 2, on: [failure] }`; causes are agent_lost, timeout, failure and { exit_code: [75] }";

pub(super) fn read(node: &Node, reader: &mut Reader) -> Option<RetryPolicy> {
    if let Content::Scalar { text, .. } = &node.content
        && let Ok(attempts @ 1..=100) = text.parse::<u32>()
    {
        let error = Diagnostic::at(node.span, format!("`retry` must be a mapping, and this is {}", found(node)));
        reader.error(error.hint(format!("write `retry: {{ max_attempts: {attempts}, on: [failure] }}`")));
        return None;
    }
    let fields = reader.fields(node, "`retry`", &["max_attempts", "on"])?;
    let attempts = match fields.get("max_attempts") {
        Some(node) => reader.number(node, "`max_attempts`", 1, 100)?,
        None => {
            reader.error(Diagnostic::at(fields.span, "`retry` does not say `max_attempts`").hint(EXAMPLE));
            return None;
        }
    };
    // A failed test is never tried again silently, so the causes are always written.
    let Some(on) = fields.get("on") else {
        reader.error(Diagnostic::at(fields.span, "`retry` does not say for which causes").hint(EXAMPLE));
        return None;
    };
    let causes = match &on.content {
        Content::List(items) => items.iter().filter_map(|item| cause(item, reader)).collect(),
        _ => cause(on, reader).into_iter().collect(),
    };
    Some(RetryPolicy { max_attempts: u32::try_from(attempts).ok()?, on: causes })
}

fn cause(node: &Node, reader: &mut Reader) -> Option<RetryOn> {
    if let Content::Map(_) = node.content {
        let fields = reader.fields(node, "a cause", &["exit_code"])?;
        let codes = fields.get("exit_code")?;
        let codes = match &codes.content {
            Content::List(items) => items.iter().collect(),
            _ => vec![codes],
        };
        let codes = codes.into_iter().filter_map(|code| reader.number(code, "an exit code", 0, 255));
        return Some(RetryOn::ExitCode(codes.filter_map(|code| i32::try_from(code).ok()).collect()));
    }
    match reader.text(node, "a cause")?.as_str() {
        "agent_lost" => Some(RetryOn::AgentLost),
        "timeout" => Some(RetryOn::Timeout),
        "failure" => Some(RetryOn::Failure),
        other => {
            let error = Diagnostic::at(node.span, format!("there is no cause `{other}`")).did_you_mean(other, CAUSES);
            reader.error(if error.hint.is_some() { error } else { error.hint(EXAMPLE) });
            None
        }
    }
}

//! `notifications:`: who is told about runs. Has no meaning for a run on one's own machine.

use super::reader::Reader;
use crate::{diagnostic::Diagnostic, yaml::Node};

/// One entry of `notifications`.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The plugin.
    pub uses: String,
    /// Its inputs.
    pub with: Option<Node>,
    /// The events.
    pub on: Vec<String>,
    /// The names of the secrets that it gets.
    pub secrets: Vec<String>,
}

/// Events that can be told.
const EVENTS: [&str; 7] =
    ["run.queued", "run.started", "run.completed", "run.failed", "run.recovered", "run.cancelled", "stage.completed"];

pub(super) fn read_all(node: &Node, reader: &mut Reader) -> Vec<Notification> {
    let items = reader.list(node, "`notifications`").unwrap_or_default();
    items.iter().filter_map(|item| read(item, reader)).collect()
}

fn read(node: &Node, reader: &mut Reader) -> Option<Notification> {
    let fields = reader.fields(node, "a notification", &["uses", "with", "on", "secrets"])?;
    let Some(uses) = fields.get("uses") else {
        reader.error(Diagnostic::at(fields.span, "the notification has no `uses`").hint("name the plugin that tells"));
        return None;
    };
    let uses = reader.text(uses, "`uses`")?;
    let with = fields.get("with").cloned();
    if let Some(with) = &with {
        reader.entries(with, "`with`");
    }
    let mut on = Vec::new();
    if let Some(node) = fields.get("on") {
        for event in reader.texts(node, "an event") {
            if !EVENTS.contains(&event.as_str()) {
                let error = Diagnostic::at(node.span, format!("there is no event `{event}`"));
                reader.error(error.did_you_mean(&event, EVENTS));
            }
            on.push(event);
        }
    }
    let secrets = fields.get("secrets").map(|node| reader.texts(node, "`secrets`")).unwrap_or_default();
    Some(Notification { uses, with, on, secrets })
}

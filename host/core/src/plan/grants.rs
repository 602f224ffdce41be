//! What a step may use: what its plugin asks for and the pipeline grants, no more and no less.

use std::collections::BTreeSet;

use super::plugins::Resolved;
use crate::{
    diagnostic::Diagnostic,
    grant::{Grants, HostRule},
    pipeline::GrantList,
    plugin::Capability,
    yaml::Span,
};

/// The grants of a step. Built-in plugins come approved, but what is written for them counts.
pub(super) fn check(
    reference: &str,
    place: Span,
    plugin: &Resolved,
    written: Option<&GrantList>,
    secrets: &[String],
    errors: &mut Vec<Diagnostic>,
) -> Grants {
    let can_use = plugin.description.can_use();
    let asked: Vec<Capability> = plugin.description.asks_for().collect();
    if plugin.built_in && written.is_none() {
        let mut approved = Grants { capabilities: asked.into_iter().collect(), ..Grants::default() };
        secrets.iter().for_each(|name| approved.spend(name));
        return approved;
    }
    let mut granted = written.map(|list| list.grants.clone()).unwrap_or_default();
    secrets.iter().for_each(|name| granted.spend(name));
    if !secrets.is_empty() {
        granted.capabilities.insert(Capability::Secrets);
    }
    let missing: Vec<Capability> = asked.iter().copied().filter(|capability| !granted.allows(*capability)).collect();
    if !missing.is_empty() {
        let span = written.map_or(place, |list| list.span);
        let wants: Vec<String> = missing.iter().map(|c| format!("`{}` ({})", c.yaml_key(), c.summary())).collect();
        let message = format!("plugin `{reference}` asks for {}, which this step does not grant", wants.join(" and "));
        let line = whole_line(&can_use, &granted);
        let verb = if written.is_some() { "change the line to" } else { "add to the step" };
        errors.push(Diagnostic::at(span, message).hint(format!("{verb}: {line}")));
    }
    for (capability, span) in written.iter().flat_map(|list| &list.places) {
        if !can_use.contains(capability) {
            let key = capability.yaml_key();
            let message = format!("plugin `{reference}` does not ask for `{key}`");
            errors.push(Diagnostic::at(*span, message).hint(format!("remove `{key}` from `grants`")));
        }
    }
    granted
}

/// The `grants:` line that gives a plugin what it asks for, and leaves it what it has.
fn whole_line(can_use: &BTreeSet<Capability>, granted: &Grants) -> String {
    let quoted = |rules: &[HostRule]| rules.iter().map(HostRule::as_yaml).collect::<Vec<_>>().join(", ");
    let entries: Vec<String> = can_use
        .iter()
        .filter(|capability| !capability.is_imported_by_habit() || granted.allows(**capability))
        .map(|capability| match capability {
            other if granted.is_read_only(*other) => format!("{}: read", other.yaml_key()),
            Capability::Secrets if !granted.secrets.is_empty() => {
                format!("secrets: [{}]", granted.secrets.keys().cloned().collect::<Vec<_>>().join(", "))
            }
            Capability::Http if granted.allows(Capability::Http) => format!("http: [{}]", quoted(&granted.http)),
            Capability::Tcp if granted.allows(Capability::Tcp) => format!("tcp: [{}]", quoted(&granted.tcp)),
            other => other.example_grant(),
        })
        .collect();
    format!("grants: {{ {} }}", entries.join(", "))
}

//! `grants:` of a step: what its plugin may use.

use std::collections::BTreeMap;

use super::reader::{Reader, found};
use crate::{
    diagnostic::Diagnostic,
    grant::{Grants, HostRule, HostRuleError, SecretGrant},
    plugin::Capability,
    secret::is_secret_name,
    yaml::{Content, Node, Span, is_null},
};

/// `grants:` as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantList {
    /// What is granted.
    pub grants: Grants,
    /// Where each capability was written.
    pub places: Vec<(Capability, Span)>,
    /// Where the list begins.
    pub span: Span,
}

impl GrantList {
    /// Reads `grants:` with its mistakes; none if it is no mapping.
    pub fn read(node: &Node, reader: &mut Reader) -> Option<GrantList> {
        let entries = reader.entries(node, "`grants`")?;
        let mut list = GrantList { grants: Grants::default(), places: Vec::new(), span: node.span };
        let grantable = || Capability::ALL.into_iter().filter(|capability| !capability.is_always_granted());
        for (key, value) in entries {
            let name = key.as_text().unwrap_or("");
            let Some(capability) = Capability::ALL.into_iter().find(|capability| capability.yaml_key() == name) else {
                let known: Vec<&str> = grantable().map(Capability::yaml_key).collect();
                reader.unknown_key(key, "grants", &known);
                continue;
            };
            if capability.is_always_granted() {
                let error = Diagnostic::at(key.span, format!("every plugin has `{name}`; it is not granted"));
                reader.error(error.hint("remove it"));
                continue;
            }
            if list.grant(capability, value, reader) {
                list.grants.capabilities.insert(capability);
                list.places.push((capability, key.span));
            }
        }
        Some(list)
    }

    /// Reads what is granted of one capability. False if it is none, or cannot be used.
    fn grant(&mut self, capability: Capability, value: &Node, reader: &mut Reader) -> bool {
        match capability {
            _ if capability.has_access() => match value.as_text() {
                Some("read") => {
                    self.grants.make_read_only(capability);
                    true
                }
                Some("write") => true,
                _ => {
                    reader.expected(value, &format!("the grant `{}`", capability.yaml_key()), "`read` or `write`");
                    false
                }
            },
            Capability::Secrets => {
                self.grants.secrets = secrets(value, reader);
                true
            }
            Capability::Http => {
                self.grants.http = hosts(value, capability, reader);
                true
            }
            Capability::Tcp => {
                self.grants.tcp = hosts(value, capability, reader);
                true
            }
            other => reader.boolean(value, &format!("the grant `{}`", other.yaml_key())).unwrap_or(false),
        }
    }
}

/// `secrets:` of `grants:`: names, or mappings with a name and `reveal`.
fn secrets(node: &Node, reader: &mut Reader) -> BTreeMap<String, SecretGrant> {
    let mut secrets = BTreeMap::new();
    for item in list_of_names(node, "the grant `secrets`", reader) {
        let (name, grant) = match &item.content {
            Content::Map(_) => {
                let Some(fields) = reader.fields(item, "a granted secret", &["name", "reveal"]) else { continue };
                let Some(name) = fields.get("name") else {
                    reader.error(Diagnostic::at(item.span, "the granted secret has no `name`"));
                    continue;
                };
                let reveal = fields.get("reveal").and_then(|node| reader.boolean(node, "`reveal`")).unwrap_or(false);
                (name, if reveal { SecretGrant::Reveal } else { SecretGrant::Spend })
            }
            _ => (item, SecretGrant::Spend),
        };
        if let Some(name) = secret_name(name, reader) {
            secrets.insert(name, grant);
        }
    }
    secrets
}

/// `http:` or `tcp:` of `grants:`: hosts, or mappings with a host and `private`.
fn hosts(node: &Node, capability: Capability, reader: &mut Reader) -> Vec<HostRule> {
    let what = format!("the grant `{}`", capability.yaml_key());
    let example = if capability == Capability::Tcp { "\"example.org:5432\"" } else { "example.org" };
    let Content::List(items) = &node.content else {
        let found = found(node);
        let error = Diagnostic::at(node.span, format!("{what} must be a list of hosts, and this is {found}"));
        let shown = match node.as_text() {
            Some(text) if text.contains(['.', ':']) && read_rule(text, capability).is_ok() => format!("\"{text}\""),
            _ => example.to_owned(),
        };
        reader.error(error.hint(format!("write `{}: [{shown}]`", capability.yaml_key())));
        return Vec::new();
    };
    items.iter().filter_map(|item| host(item, capability, reader)).collect()
}

fn host(node: &Node, capability: Capability, reader: &mut Reader) -> Option<HostRule> {
    let (name, private) = match &node.content {
        Content::Map(_) => {
            let fields = reader.fields(node, "a granted host", &["host", "private"])?;
            let Some(name) = fields.get("host") else {
                reader.error(Diagnostic::at(node.span, "the granted host has no `host`"));
                return None;
            };
            (name, fields.get("private").and_then(|node| reader.boolean(node, "`private`")).unwrap_or(false))
        }
        _ => (node, false),
    };
    let text = reader.text(name, "a granted host")?;
    match read_rule(&text, capability) {
        Ok(rule) => Some(HostRule { private: rule.private || private, ..rule }),
        Err(error) => {
            reader.error(Diagnostic::at(name.span, error.to_string()));
            None
        }
    }
}

/// A rule as the capability wants it: TCP has no usual port.
fn read_rule(text: &str, capability: Capability) -> Result<HostRule, HostRuleError> {
    let rule = HostRule::parse(text)?;
    match rule.port {
        None if capability == Capability::Tcp => Err(HostRuleError::no_port(text)),
        _ => Ok(rule),
    }
}

/// `secrets:` of a step: a list of names.
pub(super) fn secret_names(node: &Node, reader: &mut Reader) -> Vec<String> {
    list_of_names(node, "`secrets`", reader).iter().filter_map(|item| secret_name(item, reader)).collect()
}

/// The items of a list of secrets. Who wrote a single name is told how it is written as a list.
fn list_of_names<'a>(node: &'a Node, what: &str, reader: &mut Reader) -> &'a [Node] {
    match &node.content {
        Content::Scalar { text, plain } if is_secret_name(text) && !(*plain && is_null(text)) => {
            let error = Diagnostic::at(node.span, format!("{what} must be a list, and this is {}", found(node)));
            reader.error(error.hint(format!("write `secrets: [{text}]`")));
            &[]
        }
        _ => reader.list(node, what).unwrap_or_default(),
    }
}

/// The name of a secret.
fn secret_name(node: &Node, reader: &mut Reader) -> Option<String> {
    let name = reader.text(node, "the name of a secret")?;
    if !is_secret_name(&name) {
        let error = Diagnostic::at(node.span, format!("`{name}` cannot be the name of a secret"));
        reader.error(error.hint("letters, digits and `_`, and no digit at the beginning, such as `DEPLOY_TOKEN`"));
        return None;
    }
    Some(name)
}

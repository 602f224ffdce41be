//! Walks YAML with the words of the pipeline language, and collects the mistakes instead of stopping at the first.

use crate::{
    diagnostic::{Diagnostic, nearest},
    expression,
    yaml::{Content, Node, Span, is_null, parse_bool, parse_integer},
};

/// Collects the mistakes.
#[derive(Default)]
pub struct Reader {
    /// What was found so far.
    pub errors: Vec<Diagnostic>,
}

/// A key that people may expect and that cannot stand where it was written.
pub struct Refused {
    /// The key.
    pub key: &'static str,
    /// The rest of a sentence that begins with the key.
    pub problem: &'static str,
    /// What to write instead.
    pub hint: &'static str,
}

/// A mapping whose keys are known.
pub struct Fields<'a> {
    /// Where the mapping was written.
    pub span: Span,
    entries: &'a [(Node, Node)],
    /// Known keys that unknown ones most likely mean.
    meant: Vec<String>,
}

impl<'a> Fields<'a> {
    /// Is the key neither there nor misspelt? Then its absence is a mistake of its own.
    pub fn lacks(&self, key: &str) -> bool {
        self.get(key).is_none() && !self.meant.iter().any(|meant| meant == key)
    }

    /// The value below a key. A key without a value counts as one, so that its type is checked.
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value.
    pub fn entry(&self, key: &str) -> Option<(&'a Node, &'a Node)> {
        self.entries.iter().find(|(k, _)| k.as_text() == Some(key)).map(|(key, value)| (key, value))
    }
}

impl Reader {
    /// Collects a mistake.
    pub fn error(&mut self, error: Diagnostic) {
        self.errors.push(error);
    }

    /// Says that a value has the wrong type.
    pub fn expected(&mut self, node: &Node, what: &str, expected: &str) {
        let found = found(node);
        self.error(Diagnostic::at(node.span, format!("{what} must be {expected}, and this is {found}")));
    }

    /// A mapping with these keys and no others.
    pub fn fields<'a>(&mut self, node: &'a Node, what: &str, known: &[&str]) -> Option<Fields<'a>> {
        self.fields_refusing(node, what, known, &[])
    }

    /// The same, with keys that are refused in words of their own, and so are never named as something to write.
    pub fn fields_refusing<'a>(
        &mut self,
        node: &'a Node,
        what: &str,
        known: &[&str],
        refused: &[Refused],
    ) -> Option<Fields<'a>> {
        let entries = self.entries(node, what)?;
        let mut meant = Vec::new();
        for (key, _) in entries {
            let name = key.as_text().unwrap_or("");
            if let Some(refused) = refused.iter().find(|refused| refused.key == name) {
                let error = Diagnostic::at(key.span, format!("`{name}` {}", refused.problem));
                self.error(error.hint(refused.hint));
            } else if !known.contains(&name) {
                self.unknown_key(key, what, known);
                let foreign = FOREIGN.iter().find(|(foreign, own, _)| *foreign == name && known.contains(own));
                let own = foreign.map(|(_, own, _)| *own).or_else(|| nearest(name, known.iter().copied()));
                meant.extend(own.map(str::to_owned));
            }
        }
        Some(Fields { span: node.span, entries, meant })
    }

    /// Names an unknown key with the nearest known one.
    pub fn unknown_key(&mut self, key: &Node, what: &str, known: &[&str]) {
        let name = key.as_text().unwrap_or("");
        let error = Diagnostic::at(key.span, format!("unknown key `{name}`"));
        let error = match FOREIGN.iter().find(|(foreign, own, _)| *foreign == name && known.contains(own)) {
            Some((_, _, hint)) => error.hint(*hint),
            None => error.did_you_mean(name, known.iter().copied()),
        };
        self.error(match error.hint {
            Some(_) => error,
            None => error.hint(format!("the keys of {what} are: {}", known.join(", "))),
        });
    }

    /// The entries of a mapping with keys of any name.
    pub fn entries<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a [(Node, Node)]> {
        match &node.content {
            Content::Map(entries) => Some(entries),
            _ => {
                self.expected(node, what, "a mapping");
                None
            }
        }
    }

    /// The items of a list.
    pub fn list<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a [Node]> {
        match &node.content {
            Content::List(items) => Some(items),
            _ => {
                self.expected(node, what, "a list");
                None
            }
        }
    }

    /// A text. Numbers and booleans written without quotes are texts as they stand.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.content {
            Content::Scalar { text, plain } if !(*plain && is_null(text)) => Some(text.clone()),
            _ => {
                self.expected(node, what, "a text");
                None
            }
        }
    }

    /// A text that may hold expressions, whose form is checked.
    pub fn template(&mut self, node: &Node, what: &str) -> Option<Node> {
        let text = self.text(node, what)?;
        if let Err(error) = expression::parts(&text, node.span) {
            self.error(error);
            return None;
        }
        Some(node.clone())
    }

    /// A text of one line that is not empty and not endless.
    pub fn name(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() || text.contains('\n') || text.chars().count() > 200 {
            self.error(Diagnostic::at(node.span, format!("{what} must be one line of at most 200 characters")));
            return None;
        }
        Some(text)
    }

    /// An id: a name for expressions.
    pub fn id(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        let mut characters = text.chars();
        let good = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            && text.len() <= 100;
        if !good {
            let error = Diagnostic::at(node.span, format!("`{text}` cannot be {what}"));
            self.error(error.hint("it begins with a letter or `_`; letters, digits, `_` and `-` follow, 100 at most"));
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        let value = match &node.content {
            Content::Scalar { text, plain: true } => parse_bool(text),
            _ => None,
        };
        if value.is_none() {
            self.expected(node, what, "`true` or `false`");
        }
        value
    }

    /// A whole number within bounds.
    pub fn number(&mut self, node: &Node, what: &str, least: u64, most: u64) -> Option<u64> {
        let value = match &node.content {
            Content::Scalar { text, plain: true } => parse_integer(text),
            _ => None,
        };
        let Some(value) = value else {
            self.expected(node, what, "a whole number");
            return None;
        };
        let value = u64::try_from(value).ok().filter(|value| (least..=most).contains(value));
        if value.is_none() {
            let bounds = if most == u64::MAX { format!("at least {least}") } else { format!("{least} to {most}") };
            self.error(Diagnostic::at(node.span, format!("{what} must be {bounds}")));
        }
        value
    }

    /// One text, or a list of texts.
    pub fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.content {
            Content::List(items) => items.iter().filter_map(|item| self.text(item, what)).collect(),
            Content::Scalar { .. } => self.text(node, what).into_iter().collect(),
            _ => {
                self.expected(node, what, "a text or a list of texts");
                Vec::new()
            }
        }
    }

    /// Can a process be given this text? None takes a NUL character.
    pub fn takes_process(&mut self, node: &Node, what: &str) -> bool {
        let holds_nul = node.as_text().is_some_and(|text| text.contains('\0'));
        if holds_nul {
            let error = Diagnostic::at(node.span, format!("{what} cannot hold a NUL character"));
            self.error(error.hint("no process can be given one; let the script make it, as `printf '\\0'` does"));
        }
        !holds_nul
    }

    /// `env:`: names and texts, which may hold expressions.
    pub fn env(&mut self, node: &Node) -> Vec<(String, Node)> {
        let entries = match &node.content {
            Content::Map(entries) => entries,
            _ => {
                let error = Diagnostic::at(node.span, format!("`env` must be a mapping, and this is {}", found(node)));
                self.error(error.hint(format!("write `env: {{ {} }}`", as_mapping(node))));
                return Vec::new();
            }
        };
        let mut env = Vec::new();
        for (key, value) in entries {
            let name = key.as_text().unwrap_or("");
            let mut characters = name.chars();
            let good = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !good {
                let error = Diagnostic::at(key.span, format!("`{name}` cannot be the name of an environment variable"));
                self.error(error.hint("letters, digits and `_`, and no digit at the beginning"));
                continue;
            }
            if name.starts_with("OXIDE_") {
                self.error(Diagnostic::at(key.span, format!("`{name}` belongs to Oxide; choose another name")));
                continue;
            }
            match &value.content {
                Content::Scalar { text, plain } => {
                    if let Err(error) = expression::parts(text, value.span) {
                        self.error(error);
                    } else if *plain && is_null(text) {
                        let empty = Content::Scalar { text: String::new(), plain: false };
                        env.push((name.to_owned(), Node { span: value.span, content: empty }));
                    } else if self.takes_process(value, "an environment variable") {
                        env.push((name.to_owned(), value.clone()));
                    }
                }
                _ => self.expected(value, &format!("the variable `{name}`"), "a text"),
            }
        }
        env
    }
}

/// Words of other systems: theirs, ours, what to write.
const FOREIGN: [(&str, &str, &str); 12] = [
    ("jobs", "stages", "what other systems call jobs are `stages` here"),
    ("on", "triggers", "what starts a run is written below `triggers`"),
    ("needs", "depends_on", "write `depends_on`"),
    ("requires", "depends_on", "write `depends_on`"),
    ("runs-on", "runs_on", "write `runs_on`"),
    ("image", "environment", "write `environment: { container: IMAGE }`"),
    ("container", "environment", "write `environment: { container: IMAGE }`"),
    ("script", "run", "write `run`"),
    ("continue_on_error", "allow_failure", "write `allow_failure: true`"),
    ("continue-on-error", "allow_failure", "write `allow_failure: true`"),
    ("timeout-minutes", "timeout", "write `timeout: 20m`"),
    ("strategy", "matrix", "write `matrix` directly below the stage"),
];

/// What was written as `NAME=VALUE`, alone or in a list, as the entries of a mapping; else an example.
fn as_mapping(node: &Node) -> String {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let entry = |item: &Node| {
        let (name, value) = item.as_text()?.split_once('=')?;
        let is_short = name.len() + value.len() <= 60 && !value.contains(char::is_control);
        is_short.then(|| format!("{}: {}", name.trim(), serde_json::Value::from(value.trim())))
    };
    let entries: Option<Vec<String>> = items.iter().take(3).map(entry).collect();
    entries.filter(|entries| !entries.is_empty()).map_or("NAME: value".to_owned(), |entries| entries.join(", "))
}

/// What a node is, for a message.
pub fn found(node: &Node) -> String {
    match &node.content {
        Content::Scalar { text, plain: true } if is_null(text) => "empty".to_owned(),
        Content::Scalar { text, .. } if text.chars().count() > 40 || text.contains('\n') => "a text".to_owned(),
        Content::Scalar { text, plain: true } => format!("`{text}`"),
        Content::Scalar { text, plain: false } => format!("the text \"{text}\""),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
        Content::Evaluated(_) => "the value of an expression".to_owned(),
    }
}

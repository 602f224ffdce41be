//! A YAML document as a tree that remembers where each part was written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place in the source: the characters from `start` up to `end` on a line (or the rest of the line, if it goes on).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// The line, counted from 1; 0 for what was not written in a file.
    pub line: u32,
    /// The first column, in characters counted from 1.
    pub column: u32,
    /// How many characters of that line it covers; at least 1.
    pub length: u32,
}

/// A part of a YAML document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Where it was written.
    pub span: Span,
    /// What was written.
    pub content: Content,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A scalar: text, number, boolean or null. It stays text until somebody knows what is wanted, so `3.10` is not 3.1.
    Scalar {
        /// The text as written, without quotes.
        text: String,
        /// Written without quotes and not as a block: may mean a number, a boolean or null.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file; keys are scalars and appear once.
    Map(Vec<(Node, Node)>),
    /// The value of an expression, in the place where the expression stood.
    Evaluated(serde_json::Value),
}

impl Node {
    /// A text that was not written in a file.
    pub fn text(text: impl Into<String>) -> Node {
        Node { span: Span::default(), content: Content::Scalar { text: text.into(), plain: false } }
    }

    /// A mapping of text keys that was not written in a file.
    pub fn map(entries: Vec<(String, Node)>) -> Node {
        let entries = entries.into_iter().map(|(key, value)| (Node::text(key), value)).collect();
        Node { span: Span::default(), content: Content::Map(entries) }
    }

    /// The text of a scalar.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value below a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|(k, _)| k.as_text() == Some(key)).map(|(_, value)| value),
            _ => None,
        }
    }
}

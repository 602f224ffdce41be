//! One view of what a value is read from: YAML nodes, JSON, and JSON inside of YAML where an expression stood.

use serde_json::{Number, Value as Json};

use crate::yaml::{Content, Node, Span};

/// A value to be read, wherever it comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Yaml(&'a Node),
    Json(&'a Json, Span),
}

/// What stands there.
pub(super) enum View<'a> {
    Null,
    Bool(bool),
    Number(&'a Number),
    /// A plain scalar of YAML: what it means depends on what is wanted.
    Plain(&'a str),
    /// A text that was written as one.
    Quoted(&'a str),
    /// A text that an expression gave: it may mean a number where one is wanted, for `env` and `inputs` are texts.
    Given(&'a str),
    List(Items<'a>),
    Map(Entries<'a>),
}

#[derive(Clone, Copy)]
pub(super) enum Items<'a> {
    Yaml(&'a [Node]),
    Json(&'a [Json], Span),
}

#[derive(Clone, Copy)]
pub(super) enum Entries<'a> {
    Yaml(&'a [(Node, Node)]),
    Json(&'a serde_json::Map<String, Json>, Span),
}

impl<'a> Source<'a> {
    pub fn span(self) -> Span {
        match self {
            Source::Yaml(node) => node.span,
            Source::Json(_, span) => span,
        }
    }

    pub fn view(self) -> View<'a> {
        match self {
            Source::Yaml(node) => match &node.content {
                Content::Scalar { text, plain: true } => View::Plain(text),
                Content::Scalar { text, plain: false } => View::Quoted(text),
                Content::List(items) => View::List(Items::Yaml(items)),
                Content::Map(entries) => View::Map(Entries::Yaml(entries)),
                Content::Evaluated(value) => Source::Json(value, node.span).view(),
            },
            Source::Json(value, span) => match value {
                Json::Null => View::Null,
                Json::Bool(value) => View::Bool(*value),
                Json::Number(number) => View::Number(number),
                Json::String(text) => View::Given(text),
                Json::Array(items) => View::List(Items::Json(items, span)),
                Json::Object(entries) => View::Map(Entries::Json(entries, span)),
            },
        }
    }
}

impl View<'_> {
    /// What it is, for a message.
    pub fn described(&self) -> String {
        match self {
            View::Null => "nothing (null)".to_owned(),
            View::Bool(value) => format!("`{value}`"),
            View::Number(number) => format!("the number `{number}`"),
            View::Plain("") => "nothing".to_owned(),
            View::Plain(text) => format!("`{}`", shortened(text)),
            View::Quoted(text) | View::Given(text) => format!("the text \"{}\"", shortened(text)),
            View::List(_) => "a list".to_owned(),
            View::Map(_) => "a mapping".to_owned(),
        }
    }
}

impl<'a> Items<'a> {
    pub fn len(self) -> usize {
        match self {
            Items::Yaml(items) => items.len(),
            Items::Json(items, _) => items.len(),
        }
    }

    pub fn get(self, index: usize) -> Source<'a> {
        match self {
            Items::Yaml(items) => Source::Yaml(&items[index]),
            Items::Json(items, span) => Source::Json(&items[index], span),
        }
    }

    pub fn iter(self) -> impl Iterator<Item = Source<'a>> {
        (0..self.len()).map(move |index| self.get(index))
    }
}

impl<'a> Entries<'a> {
    /// Key, the place of the key, value.
    pub fn iter(self) -> Box<dyn Iterator<Item = (&'a str, Span, Source<'a>)> + 'a> {
        match self {
            Entries::Yaml(entries) => Box::new(
                entries.iter().map(|(key, value)| (key.as_text().unwrap_or(""), key.span, Source::Yaml(value))),
            ),
            Entries::Json(entries, span) => {
                Box::new(entries.iter().map(move |(key, value)| (key.as_str(), span, Source::Json(value, span))))
            }
        }
    }

    /// The only entry, if there is exactly one.
    pub fn single(self) -> Option<(&'a str, Span, Source<'a>)> {
        let mut entries = self.iter();
        let first = entries.next()?;
        entries.next().is_none().then_some(first)
    }
}

/// A text of any length as part of a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

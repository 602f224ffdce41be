//! Where the expressions of a text are: `${{`, CEL, `}}`.

use serde_json::Value as Json;

use crate::{
    diagnostic::Diagnostic,
    yaml::{Content, Node, Span},
};

/// In texts up to this length the places of expressions are told exactly.
const EXACT_BYTES_MAX: usize = 16 << 10;

/// A piece of a text with expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// What stands between `${{` and `}}`, without the space around it.
    Expression {
        /// The expression.
        text: &'a str,
        /// Where it begins in the whole text, in bytes.
        offset: usize,
    },
}

/// Splits a text at its expressions.
///
/// # Errors
/// An expression that does not end, or is empty. `node_span` is the place of the whole text.
pub fn parts(text: &str, node_span: Span) -> Result<Vec<Part<'_>>, Diagnostic> {
    let mut parts = Vec::new();
    let mut rest = 0;
    while let Some(found) = text[rest..].find("${{") {
        let open = rest + found;
        if open > rest {
            parts.push(Part::Text(&text[rest..open]));
        }
        let (expression, end) = expression_at(text, open, node_span)?;
        parts.push(expression);
        rest = end;
    }
    if rest < text.len() {
        parts.push(Part::Text(&text[rest..]));
    }
    Ok(parts)
}

/// Reads the expression whose `${{` stands at a byte; tells also where its `}}` ends.
pub(super) fn expression_at(text: &str, open: usize, node_span: Span) -> Result<(Part<'_>, usize), Diagnostic> {
    let start = open + 3;
    let here = || span_of(text, open, 3, node_span);
    let close = end_of_expression(&text[start..]).ok_or_else(|| {
        Diagnostic::at(here(), "the expression that begins here has no end").hint("close it with `}}`")
    })?;
    let inner = &text[start..start + close];
    let trimmed = inner.trim();
    if trimmed.is_empty() {
        return Err(Diagnostic::at(here(), "the expression is empty").hint("write one, such as `${{ git.sha }}`"));
    }
    let offset = start + (inner.len() - inner.trim_start().len());
    Ok((Part::Expression { text: trimmed, offset }, start + close + 2))
}

/// Finds the `}}` that ends an expression: not one within a text or after an open brace of CEL.
fn end_of_expression(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut braces = 0usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'}' if braces == 0 && bytes.get(at + 1) == Some(&b'}') => return Some(at),
            b'{' => braces += 1,
            b'}' => braces = braces.saturating_sub(1),
            quote @ (b'\'' | b'"') => {
                let raw = at > 0 && matches!(bytes[at - 1], b'r' | b'R');
                at += 1;
                while *bytes.get(at)? != quote {
                    at += if bytes[at] == b'\\' && !raw { 2 } else { 1 };
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The place of a part of a text, as exactly as it is known: escapes and blocks move characters, then it is the place of
/// the whole text. `offset` counts bytes, `length` characters.
pub fn span_of(text: &str, offset: usize, length: usize, node_span: Span) -> Span {
    // Nobody counts columns so far, and counting them for each expression of a long text would take long.
    if text.len() > EXACT_BYTES_MAX {
        return node_span;
    }
    let characters = text.chars().count();
    let shift = match usize::try_from(node_span.length) {
        Ok(written) if written == characters => 0,
        Ok(written) if written == characters + 2 => 1,
        _ => return node_span,
    };
    if text.contains('\n') || node_span.line == 0 {
        return node_span;
    }
    let before = text.get(..offset).map_or(0, |before| before.chars().count());
    let to_number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Span {
        column: node_span.column.saturating_add(to_number(before + shift)),
        length: to_number(length.max(1)),
        ..node_span
    }
}

/// The expression of an `if:`, which may stand with or without `${{ }}`, and its place.
///
/// # Errors
/// Text around the braces, which would never be false, and what [`parts`] refuses.
pub fn condition_text(text: &str, node_span: Span) -> Result<(String, Span), Diagnostic> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Diagnostic::at(node_span, "the condition is empty")
            .hint("write an expression, such as `if: git.branch == 'main'`"));
    }
    if !trimmed.contains("${{") {
        return Ok((trimmed.to_owned(), node_span));
    }
    let parts = parts(text, node_span)?;
    let mut expressions = parts.iter().filter(|part| !matches!(part, Part::Text(text) if text.trim().is_empty()));
    match (expressions.next(), expressions.next()) {
        (Some(Part::Expression { text: expression, offset }), None) => {
            Ok(((*expression).to_owned(), span_of(text, *offset, expression.chars().count(), node_span)))
        }
        _ => Err(Diagnostic::at(node_span, "a condition is one expression, and this is text with expressions in it")
            .hint("put everything into one pair of braces: `if: ${{ a && b }}`")),
    }
}

/// The text that a value of an expression becomes within other text, and in an environment variable. Null becomes no
/// text; lists and mappings become JSON.
pub fn value_as_text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The text of a scalar or of the value of an expression: what an environment variable takes.
///
/// # Errors
/// The node is a list or a mapping.
pub fn as_text(node: &Node) -> Result<String, Diagnostic> {
    match &node.content {
        Content::Scalar { text, plain: true } if crate::yaml::is_null(text) => Ok(String::new()),
        Content::Scalar { text, .. } => Ok(text.clone()),
        Content::Evaluated(value) => Ok(value_as_text(value)),
        Content::List(_) => Err(Diagnostic::at(node.span, "expected a text, found a list")),
        Content::Map(_) => Err(Diagnostic::at(node.span, "expected a text, found a mapping")),
    }
}

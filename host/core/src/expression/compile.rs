//! From the text of an expression to a CEL program, within bounds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::Program;

use super::references::{self, References};
use crate::{diagnostic::Diagnostic, yaml::Span};

/// The longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 10 * 1024;
/// How deep brackets may be nested. The parser and the evaluation recurse, on a stack of bounded size.
const MAX_NESTING: usize = 24;
/// How many operators, dots and brackets an expression may have: a chain of them nests as brackets do.
const MAX_OPERATORS: usize = 300;
/// How deep loops (`all`, `map`, …) may be nested: each level multiplies the work.
const MAX_LOOPS: usize = 2;

/// An expression that can be evaluated.
pub(super) struct Compiled {
    pub program: Program,
    pub references: References,
}

/// Compiles one expression.
pub(super) fn compile(expression: &str, span: Span) -> Result<Compiled, Diagnostic> {
    check_size(expression, span)?;
    // The generated parser is not ours; a panic of it must be an error about this expression and nothing more.
    let parsed = catch_unwind(AssertUnwindSafe(|| Program::compile(expression)));
    let program = match parsed {
        Err(_) => return Err(unreadable(expression, "it cannot be parsed", span)),
        Ok(Err(errors)) => {
            let first = errors.errors.first();
            let place = first.map_or(span, |error| place_within(expression, error.pos, span));
            let reason = first.map_or("it cannot be parsed", |error| error.msg.as_str());
            return Err(unreadable(expression, reason, place));
        }
        Ok(Ok(program)) => program,
    };
    let references = references::collect(program.expression());
    if references.loop_depth > MAX_LOOPS {
        return Err(Diagnostic::at(span, format!("the expression nests loops more than {MAX_LOOPS} deep"))
            .hint("compute it in a step, and use the step's output"));
    }
    Ok(Compiled { program, references })
}

fn check_size(expression: &str, span: Span) -> Result<(), Diagnostic> {
    let too_long =
        |what: String| Err(Diagnostic::at(span, what).hint("compute it in a step, and use the step's output"));
    if expression.len() > MAX_EXPRESSION_BYTES {
        return too_long(format!("the expression has {} bytes; it may have {MAX_EXPRESSION_BYTES}", expression.len()));
    }
    let mut quote = None;
    let mut escaped = false;
    let (mut depth, mut deepest, mut operators) = (0usize, 0usize, 0usize);
    for byte in expression.bytes() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if byte == b'\\' => escaped = true,
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None => match byte {
                b'\'' | b'"' => quote = Some(byte),
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    operators += 1;
                    deepest = deepest.max(depth);
                }
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'!' | b'?' | b'<' | b'>' => operators += 1,
                // These come in pairs.
                b'=' | b'&' | b'|' => operators += 1,
                _ => {}
            },
        }
    }
    if deepest > MAX_NESTING {
        return too_long(format!("the expression is nested {deepest} deep; it may be {MAX_NESTING} deep"));
    }
    if operators > MAX_OPERATORS || expression.matches(" in ").count() > MAX_OPERATORS {
        return too_long(format!("the expression has more than {MAX_OPERATORS} operators and brackets"));
    }
    Ok(())
}

fn unreadable(expression: &str, reason: &str, span: Span) -> Diagnostic {
    let reason = reason.trim_start_matches("Syntax error: ");
    let reason = reason.split(" expecting {").next().unwrap_or(reason);
    if reason.contains("<EOF>") {
        let message = format!("the expression `{}` is not finished", shortened(expression));
        let last = expression.split_whitespace().next_back().unwrap_or(expression);
        return Diagnostic::at(span, message).hint(format!("it ends behind `{}`: write what follows", shortened(last)));
    }
    let diagnostic = Diagnostic::at(span, format!("the expression `{}` is not right: {reason}", shortened(expression)));
    let lone_equals = expression.replace("==", "").replace("!=", "").replace("<=", "").replace(">=", "").contains('=');
    if lone_equals {
        return diagnostic.hint("equality is written `==`");
    }
    if expression.contains(" and ") || expression.contains(" or ") || expression.starts_with("not ") {
        return diagnostic.hint("write `&&`, `||` and `!`");
    }
    diagnostic
}

/// The place of an error that the parser tells as line and column; within one-line expressions it is exact.
fn place_within(expression: &str, (line, column): (isize, isize), span: Span) -> Span {
    let characters = expression.chars().count();
    let column = u32::try_from(column.saturating_sub(1)).unwrap_or(0);
    if line != 1 || span.line == 0 || span.length as usize != characters {
        return span;
    }
    let column = column.min(span.length.saturating_sub(1));
    Span { column: span.column.saturating_add(column), length: 1, ..span }
}

/// An expression of any length as part of a message, on one line.
pub(super) fn shortened(expression: &str) -> String {
    let line = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

//! `${{ }}` in `run:` scripts: each becomes an environment variable and a reference to it that is right for the place
//! where it stands, so that the value arrives as it is, whatever characters it has, and never becomes shell text.
//!
//! Follows the quoting of `sh` and `bash` as far as that takes: quotes, comments, backslashes, `$( )`, here-documents.
//! Where a reference would still be evaluated as code (arithmetic, backquotes, `${ }`), it is an error. What a command
//! does with the value that it gets (`eval`, `sh -c`) is in the hands of the script.

use std::collections::HashMap;

use super::template::{Part, expression_at};
use crate::{diagnostic::Diagnostic, yaml::Span};

/// What the names of the variables begin with.
const VARIABLE: &str = "OXIDE_EXPR_";
/// Lines of scripts with expressions are no longer than this before an expression.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Does a variable of this name hold the value of an expression in a script? Nobody wrote that name.
pub fn is_of_expression(variable: &str) -> bool {
    variable.starts_with(VARIABLE)
}

/// A script without expressions, and the variables that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifted {
    /// The script.
    pub script: String,
    /// Names (`OXIDE_EXPR_1`, …) and the expressions, without `${{ }}`, whose values they hold.
    pub variables: Vec<(String, String)>,
}

/// Replaces the expressions of a script by references to environment variables. `shell` is what stands behind `shell:`,
/// `span` the place of the script.
///
/// # Errors
/// An expression where no reference is right, or in a script for another shell than `sh` and `bash`.
pub fn lift(script: &str, shell: Option<&str>, span: Span) -> Result<Lifted, Diagnostic> {
    if !script.contains("${{") {
        return Ok(Lifted { script: script.to_owned(), variables: Vec::new() });
    }
    let program = shell.map(|shell| shell.split_whitespace().next().unwrap_or(""));
    let program = program.map(|path| path.rsplit('/').next().unwrap_or(path));
    let ansi_quotes = match program {
        None | Some("bash") => true,
        Some("sh") => false,
        Some(other) => {
            return Err(Diagnostic::at(
                span,
                format!("`${{{{ }}}}` in a script works with `sh` and `bash`, not with `{other}`"),
            )
            .hint("put the value into `env:` of the step, and read that variable in the script"));
        }
    };
    let mut lifter = Lifter {
        source: script,
        at: 0,
        out: String::with_capacity(script.len()),
        variables: Vec::new(),
        numbers: HashMap::new(),
        contexts: vec![Context::Command { cases: 0 }],
        heredocs: Vec::new(),
        ansi_quotes,
        span,
    };
    while lifter.at < script.len() {
        lifter.step()?;
    }
    Ok(Lifted { script: lifter.out, variables: lifter.variables })
}

/// What surrounds the present place.
enum Context {
    /// Commands: the script itself, `$( )`, `( )`. In a `case`, a bracket closes only a pattern.
    Command { cases: usize },
    /// `"…"`.
    Double,
    /// `'…'`.
    Single,
    /// `$'…'` of bash.
    AnsiC,
    /// `${…}`, within double quotes or not.
    Parameter { quoted: bool },
    /// `$((…))`, `((…))`; with the number of open brackets within.
    Arithmetic { brackets: usize },
    /// `` `…` ``.
    Backquote,
    /// The text below `<<`.
    Heredoc(Heredoc),
}

#[derive(Clone)]
struct Heredoc {
    delimiter: String,
    /// `<<-`: tabs before the delimiter do not count.
    strips_tabs: bool,
    /// A quoted delimiter: nothing in the text means anything to the shell.
    literal: bool,
}

struct Lifter<'a> {
    source: &'a str,
    at: usize,
    out: String,
    variables: Vec<(String, String)>,
    /// The numbers of the variables by their expressions.
    numbers: HashMap<&'a str, usize>,
    contexts: Vec<Context>,
    /// Those whose text begins at the next line break.
    heredocs: Vec<Heredoc>,
    ansi_quotes: bool,
    span: Span,
}

impl<'a> Lifter<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Copies so many bytes, which must end at a character.
    fn copy(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.source.len());
        self.out.push_str(&self.source[self.at..end]);
        self.at = end;
    }

    /// Copies a backslash and the character that it protects.
    fn copy_protected(&mut self) -> Result<(), Diagnostic> {
        if self.rest()[1..].starts_with("${{") {
            return Err(self.refused("a backslash stands before the expression", "remove the backslash"));
        }
        let protected = self.rest()[1..].chars().next().map_or(0, char::len_utf8);
        self.copy(1 + protected);
        Ok(())
    }

    fn push(&mut self, bytes: usize, context: Context) {
        self.copy(bytes);
        self.contexts.push(context);
    }

    fn pop(&mut self, bytes: usize) {
        self.copy(bytes);
        if self.contexts.len() > 1 {
            self.contexts.pop();
        }
    }

    fn context(&self) -> &Context {
        self.contexts.last().expect("the outermost context is never popped")
    }

    fn refused(&self, problem: &str, hint: &str) -> Diagnostic {
        let line = self.source[..self.at].matches('\n').count() + 1;
        let text: String = self.source.lines().nth(line - 1).unwrap_or("").trim().chars().take(80).collect();
        Diagnostic::at(self.span, format!("{problem}, in line {line} of the script: {text}")).hint(hint)
    }

    fn in_env(&self, place: &str) -> Diagnostic {
        let hint = "put the value into `env:` of the step, and use that variable in the script";
        self.refused(&format!("an expression cannot stand in {place}"), hint)
    }

    /// Reads what stands at the present place.
    fn step(&mut self) -> Result<(), Diagnostic> {
        if let Context::Heredoc(heredoc) = self.context() {
            let heredoc = heredoc.clone();
            if self.at == 0 || self.source.as_bytes()[self.at - 1] == b'\n' {
                let line = self.rest().split('\n').next().unwrap_or("");
                let compared = if heredoc.strips_tabs { line.trim_start_matches('\t') } else { line };
                if compared.trim_end_matches('\r') == heredoc.delimiter {
                    self.pop(line.len());
                    return Ok(());
                }
            }
        }
        if self.rest().starts_with("${{") {
            return self.expression();
        }
        let Some(next) = self.rest().chars().next() else { return Ok(()) };
        match self.context() {
            Context::Command { .. } => self.command(next),
            Context::Double => self.double(next),
            Context::Single => {
                if next == '\'' {
                    self.pop(1)
                } else {
                    self.copy(next.len_utf8())
                }
                Ok(())
            }
            Context::AnsiC => match next {
                '\'' => {
                    self.pop(1);
                    Ok(())
                }
                '\\' => self.copy_protected(),
                _ => {
                    self.copy(next.len_utf8());
                    Ok(())
                }
            },
            Context::Parameter { quoted } => {
                let quoted = *quoted;
                self.parameter(next, quoted)
            }
            Context::Arithmetic { .. } => self.arithmetic(next),
            Context::Backquote => match next {
                '`' => {
                    self.pop(1);
                    Ok(())
                }
                '\\' => self.copy_protected(),
                _ => {
                    self.copy(next.len_utf8());
                    Ok(())
                }
            },
            Context::Heredoc(heredoc) if heredoc.literal => {
                self.copy(next.len_utf8());
                Ok(())
            }
            Context::Heredoc(_) => self.expansions(next, true),
        }
    }

    fn command(&mut self, next: char) -> Result<(), Diagnostic> {
        let rest = self.rest();
        match next {
            '\'' => self.push(1, Context::Single),
            '"' => self.push(1, Context::Double),
            '#' if self.at_word_start() => self.comment()?,
            '\n' => {
                self.copy(1);
                self.begin_heredocs();
            }
            '<' if rest.starts_with("<<<") => self.copy(3),
            '<' if rest.starts_with("<<") => self.heredoc_start(),
            '(' if rest.starts_with("((") && self.at_command_start() => {
                self.push(2, Context::Arithmetic { brackets: 0 });
            }
            '(' => self.push(1, Context::Command { cases: 0 }),
            ')' => match self.context() {
                Context::Command { cases: 0 } => self.pop(1),
                _ => self.copy(1),
            },
            '$' if rest.starts_with("$'") && self.ansi_quotes => self.push(2, Context::AnsiC),
            'c' | 'e' if self.at_word_start() && self.at_command_start() => self.case_or_esac(),
            _ => return self.expansions(next, false),
        }
        Ok(())
    }

    fn double(&mut self, next: char) -> Result<(), Diagnostic> {
        if next == '"' {
            self.pop(1);
            return Ok(());
        }
        self.expansions(next, true)
    }

    /// What means something in double quotes, here-documents and commands alike.
    fn expansions(&mut self, next: char, quoted: bool) -> Result<(), Diagnostic> {
        let rest = self.rest();
        match next {
            '\\' => return self.copy_protected(),
            '`' => self.push(1, Context::Backquote),
            '$' if rest.starts_with("$((") => self.push(3, Context::Arithmetic { brackets: 0 }),
            '$' if rest.starts_with("$(") => self.push(2, Context::Command { cases: 0 }),
            '$' if rest.starts_with("$${{") => {
                return Err(self.refused("a `$` stands before the expression", "write `\\$` for a dollar sign"));
            }
            '$' if rest.starts_with("${") => self.push(2, Context::Parameter { quoted }),
            // `$$` and `$#` are parameters.
            '$' if rest.starts_with("$$") || rest.starts_with("$#") => self.copy(2),
            other => self.copy(other.len_utf8()),
        }
        Ok(())
    }

    fn parameter(&mut self, next: char, quoted: bool) -> Result<(), Diagnostic> {
        match next {
            '}' => self.pop(1),
            '"' => self.push(1, Context::Double),
            '\'' if !quoted => self.push(1, Context::Single),
            _ => return self.expansions(next, quoted),
        }
        Ok(())
    }

    fn arithmetic(&mut self, next: char) -> Result<(), Diagnostic> {
        let closes = self.rest().starts_with("))");
        let Some(Context::Arithmetic { brackets }) = self.contexts.last_mut() else { return Ok(()) };
        match next {
            '(' => {
                *brackets += 1;
                self.copy(1);
            }
            ')' if *brackets > 0 => {
                *brackets -= 1;
                self.copy(1);
            }
            ')' if closes => self.pop(2),
            // It was a subshell within `$( )` after all, and that goes on.
            ')' => {
                self.copy(1);
                self.contexts.pop();
                self.contexts.push(Context::Command { cases: 0 });
            }
            '"' => self.push(1, Context::Double),
            '\'' => self.push(1, Context::Single),
            _ => return self.expansions(next, true),
        }
        Ok(())
    }

    /// A comment up to the end of the line. Its expressions are words of the comment; they are not evaluated.
    fn comment(&mut self) -> Result<(), Diagnostic> {
        while let Some(next) = self.rest().chars().next() {
            if next == '\n' {
                break;
            }
            if self.rest().starts_with("${{") {
                let (part, end) = expression_at(self.source, self.at, self.span)?;
                if let Part::Expression { text, .. } = part {
                    let words: Vec<&str> = text.split_whitespace().collect();
                    self.out.push_str(&format!("({})", words.join(" ").replace("${{", "$ {{")));
                }
                self.at = end;
            } else {
                self.copy(next.len_utf8());
            }
        }
        Ok(())
    }

    fn case_or_esac(&mut self) {
        let rest = self.rest();
        let word = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())];
        if let Some(Context::Command { cases }) = self.contexts.last_mut() {
            match word {
                "case" => *cases += 1,
                "esac" => *cases = cases.saturating_sub(1),
                _ => {}
            }
        }
        self.copy(word.len());
    }

    fn heredoc_start(&mut self) {
        let strips_tabs = self.rest().starts_with("<<-");
        self.copy(if strips_tabs { 3 } else { 2 });
        let blank = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.copy(blank);
        let (mut delimiter, mut literal, mut quote) = (String::new(), false, None);
        while let Some(next) = self.rest().chars().next() {
            match quote {
                Some(open) if next == open => quote = None,
                Some(_) => delimiter.push(next),
                None => match next {
                    '\'' | '"' => {
                        quote = Some(next);
                        literal = true;
                    }
                    '\\' => literal = true,
                    c if c.is_whitespace() || ";&|<>()`".contains(c) => break,
                    c => delimiter.push(c),
                },
            }
            self.copy(next.len_utf8());
        }
        // Without a word it is a shift in arithmetic, or an error that the shell will tell.
        if !delimiter.is_empty() {
            self.heredocs.push(Heredoc { delimiter, strips_tabs, literal });
        }
    }

    fn begin_heredocs(&mut self) {
        // The text of the first comes first: the last is at the bottom.
        for heredoc in std::mem::take(&mut self.heredocs).into_iter().rev() {
            self.contexts.push(Context::Heredoc(heredoc));
        }
    }

    /// Does a word begin here?
    fn at_word_start(&self) -> bool {
        let before = self.source[..self.at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || ";&|()`".contains(c))
    }

    /// Does a command begin here?
    fn at_command_start(&self) -> bool {
        let before = self.source[..self.at].trim_end_matches([' ', '\t']);
        let word_start = before.rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |at| at + 1);
        before.chars().next_back().is_none_or(|c| "\n;&|({!`".contains(c))
            || matches!(&before[word_start..], "then" | "do" | "else" | "elif" | "if" | "while" | "until" | "in")
    }

    fn expression(&mut self) -> Result<(), Diagnostic> {
        let (part, end) = expression_at(self.source, self.at, self.span)?;
        let Part::Expression { text, .. } = part else { return Ok(()) };
        let Some(line_start) = self.line_start() else {
            return Err(self.refused("the line is too long for an expression", "break the line"));
        };
        let quotes = match self.context() {
            Context::Command { .. } if self.in_numeric_test(line_start, end) => {
                let hint = "use `[ … ]`, or put the value into `env:` and check it before";
                return Err(self.refused("`[[ … ]]` would evaluate the expression's value as arithmetic", hint));
            }
            Context::Command { .. } => ("\"", "\""),
            Context::Double if self.in_numeric_test(line_start, end) => {
                let hint = "use `[ … ]`, or put the value into `env:` and check it before";
                return Err(self.refused("`[[ … ]]` would evaluate the expression's value as arithmetic", hint));
            }
            Context::Double => ("", ""),
            Context::Single => ("'\"", "\"'"),
            Context::Heredoc(heredoc) if heredoc.literal => {
                return Err(self.in_env("a here-document whose delimiter is quoted"));
            }
            Context::Heredoc(_) => ("", ""),
            Context::AnsiC => return Err(self.in_env("`$'…'`")),
            Context::Parameter { .. } => return Err(self.in_env("`${…}` of the shell")),
            Context::Arithmetic { .. } => return Err(self.in_env("arithmetic `((…))`, which would evaluate its value")),
            Context::Backquote => {
                return Err(self.refused("an expression cannot stand in backquotes", "write `$(…)` instead"));
            }
        };
        let name = self.variable(text);
        self.out.push_str(&format!("{}${{{name}}}{}", quotes.0, quotes.1));
        self.at = end;
        Ok(())
    }

    /// The variable of an expression; the same for the same expression.
    fn variable(&mut self, expression: &'a str) -> String {
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(expression).or_insert(next);
        let name = format!("{VARIABLE}{number}");
        if number == next {
            self.variables.push((name.clone(), expression.to_owned()));
        }
        name
    }

    /// Where the present line begins; none if that is too far away to be looked for at each expression.
    fn line_start(&self) -> Option<usize> {
        let from = self.source.floor_char_boundary(self.at.saturating_sub(LINE_BYTES_MAX));
        match self.source[from..self.at].rfind('\n') {
            Some(at) => Some(from + at + 1),
            None => (from == 0).then_some(0),
        }
    }

    /// Is it an operand of a numeric comparison in `[[ … ]]`? bash evaluates those as arithmetic, commands within included.
    fn in_numeric_test(&self, line_start: usize, end: usize) -> bool {
        let before = &self.source[line_start..self.at];
        let Some(open) = before.rfind("[[") else { return false };
        if before[open..].contains("]]") {
            return false;
        }
        let to = self.source.floor_char_boundary(end + LINE_BYTES_MAX);
        let after = match self.source[end..to].split_once("]]") {
            Some((after, _)) => after,
            // A test whose end is too far away may hold anything.
            None if to < self.source.len() => return true,
            None => &self.source[end..to],
        };
        let test = format!("{} {after}", &before[open..]);
        [" -eq ", " -ne ", " -lt ", " -le ", " -gt ", " -ge "].iter().any(|operator| test.contains(operator))
    }
}

//! What a command ends with when it could not do what it was asked: heading, causes, hints, exit code.

use std::error::Error;

use oxide_core::cause;

use crate::{
    exit_code::Exit,
    terminal::{Paint, Terminal, without_controls},
};

/// A failure of a command.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The heading; empty if `details` says everything.
    message: String,
    /// What led to it, outermost first.
    causes: Vec<String>,
    /// What to type or change.
    hints: Vec<String>,
    /// Text that is shown as it is, such as rendered diagnostics.
    details: String,
}

impl Failure {
    /// Something around the pipeline is in the way.
    pub fn trouble(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Trouble, message: message.into(), causes: vec![], hints: vec![], details: String::new() }
    }

    /// Something is in the way, and the error says in its own words what.
    pub fn of(error: &dyn Error) -> Self {
        let mut texts = cause::chain(error).into_iter();
        Failure { message: texts.next().unwrap_or_default(), causes: texts.collect(), ..Failure::trouble("") }
    }

    /// The command line cannot be used.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Usage, ..Failure::trouble(message) }
    }

    /// The pipeline cannot be used; `rendered` is shown as it is.
    pub fn invalid_pipeline(rendered: String) -> Self {
        Failure { exit: Exit::InvalidPipeline, details: rendered, ..Failure::trouble("") }
    }

    /// A plugin, or a pipeline as it stands, cannot be used here.
    pub fn unusable(message: impl Into<String>) -> Self {
        Failure { exit: Exit::InvalidPipeline, ..Failure::trouble(message) }
    }

    /// The standard output cannot be written to. Nothing is said if whoever read it has gone away, such as `head`.
    pub fn unwritable(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::trouble(""),
            _ => Failure::trouble("could not write to the standard output").because(error),
        }
    }

    /// Adds an error and what led to it.
    pub fn because(mut self, error: &dyn Error) -> Self {
        self.causes.extend(cause::chain(error));
        self
    }

    /// Adds a line that says what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// All of it but the rendered details, in one line.
    #[cfg(test)]
    pub fn in_one_line(&self) -> String {
        let told =
            std::iter::once(&self.message).chain(&self.causes).map(String::as_str).collect::<Vec<_>>().join(": ");
        std::iter::once(told.as_str()).chain(self.hints.iter().map(String::as_str)).collect::<Vec<_>>().join("; ")
    }

    /// Writes it to the standard error.
    pub fn print(&self) {
        let paint = Paint { colour: Terminal::stderr().colour };
        if !self.details.is_empty() {
            eprint!("{}", self.details);
        }
        if !self.message.is_empty() {
            eprintln!("{} {}", paint.red("error:"), without_controls(&self.message));
        }
        for cause in &self.causes {
            eprintln!("  {} {}", paint.dim("caused by:"), without_controls(cause));
        }
        for hint in &self.hints {
            eprintln!("  {} {}", paint.cyan("hint:"), without_controls(hint));
        }
    }
}

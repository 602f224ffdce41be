//! How large a plan may be: what stands in a stage once is there for each of its jobs.

use std::cell::Cell;

use super::step::StepOfStage;
use crate::{
    diagnostic::Diagnostic,
    yaml::{Content, Node, Span},
};

/// The most steps of all jobs.
const MAX_STEPS: usize = 50_000;
/// The most bytes of text of all jobs.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// The most expressions, those that stages share counted for each of them.
const MAX_EXPRESSIONS: usize = 20_000;

/// What there is still room for.
pub(super) struct Room {
    steps: usize,
    text_bytes: usize,
    expressions: Cell<usize>,
}

impl Room {
    pub fn new() -> Room {
        Room { steps: MAX_STEPS, text_bytes: MAX_TEXT_BYTES, expressions: Cell::new(MAX_EXPRESSIONS) }
    }

    /// Takes room for the jobs of a stage.
    ///
    /// # Errors
    /// There is too little, and none from now on.
    pub fn take(
        &mut self,
        stage: (&str, Span),
        jobs: usize,
        env: &[(String, Node)],
        steps: &[StepOfStage],
    ) -> Result<(), Diagnostic> {
        let of_steps = steps.iter().map(|planned| {
            let names = planned.name.as_ref().map_or(0, text_bytes);
            names + text_bytes(&planned.step.with) + text_of(&planned.step.env)
        });
        let bytes = text_of(env).saturating_add(of_steps.sum()).saturating_mul(jobs);
        let count = steps.len().saturating_mul(jobs);
        if count <= self.steps && bytes <= self.text_bytes {
            self.steps -= count;
            self.text_bytes -= bytes;
            return Ok(());
        }
        (self.steps, self.text_bytes) = (0, 0);
        let (name, span) = stage;
        let message = format!("the run grows too large with stage `{name}`: {jobs} jobs of {} steps", steps.len());
        Err(Diagnostic::at(span, message).hint(format!(
            "all jobs of a run may have {MAX_STEPS} steps and {} MiB of text: make the matrix smaller, or several pipelines",
            MAX_TEXT_BYTES >> 20
        )))
    }

    /// Takes room for an expression. None if there is none; the error is told once.
    pub fn take_expression(&self, span: Span, errors: &mut Vec<Diagnostic>) -> Option<()> {
        let left = self.expressions.get();
        self.expressions.set(left.saturating_sub(1));
        if left == 1 {
            errors.push(
                Diagnostic::at(span, "the pipeline has too many expressions")
                    .label("too many from here on")
                    .hint(format!("there may be {MAX_EXPRESSIONS}, those that stages share counted for each of them")),
            );
        }
        (left > 1).then_some(())
    }
}

fn text_of(named: &[(String, Node)]) -> usize {
    named.iter().map(|(name, node)| name.len() + text_bytes(node)).sum()
}

fn text_bytes(node: &Node) -> usize {
    match &node.content {
        Content::Scalar { text, .. } => text.len(),
        Content::List(items) => items.iter().map(text_bytes).sum(),
        Content::Map(entries) => entries.iter().map(|(key, value)| text_bytes(key) + text_bytes(value)).sum(),
        Content::Evaluated(_) => 0,
    }
}

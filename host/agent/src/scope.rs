//! What the expressions of a job can see, and what becomes of its `env:`, `with:` and `if:`.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use oxide_core::{
    diagnostic::Diagnostic,
    expression::{self, Scope, StatusFacts, script, value_as_text},
    job::{JobProgress, Standing},
    outcome::{Failure, FailureCause},
    plan::{Condition, JobContext},
    protocol::Lease,
    secret::Placeholders,
    yaml::{Content, Node},
};
use serde_json::{Map, Value as Json};

use crate::hash_files::hash_files;

/// What stays the same for a whole attempt.
pub(crate) struct Facts {
    context: JobContext,
    matrix: Map<String, Json>,
    stages: Map<String, Json>,
    workspace: PathBuf,
}

/// What expressions see at one moment of an attempt.
pub(crate) struct Moment {
    steps: Map<String, Json>,
    secrets: Map<String, Json>,
    status: StatusFacts,
}

impl Moment {
    pub(crate) fn of(progress: &JobProgress) -> Self {
        let status = match progress.standing() {
            Standing::Success => StatusFacts::SUCCESS,
            Standing::Failure => StatusFacts::FAILURE,
            Standing::Cancelled => StatusFacts::CANCELLED,
        };
        Moment { steps: progress.steps_value(), secrets: Map::new(), status }
    }

    /// A moment for what holds no expressions, and so need not see anything.
    pub(crate) fn unseen() -> Self {
        Moment { steps: Map::new(), secrets: Map::new(), status: StatusFacts::SUCCESS }
    }

    /// The same moment for a step that sees the placeholders of its secrets.
    pub(crate) fn with_secrets(&self, secrets: &Placeholders) -> Moment {
        let shown = secrets.iter().map(|secret| (secret.name.clone(), Json::from(secret.placeholder.as_str())));
        Moment { steps: self.steps.clone(), secrets: shown.collect(), status: self.status }
    }
}

/// Environment variables, and the same as expressions see them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Variables {
    pub(crate) list: Vec<(String, String)>,
    values: Map<String, Json>,
}

impl Variables {
    fn set(&mut self, name: &str, text: String) {
        self.values.insert(name.to_owned(), Json::String(text.clone()));
        self.list.push((name.to_owned(), text));
    }
}

impl Facts {
    pub(crate) fn new(lease: &Lease, workspace: PathBuf) -> Self {
        let (context, matrix, stages) = (lease.context.clone(), lease.job.matrix.clone(), lease.stages.clone());
        Facts { context, matrix, stages, workspace }
    }

    /// Variables in the order in which they were written; each sees those before it. What looks like a mistake and is none
    /// for sure is told in `warnings`.
    ///
    /// # Errors
    /// A failure with cause [`FailureCause::Expression`] that names the variable.
    pub(crate) fn variables<'a>(
        &self,
        written: impl Iterator<Item = &'a (String, Node)>,
        moment: &Moment,
        warnings: &mut Vec<String>,
    ) -> Result<Variables, Failure> {
        let mut variables = Variables::default();
        for (name, node) in written {
            let text = self.look(&variables, moment, warnings, |scope| {
                expression::interpolate(node, scope).and_then(|node| expression::as_text(&node))
            });
            variables.set(name, text.map_err(|error| failure(&what_was_written(name, node), error))?);
        }
        Ok(variables)
    }

    /// `with:` of a step with the values of its expressions in their places.
    ///
    /// # Errors
    /// A failure with cause [`FailureCause::Expression`].
    pub(crate) fn inputs(
        &self,
        with: &Node,
        variables: &Variables,
        moment: &Moment,
        warnings: &mut Vec<String>,
    ) -> Result<Node, Failure> {
        self.look(variables, moment, warnings, |scope| expression::interpolate(with, scope))
            .map_err(|error| failure("an input", error))
    }

    /// Is the condition of a step true?
    ///
    /// # Errors
    /// A failure with cause [`FailureCause::Expression`].
    pub(crate) fn condition(
        &self,
        condition: &Condition,
        variables: &Variables,
        moment: &Moment,
    ) -> Result<bool, Failure> {
        // A condition may well ask whether there are files, so nobody is warned if there are none.
        self.look(variables, moment, &mut Vec::new(), |scope| expression::condition(condition, scope))
            .map_err(|error| failure("the condition", error))
    }

    fn look<T>(
        &self,
        variables: &Variables,
        moment: &Moment,
        warnings: &mut Vec<String>,
        see: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let warnings = RefCell::new(warnings);
        let hash = |patterns: &[String]| {
            let hash = hash_files(Path::new(&self.workspace), patterns)?;
            let warning =
                format!("warning: `{}` matched no file, and its value is empty", call_of_hash_files(patterns));
            if hash.is_empty() && !warnings.borrow().contains(&warning) {
                warnings.borrow_mut().push(warning);
            }
            Ok(hash)
        };
        see(&Scope {
            git: &self.context.git,
            trigger: &self.context.trigger,
            inputs: &self.context.inputs,
            matrix: &self.matrix,
            env: &variables.values,
            steps: &moment.steps,
            stages: &self.stages,
            secrets: &moment.secrets,
            status: moment.status,
            hash_files: &hash,
        })
    }
}

/// The call as a person wrote it.
fn call_of_hash_files(patterns: &[String]) -> String {
    format!("hash_files('{}')", patterns.join("', '"))
}

/// A variable as the user knows it: by its name, or, if it holds an expression of a script, as that expression.
fn what_was_written(name: &str, node: &Node) -> String {
    match node.as_text() {
        Some(expression) if script::is_of_expression(name) => format!("`{expression}`"),
        _ => format!("the environment variable `{name}`"),
    }
}

fn failure(what: &str, diagnostic: Diagnostic) -> Failure {
    let place = match diagnostic.span {
        Some(span) if span.line > 0 => format!(" (line {})", span.line),
        _ => String::new(),
    };
    let message = format!("could not evaluate {what}{place}: {}", diagnostic.message);
    Failure { hint: diagnostic.hint, ..Failure::new(FailureCause::Expression, message) }
}

/// Does it hold an expression?
pub(crate) fn has_expression(node: &Node) -> bool {
    match &node.content {
        Content::Scalar { text, .. } => text.contains("${{"),
        Content::List(items) => items.iter().any(has_expression),
        Content::Map(entries) => entries.iter().any(|(_, value)| has_expression(value)),
        Content::Evaluated(_) => false,
    }
}

/// A value of a matrix cell as text.
pub(crate) fn text_of(value: &Json) -> String {
    value_as_text(value)
}

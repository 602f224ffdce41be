//! What the expressions of a stage will be able to see, so that a wrong name is found before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{JobContext, matrix::Cell, secrets, size::Room};
use crate::{
    diagnostic::Diagnostic,
    expression::{self, FUNCTIONS, GIT_FACTS, Part, Reference, References, Scope, StatusFacts},
    yaml::{Content, Node, Span},
};

/// The outputs of steps by id, names in snake_case; none if they are not known.
pub(super) type StepFacts = BTreeMap<String, Option<BTreeSet<String>>>;

/// What other stages can read of a stage.
#[derive(Clone, Debug)]
pub(super) struct StageFacts {
    pub steps: StepFacts,
    /// How many jobs it has. Several have outputs each, and none of them is that of the stage.
    pub jobs: usize,
}

/// Which variables a place can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// `concurrency`: what is known of the run itself.
    OfRuns,
    /// `if` of a stage: how other stages ended, but no job, for there is none yet.
    OfStages,
    /// Names, images, labels: decided at planning.
    AtPlanning,
    /// `env` of pipeline and stage.
    BeforeSteps,
    /// `env` of services: what is known before the steps, and secrets.
    OfServices,
    /// `if` of a step, shell and directory of a script: everything but secrets, which tell nothing and are shown.
    WithoutSecrets,
    /// Everything.
    InSteps,
}

impl Roots {
    fn names(self) -> &'static [&'static str] {
        match self {
            Roots::OfRuns => &["git", "trigger", "inputs"],
            Roots::OfStages => &["git", "trigger", "inputs", "stages"],
            Roots::AtPlanning => &["git", "trigger", "inputs", "matrix"],
            Roots::BeforeSteps => &["git", "trigger", "inputs", "matrix", "env", "stages"],
            Roots::OfServices => &["git", "trigger", "inputs", "matrix", "env", "stages", "secrets"],
            Roots::WithoutSecrets => &["git", "trigger", "inputs", "matrix", "env", "steps", "stages"],
            Roots::InSteps => &Scope::ROOTS,
        }
    }

    fn has_files(self) -> bool {
        matches!(self, Roots::InSteps | Roots::WithoutSecrets)
    }
}

/// What is known of the world of an expression.
pub(super) struct Known<'a> {
    pub context: &'a JobContext,
    pub cells: &'a [Cell],
    /// The stages that this one depends on; none for an optional one that does not exist.
    pub stages: &'a BTreeMap<&'a str, Option<StageFacts>>,
    pub all_stages: BTreeSet<&'a str>,
    pub env: BTreeSet<&'a str>,
    /// The steps so far.
    pub steps: StepFacts,
    /// The steps that are not so far, with a word why.
    pub other_steps: BTreeMap<String, &'static str>,
    /// For how many expressions there is room.
    pub room: &'a Room,
}

impl Known<'_> {
    /// Checks all expressions in a text, list or mapping.
    pub fn check_node(&self, node: &Node, roots: Roots, errors: &mut Vec<Diagnostic>) {
        match &node.content {
            Content::Scalar { text, .. } if text.contains("${{") => match expression::parts(text, node.span) {
                Err(error) => errors.push(error),
                Ok(parts) => {
                    for part in parts {
                        if let Part::Expression { text: written, offset } = part {
                            let span = expression::span_of(text, offset, written.chars().count(), node.span);
                            self.check(written, span, roots, errors);
                        }
                    }
                }
            },
            Content::List(items) => items.iter().for_each(|item| self.check_node(item, roots, errors)),
            Content::Map(entries) => entries.iter().for_each(|(_, value)| self.check_node(value, roots, errors)),
            Content::Scalar { .. } | Content::Evaluated(_) => {}
        }
    }

    /// Checks one expression.
    pub fn check(&self, written: &str, span: Span, roots: Roots, errors: &mut Vec<Diagnostic>) {
        if self.room.take_expression(span, errors).is_none() {
            return;
        }
        let references = match expression::references(written, span) {
            Ok(references) => references,
            Err(error) => return errors.push(error),
        };
        for function in &references.functions {
            if !FUNCTIONS.contains(&function.as_str()) {
                let error = Diagnostic::at(span, format!("there is no function `{function}`"));
                let error = error.did_you_mean(function, FUNCTIONS);
                errors.push(match error.hint {
                    Some(_) => error,
                    None => error.hint(format!("functions are {}", FUNCTIONS.join(", "))),
                });
            } else if function == "hash_files" && !roots.has_files() {
                let error = Diagnostic::at(span, "`hash_files` needs the files of the job, which are not there yet");
                errors.push(error.hint("use it in the steps of the stage"));
            }
        }
        let known_before = errors.len();
        for reference in &references.variables {
            if let Err(error) = self.reference(reference, written, span, roots) {
                errors.push(error);
            }
        }
        if errors.len() == known_before && is_constant(&references) {
            let value = look(self.context, &Cell::new(), |scope| expression::evaluate(written, span, scope));
            errors.extend(value.err());
        }
    }

    fn reference(&self, reference: &Reference, written: &str, span: Span, roots: Roots) -> Result<(), Diagnostic> {
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        let root = path[0];
        if expression::is_type_name(root) {
            return Ok(());
        }
        if !Scope::ROOTS.contains(&root) {
            return Err(expression::unknown_root(root, written, span));
        }
        if !roots.names().contains(&root) {
            if root == "secrets" {
                let error = Diagnostic::at(
                    span,
                    "`secrets` can be used only in `run`, `with` and `env` of a step, and in `env` of a service",
                );
                return Err(error.hint("a secret reaches the one step that names it"));
            }
            let message = format!("`{root}` is not known here, in `{}`", reference.shown());
            return Err(Diagnostic::at(span, message).hint(format!("known here are {}", roots.names().join(", "))));
        }
        if let ["stages", name, "outputs", ..] = path.as_slice() {
            self.refuse_outputs_of_several_jobs(name, span)?;
        }
        // `has(a.b)` asks whether there is one.
        if reference.is_test {
            return Ok(());
        }
        match path.as_slice() {
            ["git", fact, ..] => one_of(fact, GIT_FACTS, "fact of `git`", span),
            ["inputs", name, ..] => {
                one_of(name, self.context.inputs.keys().map(String::as_str), "input of the pipeline", span)
            }
            ["matrix", name, ..] => self.matrix(name, span),
            ["env", name, ..] => one_of(name, self.env.iter().copied(), "variable in `env`", span),
            ["steps", id, below @ ..] => self.step(id, below, span),
            // The whole stage would bring the outputs with it.
            ["stages", name] => {
                self.refuse_outputs_of_several_jobs(name, span)?;
                self.stage(name, &[], span)
            }
            ["stages", name, below @ ..] => self.stage(name, below, span),
            ["secrets", ..] if secrets::whole_secret(written).is_none() => {
                let error =
                    Diagnostic::at(span, format!("a secret stands alone in `${{{{ }}}}`, and here is `{written}`"));
                Err(error.hint("write `${{ secrets.NAME }}`: its value cannot be looked at, only handed on"))
            }
            _ => Ok(()),
        }
    }

    fn matrix(&self, name: &str, span: Span) -> Result<(), Diagnostic> {
        let names: BTreeSet<&str> = self.cells.iter().flat_map(|cell| cell.keys().map(String::as_str)).collect();
        one_of(name, names.iter().copied(), "value of the matrix", span)?;
        match self.cells.iter().find(|cell| !cell.contains_key(name)) {
            None => Ok(()),
            Some(cell) => {
                let message = format!("`matrix.{name}` has no value in the job with {}", shown_cell(cell));
                Err(Diagnostic::at(span, message).hint(format!("add `{name}` to its entry of `include`")))
            }
        }
    }

    fn step(&self, id: &str, below: &[&str], span: Span) -> Result<(), Diagnostic> {
        match self.steps.get(id) {
            Some(outputs) => check_step(&format!("steps.{id}"), outputs.as_ref(), below, span),
            None => match self.other_steps.get(id) {
                Some(why) => Err(Diagnostic::at(span, format!("`steps.{id}` is not known yet: that step {why}"))
                    .hint("a step sees the steps before it")),
                None => one_of(id, self.steps.keys().map(String::as_str), "earlier step with the id", span),
            },
        }
    }

    /// Which of several jobs ends last is chance, so none of them speaks for the stage.
    fn refuse_outputs_of_several_jobs(&self, name: &str, span: Span) -> Result<(), Diagnostic> {
        match self.stages.get(name) {
            Some(Some(StageFacts { jobs, .. })) if *jobs > 1 => {
                let message = format!("stage `{name}` has {jobs} jobs, and each of them has outputs of its own");
                Err(Diagnostic::at(span, message).hint(
                    "make the value in a stage without a matrix, or keep it in an artifact with the cell in its name",
                ))
            }
            _ => Ok(()),
        }
    }

    fn stage(&self, name: &str, below: &[&str], span: Span) -> Result<(), Diagnostic> {
        let Some(facts) = self.stages.get(name) else {
            if self.all_stages.contains(name) {
                let error = Diagnostic::at(span, format!("this stage does not depend on stage `{name}`"));
                return Err(error.hint(format!("add `{name}` to `depends_on`")));
            }
            return one_of(name, self.stages.keys().copied(), "stage", span);
        };
        let shown = format!("stages.{name}");
        let Some(StageFacts { steps, .. }) = facts else { return Ok(()) };
        match below {
            ["outputs", id, output @ ..] => {
                one_of(id, steps.keys().map(String::as_str), &format!("step of stage `{name}` with the id"), span)?;
                match (output, steps.get(*id)) {
                    ([output, ..], Some(Some(outputs))) => one_of(
                        output,
                        outputs.iter().map(String::as_str),
                        &format!("output of `{shown}.outputs.{id}`:"),
                        span,
                    ),
                    _ => Ok(()),
                }
            }
            [field, ..] => one_of(field, ["status", "result", "outputs"], &format!("part of `{shown}`:"), span),
            [] => Ok(()),
        }
    }

    /// Evaluates a text of the plan for one cell.
    pub fn at_planning(context: &JobContext, cell: &Cell, node: &Node) -> Result<String, Diagnostic> {
        look(context, cell, |scope| expression::as_text(&expression::interpolate(node, scope)?))
    }
}

/// Shows what is known when planning.
fn look<T>(context: &JobContext, cell: &Cell, see: impl FnOnce(&Scope<'_>) -> T) -> T {
    let nothing = serde_json::Map::new();
    let no_files = |_: &[String]| Err("the files are not there yet".to_owned());
    see(&Scope {
        git: &context.git,
        trigger: &context.trigger,
        inputs: &context.inputs,
        matrix: cell,
        env: &nothing,
        steps: &nothing,
        stages: &nothing,
        secrets: &nothing,
        status: StatusFacts::SUCCESS,
        hash_files: &no_files,
    })
}

/// Has it the same value wherever it stands? Then it is known already whether it has one.
fn is_constant(references: &References) -> bool {
    let names_nothing = references.variables.iter().all(|it| expression::is_type_name(&it.path[0]));
    names_nothing && !references.asks_for_status() && !references.functions.contains("hash_files")
}

fn check_step(shown: &str, outputs: Option<&BTreeSet<String>>, below: &[&str], span: Span) -> Result<(), Diagnostic> {
    match (below, outputs) {
        (["outputs", output, ..], Some(outputs)) => {
            one_of(output, outputs.iter().map(String::as_str), &format!("output of `{shown}`:"), span)
        }
        ([field, ..], _) => one_of(field, ["status", "outputs"], &format!("part of `{shown}`:"), span),
        ([], _) => Ok(()),
    }
}

/// Is the name one of the known ones?
fn one_of<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str, IntoIter: Clone>,
    what: &str,
    span: Span,
) -> Result<(), Diagnostic> {
    let known = known.into_iter();
    if known.clone().any(|known| known == name) {
        return Ok(());
    }
    let error = Diagnostic::at(span, format!("there is no {what} `{name}`")).did_you_mean(name, known.clone());
    if error.hint.is_some() {
        return Err(error);
    }
    let names: Vec<&str> = known.take(20).collect();
    Err(match names.is_empty() {
        true => error.hint("there are none"),
        false => error.hint(format!("known are: {}", names.join(", "))),
    })
}

/// The values of a cell, as in the name of its job.
pub(super) fn shown_cell(cell: &Cell) -> String {
    // A name is shown in terminals, where a control character could draw what it likes.
    let harmless = |character: char| if character.is_control() { ' ' } else { character };
    let shown = |value: &Json| expression::value_as_text(value).chars().take(40).map(harmless).collect::<String>();
    cell.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(", ")
}

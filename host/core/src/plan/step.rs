//! The steps of a stage: pinned, checked, written out.

use std::collections::{BTreeSet, HashMap};

use super::{
    PlannedStep, PluginPin, RetryPolicy,
    build::RUN_PLUGIN,
    expressions::{Known, Roots, StepFacts},
    grants,
    plugins::{Plugins, Resolved},
    secrets,
};
use crate::{
    diagnostic::Diagnostic,
    expression::{self, Part, script},
    grant::{ForkRights, Grants},
    limit::Limits,
    pipeline::{Action, Stage, Step, StepItem},
    plugin::Capability,
    wit::{self, snake_case},
    yaml::{Content, Node, Span},
};

/// The steps of a stage, the same for all its jobs but for what is evaluated for each.
pub(super) struct StageSteps {
    pub steps: Vec<StepOfStage>,
    /// What later stages can read of them.
    pub outputs: StepFacts,
    /// One of them runs commands, or might.
    pub needs_environment: bool,
}

/// A step before its name is evaluated for a job.
pub(super) struct StepOfStage {
    /// `name:` with its expressions; the step has a name of its own if there is none.
    pub name: Option<Node>,
    pub step: PlannedStep,
}

/// Plans the steps of a stage.
pub(super) fn plan_all(
    stage: &Stage,
    timeout_ms: u64,
    forks: ForkRights,
    mut known: Known<'_>,
    plugins: &mut Plugins<'_>,
    errors: &mut Vec<Diagnostic>,
) -> StageSteps {
    let all = stage.steps.iter().flat_map(|item| match item {
        StepItem::One(step) => std::slice::from_ref(step.as_ref()),
        StepItem::Parallel(steps) => steps.as_slice(),
    });
    known.other_steps = all.filter_map(|step| Some((step.id.clone()?, "runs later"))).collect();

    let limits = stage.limits.apply(Limits::default());
    let mut planner = StepPlanner { limits, timeout_ms, forks, known, plugins, errors, needs_environment: false };
    let mut steps = Vec::new();
    let mut group = 0;
    for item in &stage.steps {
        match item {
            StepItem::One(step) => {
                if let Some(id) = &step.id {
                    planner.known.other_steps.insert(id.clone(), "is this one");
                }
                let (planned, outputs) = planner.step(step, None);
                steps.extend(planned);
                planner.learn(step, outputs);
            }
            StepItem::Parallel(together) => {
                for id in together.iter().filter_map(|step| step.id.as_ref()) {
                    planner.known.other_steps.insert(id.clone(), "runs at the same time");
                }
                let planned: Vec<_> = together.iter().map(|step| planner.step(step, Some(group))).collect();
                for (step, (planned, outputs)) in together.iter().zip(planned) {
                    steps.extend(planned);
                    planner.learn(step, outputs);
                }
                group += 1;
            }
        }
    }
    StageSteps { steps, needs_environment: planner.needs_environment, outputs: planner.known.steps }
}

struct StepPlanner<'k, 'p, 'a> {
    limits: Limits,
    timeout_ms: u64,
    forks: ForkRights,
    known: Known<'k>,
    plugins: &'p mut Plugins<'a>,
    errors: &'p mut Vec<Diagnostic>,
    needs_environment: bool,
}

/// What the words of a step mean for its plugin.
struct Call {
    reference: String,
    /// Where the plugin, or the script, was written.
    place: Span,
    with: Node,
    /// Variables that hold the values of the script's expressions.
    lifted: Vec<(String, Node)>,
    default_name: String,
}

impl StepPlanner<'_, '_, '_> {
    /// From here on other steps can name this one.
    fn learn(&mut self, step: &Step, outputs: Option<BTreeSet<String>>) {
        if let Some(id) = &step.id {
            self.known.other_steps.remove(id);
            self.known.steps.insert(id.clone(), outputs);
        }
    }

    fn step(&mut self, step: &Step, parallel_group: Option<u32>) -> (Option<StepOfStage>, Option<BTreeSet<String>>) {
        let Some(call) = self.call(step) else {
            self.needs_environment = true;
            return (None, None);
        };
        self.check_expressions(step, &call);
        let plugin = match self.plugins.get(&call.reference, call.place) {
            Ok(plugin) => plugin,
            Err(error) => {
                self.errors.push(error);
                self.needs_environment = true;
                return (None, None);
            }
        };
        let description = &plugin.description;
        self.needs_environment |= description.asks_for().any(|capability| capability == Capability::Environment);
        let grants = self.check_plugin(step, &call, &plugin);
        let outputs = description.outputs.iter().map(|field| snake_case(&field.name)).collect();

        let mut env = step.env.clone();
        env.extend(call.lifted);
        if matches!(step.action, Action::Run { .. }) {
            env.extend(step.secrets.iter().map(|name| secret_variable(name, step.span)));
        }
        let planned = PlannedStep {
            id: step.id.clone(),
            name: call.default_name,
            plugin: PluginPin { reference: call.reference, digest: description.digest.clone() },
            with: call.with,
            env,
            condition: step.condition.clone(),
            limits: self.limits_of(step),
            grants,
            retry: step.retry.clone().unwrap_or_else(RetryPolicy::never),
            allow_failure: step.allow_failure,
            parallel_group,
            span: step.span,
        };
        (Some(StepOfStage { name: step.name.clone(), step: planned }), Some(outputs))
    }

    fn call(&mut self, step: &Step) -> Option<Call> {
        match &step.action {
            Action::Uses { reference, reference_span, with } => {
                let empty = Node { span: with.span, content: Content::Map(Vec::new()) };
                let with = if matches!(with.content, Content::Map(_)) { with.clone() } else { empty };
                let default_name = reference.clone();
                let (reference, place) = (reference.clone(), *reference_span);
                Some(Call { reference, place, with, lifted: Vec::new(), default_name })
            }
            Action::Run { script, shell, working_directory } => {
                let text = script.as_text().unwrap_or("");
                let lifted = match script::lift(text, shell.as_deref(), script.span) {
                    Ok(lifted) => lifted,
                    Err(error) => {
                        self.errors.push(error);
                        return None;
                    }
                };
                let value = |text: &str, span: Span| {
                    let content = Content::Scalar { text: text.to_owned(), plain: false };
                    Node { span, content }
                };
                let mut with = vec![(Node::text("script"), value(&lifted.script, script.span))];
                with.extend(shell.iter().map(|shell| (Node::text("shell"), value(shell, step.span))));
                with.extend(working_directory.iter().map(|node| (Node::text("working_directory"), node.clone())));
                let places = places_of_expressions(script);
                let variables = lifted.variables.into_iter().map(|(name, expression)| {
                    let span = places.get(expression.as_str()).copied().unwrap_or(script.span);
                    (name, value(&format!("${{{{ {expression} }}}}"), span))
                });
                Some(Call {
                    reference: RUN_PLUGIN.to_owned(),
                    place: script.span,
                    lifted: variables.collect(),
                    default_name: name_of_script(text),
                    with: Node { span: script.span, content: Content::Map(with) },
                })
            }
        }
    }

    fn check_expressions(&mut self, step: &Step, call: &Call) {
        let own: Vec<&str> = step.env.iter().map(|(name, _)| name.as_str()).collect();
        let mut with_own = Known {
            context: self.known.context,
            cells: self.known.cells,
            stages: self.known.stages,
            all_stages: self.known.all_stages.clone(),
            env: self.known.env.clone(),
            steps: std::mem::take(&mut self.known.steps),
            other_steps: std::mem::take(&mut self.known.other_steps),
            room: self.known.room,
        };
        with_own.env.extend(own);
        let errors = &mut *self.errors;
        if let Some(condition) = &step.condition {
            with_own.check(&condition.expression, condition.span, Roots::WithoutSecrets, errors);
        }
        for (_, value) in step.env.iter().chain(&call.lifted) {
            with_own.check_node(value, Roots::InSteps, errors);
        }
        // Of a script these are shell and directory, which are shown and need no secret.
        let roots = if matches!(step.action, Action::Run { .. }) { Roots::WithoutSecrets } else { Roots::InSteps };
        with_own.check_node(&call.with, roots, errors);
        if let Some(name) = &step.name {
            with_own.check_node(name, Roots::AtPlanning, errors);
        }
        self.known.steps = with_own.steps;
        self.known.other_steps = with_own.other_steps;
    }

    fn check_plugin(&mut self, step: &Step, call: &Call, plugin: &Resolved) -> Grants {
        let description = &plugin.description;
        let checked = wit::check_inputs(&call.with, &description.inputs);
        if let Err(mismatches) = checked {
            for mismatch in mismatches.0 {
                self.errors.push(mismatch.into_diagnostic());
            }
        }
        let (written, secrets) = (step.grants.as_ref(), &step.secrets);
        let mut grants = grants::check(&call.reference, call.place, plugin, written, secrets, self.errors);
        // Who writes a secret into an input or a variable of a step means that the step may spend it.
        let values = step.env.iter().chain(&call.lifted).map(|(_, value)| value).chain([&call.with]);
        values.flat_map(secrets::named_in).for_each(|name| grants.spend(&name));
        grants.under(self.known.context.trust, self.forks)
    }

    /// The limits of the stage with those of the step; the timeout is the smallest that was written.
    fn limits_of(&self, step: &Step) -> Limits {
        let limits = step.limits.apply(self.limits.clone());
        let timeout_ms = limits.timeout_ms.min(self.timeout_ms).min(step.timeout_ms.unwrap_or(u64::MAX));
        Limits { timeout_ms, ..limits }
    }
}

/// The environment variable that `secrets:` gives to a script: it has the name of the secret.
fn secret_variable(name: &str, span: Span) -> (String, Node) {
    let text = format!("${{{{ secrets.{name} }}}}");
    (name.to_owned(), Node { span, content: Content::Scalar { text, plain: false } })
}

/// The expressions of a script with the places where they stand first.
fn places_of_expressions(script: &Node) -> HashMap<&str, Span> {
    let text = script.as_text().unwrap_or("");
    let mut places = HashMap::new();
    for part in expression::parts(text, script.span).unwrap_or_default() {
        if let Part::Expression { text: written, offset } = part {
            let span = || expression::span_of(text, offset, written.chars().count(), script.span);
            places.entry(written).or_insert_with(span);
        }
    }
    places
}

/// The first line of a script that says something.
fn name_of_script(script: &str) -> String {
    const MAX: usize = 60;
    let lines = script.lines().map(str::trim);
    let line = lines.clone().find(|line| !line.is_empty() && !line.starts_with('#')).or(lines.clone().next());
    let line = line.unwrap_or("");
    match line.char_indices().nth(MAX) {
        Some(_) => line.chars().take(MAX - 1).chain(['…']).collect(),
        None => line.to_owned(),
    }
}

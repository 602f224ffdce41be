//! From a pipeline to a plan.

use std::collections::BTreeMap;

use super::{
    Dependency, JobContext, Plan, PlannedStage, RetryPolicy, concurrency,
    expressions::{Known, Roots, StageFacts},
    graph, inputs, jobs, matrix,
    plugins::{Plugins, Resolve},
    services,
    size::Room,
    step::{self, StageSteps},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    id::{JobIndex, StageIndex},
    limit::DEFAULT_TIMEOUT_MS,
    pipeline::{Pipeline, Stage, StageEnvironment},
};

/// The plugin that `run:` stands for.
pub const RUN_PLUGIN: &str = "oxide/run@1";
/// How long a run may take in milliseconds if the pipeline does not say: a day.
pub const DEFAULT_RUN_TIMEOUT_MS: u64 = 24 * 60 * 60 * 1000;
/// How many processes a container may have if the stage does not say.
pub const DEFAULT_PIDS: u32 = 4096;

/// Plans a run of a pipeline. `file` is its name as the user knows it; `plugins` tells what a plugin asks for, takes and
/// gives, and whether it is built in, or why it cannot be used.
///
/// # Errors
/// Every mistake that can be found before anything runs.
pub fn build(
    pipeline: &Pipeline,
    file: &str,
    context: &JobContext,
    plugins: &Resolve<'_>,
) -> Result<Plan, Diagnostics> {
    let mut errors = Vec::new();
    let context = inputs::complete(pipeline, context, &mut errors);
    // Who waits for people for a day has not used up the day of the run.
    let waits_ms = pipeline.stages.iter().filter_map(|stage| Some(stage.approval.as_ref()?.timeout_ms));
    let default_timeout_ms = waits_ms.fold(DEFAULT_RUN_TIMEOUT_MS, u64::saturating_add);
    let order = graph::order(&pipeline.stages, &mut errors);
    let concurrency = concurrency::plan(pipeline, &context, &mut errors);
    let mut planner = Planner {
        pipeline,
        context: &context,
        plugins: Plugins::new(plugins),
        outputs: BTreeMap::new(),
        errors,
        room: Room::new(),
        plan: Plan {
            pipeline: pipeline.name.clone(),
            file: file.to_owned(),
            timeout_ms: pipeline.timeout_ms.unwrap_or(default_timeout_ms),
            stages: Vec::new(),
            jobs: Vec::new(),
            context: context.clone(),
            concurrency,
        },
        positions: BTreeMap::new(),
    };
    for position in order {
        planner.stage(&pipeline.stages[position]);
    }
    match planner.errors.is_empty() {
        true => Ok(planner.plan),
        false => Err(Diagnostics(planner.errors).sorted()),
    }
}

struct Planner<'a> {
    pipeline: &'a Pipeline,
    context: &'a JobContext,
    plugins: Plugins<'a>,
    /// What later stages can read of the stages so far.
    outputs: BTreeMap<&'a str, StageFacts>,
    errors: Vec<Diagnostic>,
    room: Room,
    plan: Plan,
    positions: BTreeMap<&'a str, StageIndex>,
}

impl<'a> Planner<'a> {
    fn stage(&mut self, stage: &'a Stage) {
        let index = StageIndex(to_index(self.plan.stages.len()));
        let known_stages = self.known_stages(stage);
        let timeout_ms = stage.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS);

        let cells = matrix::expand(stage, &mut self.errors);
        let known = Known {
            context: self.context,
            cells: &cells,
            stages: &known_stages,
            all_stages: self.pipeline.stages.iter().map(|stage| stage.name.as_str()).collect(),
            env: self.pipeline.env.iter().chain(&stage.env).map(|(name, _)| name.as_str()).collect(),
            steps: BTreeMap::new(),
            other_steps: BTreeMap::new(),
            room: &self.room,
        };
        if let Some(condition) = &stage.condition {
            known.check(&condition.expression, condition.span, Roots::OfStages, &mut self.errors);
        }
        for (_, value) in self.pipeline.env.iter().chain(&stage.env) {
            known.check_node(value, Roots::BeforeSteps, &mut self.errors);
        }
        for node in &stage.runs_on {
            known.check_node(node, Roots::AtPlanning, &mut self.errors);
        }
        for node in stage.environment.iter().flat_map(StageEnvironment::texts) {
            known.check_node(node, Roots::AtPlanning, &mut self.errors);
        }
        services::check(&stage.services, &known, &mut self.errors);
        let StageSteps { steps, outputs, needs_environment } =
            step::plan_all(stage, timeout_ms, self.pipeline.forks, known, &mut self.plugins, &mut self.errors);
        self.outputs.insert(&stage.name, StageFacts { steps: outputs, jobs: cells.len() });

        let env: Vec<_> = self.pipeline.env.iter().chain(&stage.env).cloned().collect();
        if let Err(error) = self.room.take((&stage.name, stage.span), cells.len(), &env, &steps) {
            return self.errors.push(error);
        }
        let stage_jobs = jobs::JobsOfStage {
            stage,
            index,
            cells: &cells,
            steps: &steps,
            env,
            timeout_ms,
            needs_environment,
            context: self.context,
            forks: self.pipeline.forks,
        };
        let first = self.plan.jobs.len();
        self.plan.jobs.extend(stage_jobs.plan(&mut self.errors));
        let jobs = (first..self.plan.jobs.len()).map(|job| JobIndex(to_index(job))).collect();

        self.positions.insert(&stage.name, index);
        let depends_on = stage.depends_on.iter().filter_map(|dependency| {
            let on = *self.positions.get(dependency.stage.as_str())?;
            Some(Dependency { stage: on, allow_failure: dependency.allow_failure })
        });
        let planned = PlannedStage {
            name: stage.name.clone(),
            depends_on: depends_on.collect(),
            condition: stage.condition.clone(),
            fail_fast: stage.matrix.as_ref().is_some_and(|matrix| matrix.fail_fast),
            max_parallel: stage.matrix.as_ref().and_then(|matrix| matrix.max_parallel),
            timeout_ms,
            retry: stage.retry.clone().unwrap_or_else(RetryPolicy::infrastructure),
            allow_failure: stage.allow_failure,
            approval: stage.approval.clone(),
            kept: None,
            jobs,
            span: stage.span,
        };
        self.plan.stages.push(planned);
    }

    /// The stages that expressions of this stage can name: those that it depends on, directly or not. An optional one
    /// that does not exist is known, without outputs: asking for it gives null.
    fn known_stages(&self, stage: &'a Stage) -> BTreeMap<&'a str, Option<StageFacts>> {
        let mut known = BTreeMap::new();
        let mut open: Vec<&Stage> = vec![stage];
        while let Some(next) = open.pop() {
            for dependency in &next.depends_on {
                let name = dependency.stage.as_str();
                if known.contains_key(name) {
                    continue;
                }
                match self.pipeline.stages.iter().find(|stage| stage.name == name) {
                    Some(found) => {
                        known.insert(name, self.outputs.get(name).cloned());
                        open.push(found);
                    }
                    None => drop(known.insert(name, None)),
                }
            }
        }
        known
    }
}

/// A position as an index; the number of stages, jobs and steps is bounded long before.
pub(super) fn to_index(position: usize) -> u32 {
    u32::try_from(position).expect("a pipeline has at most 100,000 values")
}

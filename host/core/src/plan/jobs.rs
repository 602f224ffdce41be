//! The jobs of a stage: one for each cell of its matrix, with everything evaluated that depends on the cell only.

use super::{
    JobContext, PlannedJob, environment,
    expressions::{Known, shown_cell},
    matrix::Cell,
    services,
    step::StepOfStage,
};
use crate::{
    diagnostic::Diagnostic,
    grant::{ForkRights, Trust},
    id::StageIndex,
    pipeline::{Stage, StageEnvironment},
    yaml::Node,
};

pub(super) struct JobsOfStage<'a> {
    pub stage: &'a Stage,
    pub index: StageIndex,
    pub cells: &'a [Cell],
    pub steps: &'a [StepOfStage],
    pub env: Vec<(String, Node)>,
    pub timeout_ms: u64,
    pub needs_environment: bool,
    pub context: &'a JobContext,
    pub forks: ForkRights,
}

impl JobsOfStage<'_> {
    pub fn plan(&self, errors: &mut Vec<Diagnostic>) -> Vec<PlannedJob> {
        if self.stage.environment.is_none() && self.needs_environment {
            let message = format!("stage `{}` does not say where its commands run", self.stage.name);
            let hint = "write `environment: host` or `environment: { container: IMAGE }`";
            errors.push(Diagnostic::at(self.stage.span, message).hint(hint));
        }
        if matches!(self.stage.environment, Some(StageEnvironment::Firecracker { .. }))
            && let Some(service) = self.stage.services.first()
        {
            let error = Diagnostic::at(service.span, "a virtual machine cannot reach services beside it");
            errors.push(error.hint("use a container, or start what is needed in a step"));
        }
        if self.context.trust == Trust::Fork {
            errors.extend(self.too_much_for_a_fork());
        }
        let mut jobs = Vec::new();
        for cell in self.cells {
            match self.job(cell) {
                Ok(job) => jobs.push(job),
                // The same mistake in every cell is one mistake.
                Err(error) => {
                    errors.push(error);
                    break;
                }
            }
        }
        jobs
    }

    /// What the run of a fork may not do on the host. Services of a stage without `environment` run there, too.
    fn too_much_for_a_fork(&self) -> Option<Diagnostic> {
        let (commands, services) = (self.needs_environment, !self.stage.services.is_empty());
        let is_contained = matches!(
            self.stage.environment,
            Some(StageEnvironment::Container { .. } | StageEnvironment::Firecracker { .. })
        );
        if is_contained || !(commands || services) {
            return None;
        }
        let name = &self.stage.name;
        let (message, hint) = match (self.forks.host, self.forks.network) {
            (false, _) => (
                format!(
                    "stage `{name}` runs {} on the host, which the run of a fork may not",
                    if commands { "commands" } else { "services" }
                ),
                "use a container, or add `forks: { host: true }` to the pipeline if strangers may run commands there",
            ),
            (true, false) if services => (
                format!(
                    "the services of stage `{name}` share the network of the host, which the run of a fork may not"
                ),
                "use a container, or add `forks: { host: true, network: true }` to the pipeline if strangers may reach the network",
            ),
            (true, _) => return None,
        };
        Some(Diagnostic::at(self.stage.span, message).hint(hint))
    }

    fn job(&self, cell: &Cell) -> Result<PlannedJob, Diagnostic> {
        let evaluate = |node: &Node| Known::at_planning(self.context, cell, node);
        let mut runs_on = Vec::new();
        for label in &self.stage.runs_on {
            runs_on.push(evaluate(label)?);
        }
        let mut steps = Vec::with_capacity(self.steps.len());
        for StepOfStage { name, step } in self.steps {
            let mut step = step.clone();
            if let Some(name) = name {
                let name = evaluate(name)?;
                step.name = name.lines().next().unwrap_or("").chars().take(200).collect();
            }
            steps.push(step);
        }
        let name = match cell.is_empty() {
            true => self.stage.name.clone(),
            false => format!("{} ({})", self.stage.name, shown_cell(cell)),
        };
        Ok(PlannedJob {
            stage: self.index,
            name,
            matrix: cell.clone(),
            runs_on,
            environment: environment::plan(self, cell)?,
            services: services::plan(&self.stage.services, self.context, cell)?,
            env: self.env.clone(),
            timeout_ms: self.timeout_ms,
            steps,
            kept: None,
        })
    }
}

/// The image that a text names for a cell.
pub(super) fn image(written: &Node, context: &JobContext, cell: &Cell) -> Result<String, Diagnostic> {
    let name = Known::at_planning(context, cell, written)?;
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) || name.starts_with('-') {
        return Err(Diagnostic::at(written.span, format!("the image `{name}` is no name of an image")));
    }
    Ok(name)
}

//! `oxide validate`: everything that can be wrong before anything runs.

use std::path::PathBuf;

use oxide_core::quantity;

use crate::{
    exit_code::Exit,
    failure::Failure,
    planning,
    project::Project,
    terminal::{print, without_controls},
};

/// Arguments of `oxide validate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A pipeline file, or the directory of a project.
    #[arg(default_value = ".")]
    path: PathBuf,
}

/// Says that the pipeline is valid, or why it is not.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(&arguments.path)?;
    let plan = planning::plan(&project, planning::Choices::default())?;
    let steps = plan.jobs.iter().map(|job| job.steps.len()).sum();
    let counts = [(plan.stages.len(), "stage"), (plan.jobs.len(), "job"), (steps, "step")];
    let counts = counts.map(|(count, what)| quantity::how_many(count as u64, what));
    print(&format!("{} is valid: {}\n", without_controls(&project.file), counts.join(", ")))?;
    Ok(Exit::Success)
}

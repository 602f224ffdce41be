//! `oxide validate`: everything that can be wrong before anything runs.

use std::path::PathBuf;

use crate::{exit_code::Exit, failure::Failure, planning, project::Project, terminal::print};

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
    let steps: usize = plan.jobs.iter().map(|job| job.steps.len()).sum();
    print(&format!(
        "{} is valid: {} stages, {} jobs, {steps} steps\n",
        project.file,
        plan.stages.len(),
        plan.jobs.len()
    ))?;
    Ok(Exit::Success)
}

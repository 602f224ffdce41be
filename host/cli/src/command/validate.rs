//! `oxide validate`: everything that can be wrong before anything runs.

use std::path::{Path, PathBuf};

use oxide_core::quantity;

use crate::{
    exit_code::Exit,
    failure::Failure,
    planning::{self, Choices, PluginChoices},
    project::Project,
    terminal::{print, without_controls},
};

/// Arguments of `oxide validate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A pipeline file, or the directory of a project.
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    plugins: PluginChoices,
}

/// Says that the pipeline is valid, or why it is not.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let project = Project::open(&arguments.path)?;
    let choices = Choices { plugins: arguments.plugins.clone(), ..Choices::default() };
    let plan = planning::plan(&project, choices, data_dir)?;
    let steps = plan.jobs.iter().map(|job| job.steps.len()).sum();
    let counts = [(plan.stages.len(), "stage"), (plan.jobs.len(), "job"), (steps, "step")];
    let counts = counts.map(|(count, what)| quantity::how_many(count as u64, what));
    print(&format!("{} is valid: {}\n", without_controls(&project.file), counts.join(", ")))?;
    Ok(Exit::Success)
}

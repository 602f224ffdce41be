//! From a project and the command line to a plan; `oxide-planner` does the work.

use std::path::Path;

use oxide_core::{
    diagnostic::Diagnostics,
    grant::Trust,
    pipeline::Pipeline,
    plan::{JobContext, Plan},
};
use oxide_planner::{PlanError, Supply, registry_references};
use oxide_registry::Catalog;
use serde_json::{Map, Value as Json};

use crate::{
    failure::Failure,
    git_facts::{self, Refused},
    local_engine,
    project::{self, Project},
    registries::{self, RegistryArguments},
    terminal::{Paint, Terminal},
};

/// What the user chose about the run on the command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choices {
    /// Only this stage and the stages that it depends on.
    #[arg(long, value_name = "STAGE")]
    pub only: Option<String>,
    /// A value of `inputs`, as NAME=VALUE; may be given several times.
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// Plan as for somebody who may write to the repository, or as for a pull request from a fork: with less right.
    #[arg(long, value_enum, default_value_t)]
    pub trust: TrustChoice,
    /// How plugins of registries are found.
    #[command(flatten)]
    pub plugins: PluginChoices,
}

/// What the user chose about plugins of registries.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PluginChoices {
    /// Plugins of registries must stand in `oxide.lock` exactly as the pipeline writes them.
    #[arg(long)]
    pub locked: bool,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryArguments,
}

/// Values of `--trust`.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum TrustChoice {
    /// All that the pipeline grants.
    #[default]
    Full,
    /// No secrets, no network, no commands on the host, unless `forks:` says so.
    Fork,
}

/// Plans a run of the project. Plugins of registries that are not on this machine are fetched.
pub fn plan(project: &Project, choices: Choices, data_dir: Option<&Path>) -> Result<Plan, Failure> {
    let colour = Terminal::stderr().colour;
    let refused = |diagnostics: Diagnostics| {
        Failure::invalid_pipeline(diagnostics.render(&project.file, &project.source, colour))
    };
    let pipeline = Pipeline::parse(&project.source).map_err(refused)?;
    let supply = supply(&pipeline, project, &choices.plugins, data_dir)?;
    let catalog = Catalog::new(&project.directory).strictly_locked(choices.plugins.locked);
    let context = context(&project.directory, &choices)?;
    let only = choices.only.as_deref();
    local_engine::in_runtime(async {
        let planned = oxide_planner::plan(pipeline, &project.file, catalog, supply, context, only).await;
        planned.map(|planned| planned.plan).map_err(|error| match error {
            PlanError::Invalid(diagnostics) => refused(diagnostics),
            PlanError::NoStage { stage, stages } => Failure::usage(format!("the pipeline has no stage `{stage}`"))
                .hint(format!("its stages are: {}", stages.join(", "))),
            PlanError::Stopped(_) => Failure::of(&error),
        })
    })
}

/// What plugins of registries are taken from; none if the pipeline uses none, and then nothing of it is looked at.
fn supply(
    pipeline: &Pipeline,
    project: &Project,
    choices: &PluginChoices,
    data_dir: Option<&Path>,
) -> Result<Option<Supply>, Failure> {
    if registry_references(pipeline).is_empty() {
        return Ok(None);
    }
    let data = project::data_directory(data_dir)?;
    let policy = registries::policy(&project.directory)?;
    Ok(Some(Supply::in_directory(&data, policy, choices.registries.registries(), |reference| {
        eprintln!("{}", Paint { colour: Terminal::stderr().colour }.dim(&format!("fetching {reference}")));
    })))
}

/// What expressions can see of a run on this machine.
fn context(directory: &Path, choices: &Choices) -> Result<JobContext, Failure> {
    let mut given = Map::new();
    for input in &choices.inputs {
        let (name, value) = input.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`--input {input}` has no value")).hint("write `--input NAME=VALUE`")
        })?;
        given.insert(name.to_owned(), value.into());
    }
    let trigger = Map::from_iter([("kind".to_owned(), Json::from("manual"))]);
    let trust = match choices.trust {
        TrustChoice::Full => Trust::Full,
        TrustChoice::Fork => Trust::Fork,
    };
    Ok(JobContext {
        git: git_facts::read(directory).map_err(refused_by_git)?,
        trigger,
        inputs: given,
        trust,
        project: git_facts::project(directory),
    })
}

/// Git does not let its repository be read, and so nobody knows which commit is meant.
fn refused_by_git(refused: Refused) -> Failure {
    let failure = Failure::of(&refused);
    match &refused.command {
        Some(command) => failure.hint(format!("if you trust it: `{command}`")),
        None => failure.hint("`git status` there says more"),
    }
}

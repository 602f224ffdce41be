//! From a project to a plan: reads the pipeline, finds its plugins, checks everything.

use std::{
    cell::RefCell,
    collections::HashMap,
    path::{Path, PathBuf},
};

use oxide_core::{
    cause::in_one_line,
    diagnostic::Diagnostics,
    grant::Trust,
    pipeline::Pipeline,
    plan::{self, JobContext, Plan},
    plugin::PluginDescription,
};
use oxide_registry::Catalog;
use serde_json::{Map, Value as Json};

use crate::{
    failure::Failure,
    git_facts::{self, Refused},
    project::Project,
    terminal::Terminal,
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

/// Plans a run of the project.
pub fn plan(project: &Project, choices: Choices) -> Result<Plan, Failure> {
    let colour = Terminal::stderr().colour;
    let refused = |diagnostics: Diagnostics| {
        Failure::invalid_pipeline(diagnostics.render(&project.file, &project.source, colour))
    };
    let pipeline = Pipeline::parse(&project.source).map_err(refused)?;
    let plugins = Plugins::new(&project.directory);
    let context = context(&project.directory, &choices)?;
    let plan =
        plan::build(&pipeline, &project.file, &context, &|reference| plugins.describe(reference)).map_err(refused)?;
    match &choices.only {
        None => Ok(plan),
        Some(stage) => plan.only(stage).ok_or_else(|| {
            let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
            Failure::usage(format!("the pipeline has no stage `{stage}`"))
                .hint(format!("its stages are: {}", names.join(", ")))
        }),
    }
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

/// What a plugin is and whether it is built in, or why it cannot be used.
type Described = Result<(PluginDescription, bool), String>;

/// The plugins of one plan: each is found and read once.
struct Plugins {
    catalog: Catalog,
    known: RefCell<HashMap<String, Described>>,
}

impl Plugins {
    fn new(directory: &Path) -> Self {
        Plugins { catalog: Catalog::new(PathBuf::from(directory)), known: RefCell::default() }
    }

    /// What a plugin asks for, takes and gives, and whether it is built in.
    fn describe(&self, reference: &str) -> Described {
        if let Some(known) = self.known.borrow().get(reference) {
            return known.clone();
        }
        let described = self.catalog.resolve(reference).map_err(|error| in_one_line(&error)).and_then(|plugin| {
            let description = oxide_runtime::describe(&plugin.bytes).map_err(|error| {
                let hint = error.hint().map_or(String::new(), |hint| format!("; {hint}"));
                format!("{}{hint}", in_one_line(&error))
            })?;
            Ok((description, plugin.built_in))
        });
        self.known.borrow_mut().insert(reference.to_owned(), described.clone());
        described
    }
}

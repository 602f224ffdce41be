//! What the host knows of a plugin without running it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wit::Type;

/// A WIT interface of `oxide:ci` that the host offers to plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Shared types; grants nothing.
    Types,
    /// The log of the step.
    Log,
    /// Annotations and summary.
    Output,
    /// Facts about the run.
    RunInfo,
    /// The files of the job.
    Workspace,
    /// Commands.
    Environment,
    /// Fetching commits.
    Git,
    /// Secrets as handles.
    Secrets,
    /// Container images.
    Containers,
    /// Files for later runs of the project.
    Cache,
    /// Files for later stages and for people.
    Artifacts,
}

impl Capability {
    /// All of them, in the order of the contract.
    pub const ALL: [Capability; 11] = [
        Capability::Types,
        Capability::Log,
        Capability::Output,
        Capability::RunInfo,
        Capability::Workspace,
        Capability::Environment,
        Capability::Git,
        Capability::Secrets,
        Capability::Containers,
        Capability::Cache,
        Capability::Artifacts,
    ];

    /// The name of the interface in WIT, such as `run-info`.
    pub fn interface(self) -> &'static str {
        match self {
            Capability::Types => "types",
            Capability::Log => "log",
            Capability::Output => "output",
            Capability::RunInfo => "run-info",
            Capability::Workspace => "workspace",
            Capability::Environment => "environment",
            Capability::Git => "git",
            Capability::Secrets => "secrets",
            Capability::Containers => "containers",
            Capability::Cache => "cache",
            Capability::Artifacts => "artifacts",
        }
    }

    /// The key below `grants:` in the pipeline: the interface in snake_case.
    pub fn yaml_key(self) -> &'static str {
        match self {
            Capability::RunInfo => "run_info",
            other => other.interface(),
        }
    }

    /// The capability of an interface name, if there is one.
    pub fn from_interface(name: &str) -> Option<Capability> {
        Capability::ALL.into_iter().find(|capability| capability.interface() == name)
    }

    /// Does every plugin have it without asking?
    pub fn is_always_granted(self) -> bool {
        matches!(self, Capability::Types | Capability::Log | Capability::Output | Capability::RunInfo)
    }

    /// Is it granted as `read` or `write`, and not as `true`?
    pub fn has_access(self) -> bool {
        matches!(self, Capability::Workspace | Capability::Cache | Capability::Artifacts)
    }

    /// What the capability lets a plugin do, in a few words.
    pub fn summary(self) -> &'static str {
        match self {
            Capability::Types => "shared types",
            Capability::Log => "write to the step's log",
            Capability::Output => "annotations and a summary",
            Capability::RunInfo => "read facts about the run",
            Capability::Workspace => "read and write the files of the job",
            Capability::Environment => "run commands in the job's environment",
            Capability::Git => "fetch commits from git remotes",
            Capability::Secrets => "spend the secrets that are named",
            Capability::Containers => "build container images from the workspace and push them",
            Capability::Cache => "keep files for later runs of the project",
            Capability::Artifacts => "keep files of the run for later stages and for people",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.interface())
    }
}

/// One import of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The full name, such as `oxide:ci/workspace@0.1.0`.
    pub name: String,
    /// The capability that it asks for, if it is one of `oxide:ci`.
    pub capability: Option<Capability>,
}

/// One field of the `inputs` or `outputs` record of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The name in WIT, kebab-case.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub ty: Type,
    /// The doc comment; none for components built without documentation.
    pub docs: Option<String>,
}

/// Everything that the host reads from a component without compiling it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginDescription {
    /// The package name with version from the embedded documentation, such as `acme:greet@0.1.0`.
    pub package: Option<String>,
    /// The doc comment of `run`, else of the world.
    pub docs: Option<String>,
    /// The licence, an SPDX expression.
    pub license: Option<String>,
    /// Where the source is.
    pub source: Option<String>,
    /// The contract (`oxide:ci`) version that it was built for, such as `0.1.0`.
    pub contract: Option<String>,
    /// All imports.
    pub imports: Vec<Import>,
    /// The fields of the inputs record; empty if `run` takes nothing.
    pub inputs: Vec<Field>,
    /// The fields of the outputs record; empty if `run` returns none.
    pub outputs: Vec<Field>,
    /// SHA-256 of the component's bytes, as `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// Does `run` take one parameter, the record `inputs`?
    pub takes_inputs: bool,
}

impl PluginDescription {
    /// The capabilities that the component asks for beyond those that every plugin has.
    pub fn asks_for(&self) -> impl Iterator<Item = Capability> + '_ {
        self.imports.iter().filter_map(|import| import.capability).filter(|capability| !capability.is_always_granted())
    }
}

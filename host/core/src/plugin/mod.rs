//! What the host knows of a plugin without running it, and what changed between two versions of it.

pub mod compatibility;

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wit::Type;

/// What the host offers to plugins: an interface of `oxide:ci`, or a standard one that is granted host by host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// Outgoing HTTP requests, by the standard `wasi:http`.
    Http,
    /// Outgoing TCP connections, by the standard `wasi:sockets`.
    Tcp,
}

impl Capability {
    /// All of them, in the order of the contract.
    pub const ALL: [Capability; 13] = [
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
        Capability::Http,
        Capability::Tcp,
    ];

    /// The name of the interface in WIT, such as `run-info`; a short name for standard interfaces.
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
            Capability::Http => "http",
            Capability::Tcp => "tcp",
        }
    }

    /// What a component that asks for it imports, such as `oxide:ci/git`.
    pub fn import(self) -> String {
        match self {
            Capability::Http => "wasi:http/outgoing-handler".to_owned(),
            Capability::Tcp => "wasi:sockets".to_owned(),
            own => format!("oxide:ci/{}", own.interface()),
        }
    }

    /// The key below `grants:` in the pipeline: the interface in snake_case.
    pub fn yaml_key(self) -> &'static str {
        match self {
            Capability::RunInfo => "run_info",
            other => other.interface(),
        }
    }

    /// The capability of an interface of `oxide:ci`, if there is one of this name.
    pub fn from_interface(name: &str) -> Option<Capability> {
        Capability::ALL.into_iter().find(|capability| !capability.is_standard() && capability.interface() == name)
    }

    /// The capability of a standard import such as `wasi:http/types@0.2.3`, if it is one that must be granted.
    pub fn from_standard(import: &str) -> Option<Capability> {
        let (path, version) = import.split_once('@')?;
        match path {
            _ if !version.starts_with("0.2.") => None,
            "wasi:http/types" | "wasi:http/outgoing-handler" => Some(Capability::Http),
            _ if path.starts_with("wasi:sockets/") => Some(Capability::Tcp),
            _ => None,
        }
    }

    /// Is it an interface of WASI and not of `oxide:ci`?
    pub fn is_standard(self) -> bool {
        matches!(self, Capability::Http | Capability::Tcp)
    }

    /// Do toolchains import it for plugins that never use it? Then a plugin runs without the grant, and what it tries is
    /// refused.
    pub fn is_imported_by_habit(self) -> bool {
        self == Capability::Tcp
    }

    /// Does every plugin have it without asking?
    pub fn is_always_granted(self) -> bool {
        matches!(self, Capability::Types | Capability::Log | Capability::Output | Capability::RunInfo)
    }

    /// Is it granted as `read` or `write`, and not as `true`?
    pub fn has_access(self) -> bool {
        matches!(self, Capability::Workspace | Capability::Cache | Capability::Artifacts)
    }

    /// How the grant is written in the pipeline, with words in capitals in the place of what the reader must know.
    pub fn example_grant(self) -> String {
        let value = match self {
            Capability::Secrets => "[NAME]",
            Capability::Http => "[HOST]",
            Capability::Tcp => "[\"HOST:PORT\"]",
            other if other.has_access() => "write",
            _ => "true",
        };
        format!("{}: {value}", self.yaml_key())
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
            Capability::Http => "send HTTP requests to the hosts that are named",
            Capability::Tcp => "connect to the hosts and ports that are named",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.interface())
    }
}

/// One import of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Import {
    /// The full name, such as `oxide:ci/workspace@0.1.0`.
    pub name: String,
    /// The capability that it belongs to; none for what every plugin may use of WASI.
    pub capability: Option<Capability>,
}

/// One field of the `inputs` or `outputs` record of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The capabilities that the component asks for beyond those that every plugin has: it runs only where they are granted.
    pub fn asks_for(&self) -> impl Iterator<Item = Capability> {
        self.can_use().into_iter().filter(|capability| !capability.is_imported_by_habit())
    }

    /// The capabilities that can be granted to the component: those that it asks for, and those that it may do without.
    pub fn can_use(&self) -> BTreeSet<Capability> {
        let imported = self.imports.iter().filter_map(|import| import.capability);
        imported.filter(|capability| !capability.is_always_granted()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_interfaces_are_capabilities_in_the_version_that_is_offered() {
        for (import, expected) in [
            ("wasi:http/outgoing-handler@0.2.0", Some(Capability::Http)),
            ("wasi:http/types@0.2.12", Some(Capability::Http)),
            ("wasi:http/incoming-handler@0.2.3", None),
            ("wasi:http/outgoing-handler@0.3.0", None),
            ("wasi:http/outgoing-handler", None),
            ("wasi:sockets/tcp@0.2.6", Some(Capability::Tcp)),
            ("wasi:sockets/types@0.3.0", None),
            ("wasi:cli/stdout@0.2.6", None),
        ] {
            assert_eq!(Capability::from_standard(import), expected, "{import}");
        }
        assert_eq!(Capability::from_interface("http"), None, "there is no `oxide:ci/http`");
    }
}

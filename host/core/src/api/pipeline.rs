//! Pipelines that a server keeps, with all their versions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    plugin::PluginRef,
    text::{LINE, TEXT},
};
use crate::{
    id::{PipelineId, ProjectId, UserId},
    time::Timestamp,
};

/// A stored pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pipeline {
    /// The id.
    pub id: PipelineId,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// The name, unique in its project.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where its code is: what `checkout` takes, and what branches are looked up in.
    pub repository: Option<String>,
    /// The number of its latest version.
    pub version: u64,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A pipeline with the text of its latest version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineDetails {
    /// What is in lists, too.
    #[serde(flatten)]
    pub about: Pipeline,
    /// The YAML text.
    pub source: String,
    /// The text of `oxide.lock`: what its plugins of registries stand for.
    pub lock: String,
}

/// A pipeline that is to be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPipeline {
    /// The name or id of the project; `default` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The name; that of the YAML text if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = LINE))]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), regex(pattern = TEXT))]
    pub description: Option<String>,
    /// Where its code is; that of the project if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), regex(pattern = LINE))]
    pub repository: Option<String>,
    /// The YAML text, 10 MB at most. `yaml_config` is another name for it.
    #[serde(alias = "yaml_config")]
    #[schemars(length(min = 1, max = 10_000_000))]
    pub source: String,
    /// The text of `oxide.lock`. Plugins that it does not have are looked up now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_194_304))]
    pub lock: Option<String>,
}

/// A change of a pipeline. What is not named stays; a new `source` makes a new version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineChange {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = LINE))]
    pub name: Option<String>,
    /// What it is for; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), regex(pattern = TEXT))]
    pub description: Option<String>,
    /// Where its code is; an empty text removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), regex(pattern = LINE))]
    pub repository: Option<String>,
    /// The YAML text, 10 MB at most. `yaml_config` is another name for it.
    #[serde(default, alias = "yaml_config", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10_000_000))]
    pub source: Option<String>,
    /// The text of `oxide.lock` for the new text; without it, plugins are looked up anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_194_304))]
    pub lock: Option<String>,
}

/// Which pipelines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineQuery {
    /// How many entries, 1 to 200; 50 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only those of this project: its name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Only those of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a pipeline that is sent as YAML belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UploadQuery {
    /// The name or id of the project; `default` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The name; that of the YAML text if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its code is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

/// A version of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineVersion {
    /// Its number, counted from 1.
    pub version: u64,
    /// Who stored it.
    pub created_by: Option<UserId>,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A version of a pipeline with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineVersionDetails {
    /// What is in lists, too.
    #[serde(flatten)]
    pub about: PipelineVersion,
    /// The YAML text.
    pub source: String,
    /// The text of `oxide.lock`.
    pub lock: String,
}

/// A text that is to be checked and not stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineText {
    /// The YAML text, 10 MB at most. `yaml_config` is another name for it.
    #[serde(alias = "yaml_config")]
    #[schemars(length(min = 1, max = 10_000_000))]
    pub source: String,
    /// The text of `oxide.lock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_194_304))]
    pub lock: Option<String>,
}

/// Whether a text is a pipeline that could be stored here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Validation {
    /// Is it?
    pub valid: bool,
    /// The name in the text, if it is valid.
    pub name: Option<String>,
    /// How many stages it has.
    pub stages: u64,
    /// How many jobs they make.
    pub jobs: u64,
    /// How many steps these have.
    pub steps: u64,
    /// The plugins that it calls.
    pub plugins: Vec<PluginRef>,
    /// What is wrong, in the order of the text.
    pub mistakes: Vec<Mistake>,
    /// The same as a compiler shows it, with the lines of the text; empty if nothing is wrong.
    pub rendered: String,
}

/// Something that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mistake {
    /// What.
    pub message: String,
    /// In which line, counted from 1; null if it is about the whole.
    pub line: Option<u32>,
    /// In which column, counted from 1.
    pub column: Option<u32>,
    /// What to write instead.
    pub hint: Option<String>,
}

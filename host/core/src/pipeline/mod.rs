//! The pipeline file: from YAML to a [`Pipeline`], with every mistake named at its place.
//!
//! Knows the language and nothing else: plugins, matrices and the graph of stages are the matter of [`crate::plan`].
//! One file per topic; [`reader`] walks mappings with known keys and collects the mistakes.

mod approval;
mod artifacts;
mod cache;
mod condition;
mod environment;
mod forks;
mod grants;
mod limits;
mod matrix;
mod notification;
mod quantity;
pub mod reader;
mod retry;
mod service;
mod stage;
mod step;
mod trigger;

#[cfg(test)]
mod tests;

pub use environment::{Resources, StageEnvironment};
pub use grants::GrantList;
pub use limits::LimitChanges;
pub use matrix::{Matrix, MatrixAxis};
pub use notification::Notification;
pub use quantity::{parse_bytes, parse_duration};
pub use service::{HealthCheck, Service};
pub use stage::{Stage, StageDependency};
pub use step::{Action, Step, StepItem};
pub use trigger::{Changes, Concurrency, InputKind, ManualInput, Schedule, Triggers};

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    grant::ForkRights,
    yaml::{self, Node, Span},
};
use reader::{Reader, Refused};

/// A pipeline as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// What starts a run.
    pub triggers: Triggers,
    /// Environment variables of all commands; values may hold expressions.
    pub env: Vec<(String, Node)>,
    /// How many runs may go on at the same time.
    pub concurrency: Option<Concurrency>,
    /// How long a run may take in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The stages in the order of the file; at least one.
    pub stages: Vec<Stage>,
    /// Who is told about runs.
    pub notifications: Vec<Notification>,
    /// What runs of forks may do.
    pub forks: ForkRights,
    /// Where it was written.
    pub span: Span,
}

const KEYS: [&str; 10] =
    ["version", "name", "triggers", "env", "concurrency", "timeout", "cache", "stages", "notifications", "forks"];

const REFUSED: [Refused; 1] =
    [Refused { key: "artifacts", problem: "belongs to a step", hint: "write it at the step that makes the files" }];

impl Pipeline {
    /// Reads the text of a pipeline file.
    ///
    /// # Errors
    /// The first mistake in the YAML, else every mistake in the pipeline.
    pub fn parse(text: &str) -> Result<Pipeline, Diagnostics> {
        Pipeline::read(&yaml::parse(text)?)
    }

    /// Reads a pipeline from YAML.
    ///
    /// # Errors
    /// Every mistake.
    pub fn read(node: &Node) -> Result<Pipeline, Diagnostics> {
        let mut reader = Reader::default();
        let pipeline = Self::from_node(node, &mut reader);
        match pipeline {
            Some(pipeline) if reader.errors.is_empty() => Ok(pipeline),
            _ => Err(Diagnostics(reader.errors).sorted()),
        }
    }

    fn from_node(node: &Node, reader: &mut Reader) -> Option<Pipeline> {
        let fields = reader.fields_refusing(node, "a pipeline", &KEYS, &REFUSED)?;
        let cache = fields.get("cache").map(|node| cache::read(node, reader)).unwrap_or_default();
        match fields.get("version") {
            None if !fields.lacks("version") => {}
            None => {
                reader.error(Diagnostic::at(node.span, "the pipeline has no `version`").hint("add `version: \"1\"`"))
            }
            Some(version) => {
                let text = reader.text(version, "the version");
                if text.is_some_and(|text| text != "1") {
                    let error = Diagnostic::at(version.span, "this program reads pipelines of version 1 only");
                    reader.error(error.hint("write `version: \"1\"`"));
                }
            }
        }
        let name = fields.get("name").and_then(|name| reader.name(name, "the name of the pipeline"));
        if fields.lacks("name") {
            reader.error(Diagnostic::at(node.span, "the pipeline has no `name`").hint("add `name: build`"));
        }
        let triggers = fields.get("triggers").map(|node| Triggers::read(node, reader)).unwrap_or_default();
        let env = fields.get("env").map(|node| reader.env(node)).unwrap_or_default();
        let concurrency = fields.get("concurrency").and_then(|node| Concurrency::read(node, reader));
        let timeout_ms = fields.get("timeout").and_then(|node| quantity::duration(node, reader));
        let stages = match fields.get("stages") {
            Some(node) => stage::read_all(node, &cache, reader),
            None if !fields.lacks("stages") => Vec::new(),
            None => {
                let error = Diagnostic::at(node.span, "the pipeline has no `stages`");
                reader.error(error.hint("add `stages: { build: { environment: host, steps: [{ run: make }] } }`"));
                Vec::new()
            }
        };
        let notifications = fields.get("notifications").map(|node| notification::read_all(node, reader));
        Some(Pipeline {
            name: name.unwrap_or_default(),
            triggers,
            env,
            concurrency,
            timeout_ms,
            stages,
            notifications: notifications.unwrap_or_default(),
            forks: fields.get("forks").map(|node| forks::read(node, reader)).unwrap_or_default(),
            span: node.span,
        })
    }
}

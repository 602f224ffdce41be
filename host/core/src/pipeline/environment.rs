//! `environment:` of a stage: where its commands run.

use super::{quantity, reader::Reader};
use crate::{
    diagnostic::Diagnostic,
    yaml::{Content, Node, parse_float},
};

/// Where the commands of a stage run.
#[derive(Clone, Debug, PartialEq)]
pub enum StageEnvironment {
    /// Directly on the machine of the agent.
    Host,
    /// In a container of this image; the text may hold expressions.
    Container {
        /// The image.
        image: Node,
        /// What it may use.
        resources: Resources,
    },
}

/// What a container may use. What is absent is not bounded, but for the number of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// Processors.
    pub cpus: Option<f64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Processes.
    pub pids: Option<u32>,
}

const WHAT_TO_WRITE: &str = "write `environment: host` or `environment: { container: IMAGE }`";

impl StageEnvironment {
    pub(super) fn read(node: &Node, reader: &mut Reader) -> Option<StageEnvironment> {
        if let Content::Scalar { text, .. } = &node.content {
            if text == "host" {
                return Some(StageEnvironment::Host);
            }
            let error = Diagnostic::at(node.span, format!("there is no environment `{text}`"));
            reader.error(match text.is_empty() {
                true => Diagnostic::at(node.span, "the environment is empty").hint(WHAT_TO_WRITE),
                false => {
                    error.hint(format!("{WHAT_TO_WRITE}; for an image: `environment: {{ container: \"{text}\" }}`"))
                }
            });
            return None;
        }
        let fields = reader.fields(node, "an environment", &["container", "resources"])?;
        let resources = fields.get("resources").map(|node| Resources::read(node, reader)).unwrap_or_default();
        let Some(image) = fields.get("container") else {
            reader.error(Diagnostic::at(fields.span, "the environment has no `container`").hint(WHAT_TO_WRITE));
            return None;
        };
        let image = reader.template(image, "the image of a container")?;
        if image.as_text().is_some_and(|text| text.trim().is_empty() || text.contains(char::is_control)) {
            reader.error(Diagnostic::at(image.span, "the image of a container must be a name, such as `debian:12`"));
            return None;
        }
        Some(StageEnvironment::Container { image, resources })
    }
}

impl Resources {
    pub(super) fn read(node: &Node, reader: &mut Reader) -> Resources {
        let Some(fields) = reader.fields(node, "resources", &["cpus", "memory", "pids"]) else {
            return Resources::default();
        };
        let cpus = fields.get("cpus").and_then(|node| {
            let number = match &node.content {
                Content::Scalar { text, plain: true } => parse_float(text).and_then(|text| text.parse::<f64>().ok()),
                _ => None,
            };
            let cpus = number.filter(|cpus| (0.01..=1024.0).contains(cpus));
            if cpus.is_none() {
                reader.expected(node, "the number of processors", "a number from 0.01 to 1024");
            }
            cpus
        });
        let memory_bytes = fields.get("memory").and_then(|node| quantity::bytes(node, reader));
        let pids = fields.get("pids").and_then(|node| reader.number(node, "the number of processes", 1, 1 << 22));
        Resources { cpus, memory_bytes, pids: pids.and_then(|pids| u32::try_from(pids).ok()) }
    }
}

//! `services:` of a stage: containers beside its jobs, such as a database.

use super::{Resources, quantity, reader::Reader};
use crate::{
    diagnostic::Diagnostic,
    yaml::{Node, Span},
};

/// A service as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its key below `services`: the name by which steps in a container reach it.
    pub name: String,
    /// Where that key was written.
    pub span: Span,
    /// Its image; may hold expressions.
    pub image: Node,
    /// Environment variables of its process; values may hold expressions.
    pub env: Vec<(String, Node)>,
    /// How to find out whether it is ready; without one it is ready when it runs.
    pub healthcheck: Option<HealthCheck>,
    /// What it may use.
    pub resources: Resources,
}

/// `healthcheck:` of a service. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct HealthCheck {
    /// A line for `sh -c` in the container of the service; it succeeds when the service is ready.
    pub run: String,
    /// The pause between two tries.
    pub interval_ms: u64,
    /// How long one try may take.
    pub timeout_ms: u64,
    /// So many failed tries in a row after the start period mean that it will never be ready.
    pub retries: u32,
    /// How long failed tries do not count.
    pub start_period_ms: u64,
}

const KEYS: [&str; 4] = ["image", "env", "healthcheck", "resources"];

/// Reads `services`.
pub(super) fn read_all(node: &Node, reader: &mut Reader) -> Vec<Service> {
    let Some(entries) = reader.entries(node, "`services`") else { return Vec::new() };
    entries.iter().filter_map(|(key, value)| read(key, value, reader)).collect()
}

fn read(key: &Node, node: &Node, reader: &mut Reader) -> Option<Service> {
    let name = reader.id(key, "the name of a service")?;
    if name == "localhost" || name.len() > 63 {
        let error = Diagnostic::at(key.span, format!("`{name}` cannot be the name of a service"));
        reader.error(error.hint("steps reach it by this name, such as `db`; 63 characters at most"));
        return None;
    }
    if let Some(ports) = node.get("ports") {
        let error = Diagnostic::at(ports.span, "a service needs no `ports`");
        reader.error(error.hint("remove it: the service and the steps share one network, every port can be reached"));
        return None;
    }
    let fields = reader.fields(node, "a service", &KEYS)?;
    let Some(image) = fields.get("image") else {
        if fields.lacks("image") {
            let error = Diagnostic::at(key.span, format!("service `{name}` has no `image`"));
            reader.error(error.hint("add `image: \"postgres:17\"`"));
        }
        return None;
    };
    Some(Service {
        span: key.span,
        image: reader.template(image, "the image of a service")?,
        env: fields.get("env").map(|node| reader.env(node)).unwrap_or_default(),
        healthcheck: fields.get("healthcheck").and_then(|node| HealthCheck::read(node, reader)),
        resources: fields.get("resources").map(|node| Resources::read(node, reader)).unwrap_or_default(),
        name,
    })
}

impl HealthCheck {
    fn read(node: &Node, reader: &mut Reader) -> Option<HealthCheck> {
        let keys = ["run", "interval", "timeout", "retries", "start_period"];
        let fields = reader.fields(node, "a health check", &keys)?;
        let Some(run) = fields.get("run") else {
            if fields.lacks("run") {
                let error = Diagnostic::at(fields.span, "the health check has no `run`");
                reader.error(
                    error.hint("write the command that succeeds when the service is ready: `{ run: pg_isready }`"),
                );
            }
            return None;
        };
        let run = reader.text(run, "`run` of a health check")?;
        let mut time = |key: &str, default: u64| {
            fields.get(key).and_then(|node| quantity::duration(node, reader)).unwrap_or(default)
        };
        let (interval_ms, timeout_ms, start_period_ms) =
            (time("interval", 1000), time("timeout", 5000), time("start_period", 0));
        let retries = fields.get("retries").and_then(|node| reader.number(node, "`retries`", 1, 10_000));
        let retries = u32::try_from(retries.unwrap_or(60)).unwrap_or(60);
        Some(HealthCheck { run, interval_ms, timeout_ms, retries, start_period_ms })
    }
}

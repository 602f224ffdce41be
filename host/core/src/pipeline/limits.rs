//! `limits:` of stages and steps.

use super::{quantity, reader::Reader};
use crate::{limit::Limits, yaml::Node};

/// Limits that differ from the default, or from those of the stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitChanges {
    /// [`Limits::fuel`].
    pub fuel: Option<u64>,
    /// [`Limits::memory_bytes`].
    pub memory_bytes: Option<u64>,
    /// [`Limits::timeout_ms`].
    pub timeout_ms: Option<u64>,
    /// [`Limits::log_bytes`].
    pub log_bytes: Option<u64>,
    /// [`Limits::output_bytes`].
    pub output_bytes: Option<u64>,
    /// [`Limits::host_call_bytes`].
    pub host_call_bytes: Option<u64>,
    /// [`Limits::handles`].
    pub handles: Option<u32>,
}

const KEYS: [&str; 7] = ["fuel", "memory", "timeout", "log", "output", "host_call", "handles"];

impl LimitChanges {
    /// Reads `limits:` with its mistakes.
    pub fn read(node: &Node, reader: &mut Reader) -> LimitChanges {
        let Some(fields) = reader.fields(node, "limits", &KEYS) else { return LimitChanges::default() };
        LimitChanges {
            fuel: fields.get("fuel").and_then(|node| quantity::amount(node, reader, "the fuel")),
            memory_bytes: fields.get("memory").and_then(|node| quantity::bytes(node, reader)),
            timeout_ms: fields.get("timeout").and_then(|node| quantity::duration(node, reader)),
            log_bytes: fields.get("log").and_then(|node| quantity::bytes(node, reader)),
            output_bytes: fields.get("output").and_then(|node| quantity::bytes(node, reader)),
            host_call_bytes: fields.get("host_call").and_then(|node| quantity::bytes(node, reader)),
            handles: fields
                .get("handles")
                .and_then(|node| reader.number(node, "the number of handles", 1, 1 << 20))
                .and_then(|handles| u32::try_from(handles).ok()),
        }
    }

    /// The limits with these changes.
    pub fn apply(&self, limits: Limits) -> Limits {
        Limits {
            fuel: self.fuel.unwrap_or(limits.fuel),
            memory_bytes: self.memory_bytes.unwrap_or(limits.memory_bytes),
            timeout_ms: self.timeout_ms.unwrap_or(limits.timeout_ms),
            log_bytes: self.log_bytes.unwrap_or(limits.log_bytes),
            output_bytes: self.output_bytes.unwrap_or(limits.output_bytes),
            host_call_bytes: self.host_call_bytes.unwrap_or(limits.host_call_bytes),
            handles: self.handles.unwrap_or(limits.handles),
        }
    }
}

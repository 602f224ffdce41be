//! What a step may use, and what it used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limits of one step. All are on by default; `limits:` in the pipeline changes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Fuel: about one unit per WebAssembly instruction that the plugin executes.
    pub fuel: u64,
    /// Bytes of all memories and tables of the component together.
    pub memory_bytes: u64,
    /// Wall time of the whole call in milliseconds, waiting included.
    pub timeout_ms: u64,
    /// Bytes that the step may write to its log.
    pub log_bytes: u64,
    /// Bytes of the step's outputs as JSON.
    pub output_bytes: u64,
    /// Bytes that may pass between plugin and host in one call of a capability.
    pub host_call_bytes: u64,
    /// Handles (directories, commands, processes, …) open at the same time.
    pub handles: u32,
}

/// One hour in milliseconds: how long a stage, and so a step, may take if nothing else is said.
pub const DEFAULT_TIMEOUT_MS: u64 = 60 * 60 * 1000;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            fuel: 20_000_000_000,
            memory_bytes: 256 << 20,
            timeout_ms: DEFAULT_TIMEOUT_MS,
            log_bytes: 256 << 20,
            output_bytes: 1 << 20,
            host_call_bytes: 16 << 20,
            handles: 4096,
        }
    }
}

/// A limit by name, as it is written in the pipeline and in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// [`Limits::fuel`].
    Fuel,
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::timeout_ms`].
    Timeout,
    /// [`Limits::log_bytes`].
    Log,
    /// [`Limits::output_bytes`].
    Output,
    /// [`Limits::host_call_bytes`].
    HostCall,
    /// [`Limits::handles`].
    Handles,
    /// The stack of the component: 512 KiB, the same for all.
    Stack,
}

impl LimitKind {
    /// The key below `limits:` that raises it; none where it cannot be raised.
    pub fn yaml_key(self) -> Option<&'static str> {
        match self {
            LimitKind::Fuel => Some("fuel"),
            LimitKind::Memory => Some("memory"),
            LimitKind::Timeout => Some("timeout"),
            LimitKind::Log => Some("log"),
            LimitKind::Output => Some("output"),
            LimitKind::HostCall => Some("host_call"),
            LimitKind::Handles => Some("handles"),
            LimitKind::Stack => None,
        }
    }
}

/// What one step used of its limits. Stands beside [`Limits`] on the record of every step, successes too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Fuel consumed.
    pub fuel: u64,
    /// The most bytes that all memories and tables had together.
    pub memory_bytes: u64,
    /// Wall time in microseconds.
    pub wall_us: u64,
    /// Bytes written to the log.
    pub log_bytes: u64,
    /// Bytes of the outputs as JSON.
    pub output_bytes: u64,
    /// The standard WASI clock or random source was called: the step is not known to be pure.
    pub impure: bool,
}

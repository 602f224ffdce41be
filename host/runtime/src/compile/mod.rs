//! From the bytes of a component to code in the compile cache.
//!
//! Compiling what a stranger wrote may take for ever and all memory, so a [`ChildCompiler`] does it: the same program
//! again, with bounds. [`order`] is what the two processes say to each other, [`parent`] starts the other one and tells
//! how it ended, [`child`] is what it does.

pub mod child;
mod order;
pub(crate) mod parent;

use std::{ffi::OsString, io, path::PathBuf, time::Duration};

use oxide_core::plugin::PluginDescription;
use wasmtime::{Engine, component::Component};

use crate::{
    cache::Cache,
    describe::{DescribeError, describe},
    engine::Tier,
    load_error::LoadError,
    wasi,
};

pub(crate) use order::Order;
pub use parent::background_processes;

/// From this size on, in bytes, a component is first compiled by the quick compiler. Below, the other one needs no more
/// than a moment.
const QUICK_FROM_BYTES: usize = 300 << 10;

/// Where components that are not part of the program are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process and without bounds: for programs that trust every plugin they load.
    InProcess,
    /// In a process of its own, with bounds.
    Child(ChildCompiler),
}

/// How to start the process that compiles.
#[derive(Clone, Debug)]
pub struct ChildCompiler {
    /// The program; it gets nothing of this process's environment.
    pub program: PathBuf,
    /// What makes it call [`child::run`] with the argument that follows these.
    pub arguments: Vec<OsString>,
    /// What it may use.
    pub limits: CompileLimits,
}

/// What the compilation of one plugin may use. Set by whoever runs the agent; no pipeline can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Wall time.
    pub wall: Duration,
    /// Bytes of memory that is written to (not of address space).
    pub memory_bytes: u64,
}

impl Default for CompileLimits {
    /// 2 minutes and 2 GiB: several times what the largest known plugins take (Python: 20 s and 0.5 GiB).
    fn default() -> Self {
        CompileLimits { wall: Duration::from_secs(120), memory_bytes: 2 << 30 }
    }
}

/// Which compiler a component of this size meets first.
pub(crate) fn first_tier(size_bytes: usize) -> Tier {
    if size_bytes < QUICK_FROM_BYTES { Tier::Optimised } else { Tier::Quick }
}

/// Compiles in this process.
pub(crate) fn in_this_process(
    cache: &Cache,
    engine: &Engine,
    digest: &str,
    bytes: &[u8],
) -> Result<(Component, PluginDescription), LoadError> {
    let description = check(digest, bytes)?;
    let refused = |error: wasmtime::Error| LoadError::Compile(format!("{error:#}"));
    let component = Component::new(engine, bytes).map_err(refused)?;
    // A full disk makes the next start slow, not this one wrong.
    component.serialize().map_err(io::Error::other).and_then(|code| cache.put(&code, &description)).ok();
    Ok((component, description))
}

/// Reads what the component is, and refuses what cannot run before time is spent on compiling it.
fn check(digest: &str, bytes: &[u8]) -> Result<PluginDescription, LoadError> {
    let description = describe(bytes)?;
    if description.digest != digest {
        return Err(LoadError::Digest { expected: digest.to_owned(), actual: description.digest });
    }
    let missing: Vec<String> = description
        .imports
        .iter()
        .filter(|import| import.capability.is_none() && !wasi::is_linked(&import.name))
        .map(|import| import.name.clone())
        .collect();
    if missing.is_empty() { Ok(description) } else { Err(DescribeError::UnknownImports(missing).into()) }
}

//! Why a plugin could not be loaded.

use std::{io, time::Duration};

use oxide_core::quantity;

use crate::describe::DescribeError;

/// Why a plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The component could not be read from where it lies.
    #[error("could not read the component")]
    Read(#[source] io::Error),
    /// The bytes are not those that were asked for.
    #[error("the component has the digest {actual}, not {expected}")]
    Digest {
        /// As asked for.
        expected: String,
        /// Of the bytes.
        actual: String,
    },
    /// The bytes are no plugin.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// The component could not be compiled.
    #[error("could not compile the component: {0}")]
    Compile(String),
    /// Compiling took more than the wall time that is allowed.
    #[error("compiling it took longer than {}", quantity::duration_ms(u64::try_from(.0.as_millis()).unwrap_or(u64::MAX)))]
    TooSlow(Duration),
    /// Compiling took more than the bytes of memory that are allowed.
    #[error("compiling it took more than {} of memory", quantity::bytes(*.0))]
    TooMuchMemory(u64),
    /// The compiler fell over the component.
    #[error("the compiler crashed on it ({0})")]
    CompilerCrashed(String),
    /// The process that compiles could not be run.
    #[error("could not run the compiler")]
    Compiler(#[source] io::Error),
    /// What it imports does not have the types that the host offers.
    #[error("the component does not fit this host: {0}")]
    Link(String),
}

impl LoadError {
    /// What to type or change; none if there is nothing sure to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            LoadError::Describe(error) => error.hint(),
            LoadError::Digest { .. } => Some("the file has changed: pin the plugin again"),
            LoadError::Compile(_) => Some("build the plugin again with a current toolchain"),
            LoadError::TooSlow(_) => Some(
                "no known plugin takes that long: look at what it is; if it must be, set OXIDE_COMPILE_TIMEOUT (such as \
                 `5m`) where oxide runs",
            ),
            LoadError::TooMuchMemory(_) => Some(
                "no known plugin takes that much: look at what it is; if it must be, set OXIDE_COMPILE_MEMORY (such as \
                 `4GiB`) where oxide runs",
            ),
            LoadError::CompilerCrashed(_) => Some("do not use this plugin: tell its author"),
            LoadError::Link(_) => Some("rebuild the plugin against the WIT of this host, or update oxide"),
            LoadError::Read(_) | LoadError::Compiler(_) => None,
        }
    }
}

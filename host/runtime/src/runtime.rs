//! The runtime: engines, compile cache, and the plugins that are loaded. [`loader`](crate::loader) does the loading.

use std::{borrow::Cow, io, path::PathBuf, sync::Arc};

use oxide_blobs::Blobs;
use tokio::sync::Semaphore;

use crate::{
    cache::CacheError,
    compile::Compiler,
    engine::{CALL_SLOTS, Tier},
    environment::LogSink,
    load_error::LoadError,
    loader::Loader,
    plugin::Plugin,
};

/// What a [`Runtime`] needs to know.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Where compiled code is kept. Made for this user alone; what lies in it is executed.
    pub cache_dir: PathBuf,
    /// Where plugins that are not built in are compiled.
    pub compiler: Compiler,
    /// Where caches and artifacts are; none refuses them to plugins.
    pub blobs: Option<Arc<Blobs>>,
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine does not work on this machine.
    #[error("could not start the WebAssembly engine")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The compile cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Which plugin to load.
#[derive(Clone, Copy, Debug)]
pub struct PluginToLoad<'a> {
    /// How the pipeline names it, for messages.
    pub name: &'a str,
    /// `sha256:` and the digest of its bytes as 64 hexadecimal digits.
    pub digest: &'a str,
    /// It is part of the program, and so is not bounded when it is compiled.
    pub is_built_in: bool,
}

/// Loads and calls plugins. One for a process; shared by all jobs.
pub struct Runtime {
    /// One permit for each slot of an engine's pool.
    pub(crate) slots: Semaphore,
    loader: Arc<Loader>,
    pub(crate) blobs: Option<Arc<Blobs>>,
}

impl Runtime {
    /// Starts the engine and opens the compile cache.
    ///
    /// # Errors
    /// A [`RuntimeError`] if the machine cannot run WebAssembly or the cache directory cannot be used.
    pub fn new(config: RuntimeConfig) -> Result<Runtime, RuntimeError> {
        Runtime::with_tier(config, Tier::Optimised)
    }

    /// The same, but what is compiled in this process is compiled by this compiler.
    pub(crate) fn with_tier(config: RuntimeConfig, in_process: Tier) -> Result<Runtime, RuntimeError> {
        let blobs = config.blobs.clone();
        let loader = Arc::new(Loader::new(config, in_process)?);
        Ok(Runtime { slots: Semaphore::new(CALL_SLOTS as usize), loader, blobs })
    }

    /// Makes a plugin ready to be called. The bytes are asked for only if it was never compiled here; callers who want
    /// the same digest at the same time share one compilation. A compilation that takes its time is told to the log.
    ///
    /// A large component is compiled quickly at first; better code is made in the background by a process that may
    /// outlive this one, and a later load answers with that.
    ///
    /// # Errors
    /// A [`LoadError`]; the next call tries again.
    pub async fn load(
        &self,
        plugin: PluginToLoad<'_>,
        bytes: impl FnOnce() -> io::Result<Cow<'static, [u8]>> + Send,
        log: &dyn LogSink,
    ) -> Result<Arc<Plugin>, LoadError> {
        self.loader.load(plugin, bytes, log).await
    }
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;

//! The runtime as the agent uses it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{grant::Grants, limit::Limits, protocol::LogStream, secret::Placeholders};
use oxide_runtime::{
    Plugin, PluginToLoad, RunInfo, Runtime, RuntimeConfig, StepCall,
    compile::Compiler,
    containers::NoContainerEngine,
    environment::{CommandSpec, Environment, EnvironmentError, EnvironmentKind, LogLimitReached, LogSink, Process},
};

/// A runtime with one plugin.
pub struct Ours {
    runtime: Runtime,
    plugin: Arc<Plugin>,
    workspace: tempfile::TempDir,
    _cache: tempfile::TempDir,
}

impl Ours {
    /// Loads a plugin that imports nothing but what every plugin has.
    pub async fn new(bytes: &[u8]) -> Ours {
        let cache = tempfile::tempdir().expect("a directory for compiled code");
        let cache_dir = cache.path().to_path_buf();
        let runtime =
            Runtime::new(RuntimeConfig { cache_dir, compiler: Compiler::InProcess, blobs: None }).expect("a runtime");
        let digest = oxide_runtime::describe(bytes).expect("it is a plugin").digest;
        let bytes = bytes.to_vec();
        let plugin = PluginToLoad { name: "bench", digest: &digest, is_built_in: true };
        let plugin = runtime.load(plugin, move || Ok(bytes.into()), &Nowhere).await.expect("it loads");
        Ours { runtime, plugin, workspace: tempfile::tempdir().expect("a workspace"), _cache: cache }
    }

    /// One step.
    pub async fn call(&self) {
        let call = StepCall {
            plugin_name: "bench".into(),
            inputs: None,
            grants: Grants::default(),
            limits: Limits::default(),
            run_info: RunInfo::default(),
            project: "bench".into(),
            workspace: self.workspace.path().to_path_buf(),
            environment: Arc::new(Nowhere),
            containers: Arc::new(NoContainerEngine),
            responder: None,
            log: Arc::new(Nowhere),
            secrets: Placeholders::default(),
            masker: Arc::default(),
        };
        let result = self.runtime.call(&self.plugin, call).await;
        assert!(result.outcome.is_ok(), "{:?}", result.outcome);
    }
}

/// Neither log nor environment: the guests that are measured use none.
struct Nowhere;

#[async_trait]
impl LogSink for Nowhere {
    async fn write(&self, _: LogStream, _: Bytes) -> Result<(), LogLimitReached> {
        Ok(())
    }
}

#[async_trait]
impl Environment for Nowhere {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Host
    }

    fn workspace_path(&self) -> String {
        String::new()
    }

    async fn find_program(&self, _: &str) -> Result<Option<String>, EnvironmentError> {
        Ok(None)
    }

    async fn spawn(&self, _: CommandSpec, _: Arc<dyn LogSink>) -> Result<Box<dyn Process>, EnvironmentError> {
        Err(EnvironmentError::Other("the benchmark runs no commands".to_owned()))
    }
}

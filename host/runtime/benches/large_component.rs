//! Loading one large component: the first time, by the optimising compiler alone, and again in a new runtime.
//!
//! Arguments: the program that compiles (`oxide`), the component, a directory for compiled code. Prints three times in
//! milliseconds. Without arguments it does nothing: `cargo xtask bench` has the components.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::protocol::LogStream;
use oxide_runtime::{
    PluginToLoad, Runtime, RuntimeConfig,
    compile::{ChildCompiler, CompileLimits, Compiler},
    environment::{LogLimitReached, LogSink},
};

fn main() {
    let arguments: Vec<PathBuf> =
        std::env::args().skip(1).filter(|word| word != "--bench").map(PathBuf::from).collect();
    let [program, component, cache] = arguments.as_slice() else { return };
    let bytes = std::fs::read(component).expect("the component can be read");
    let digest = oxide_runtime::describe(&bytes).expect("the component is a plugin").digest;
    let child = Compiler::Child(ChildCompiler {
        program: program.clone(),
        arguments: vec!["compile-plugin".into()],
        limits: CompileLimits::default(),
    });
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let load = |compiler: &Compiler, cache: &Path| {
        let config = RuntimeConfig { cache_dir: cache.to_path_buf(), compiler: compiler.clone(), blobs: None };
        let runtime = Runtime::new(config).expect("a runtime");
        let plugin = PluginToLoad { name: "large", digest: &digest, is_built_in: false };
        let bytes = bytes.clone();
        let begin = Instant::now();
        tokio.block_on(runtime.load(plugin, move || Ok(bytes.into()), &Nowhere)).expect("the component loads");
        begin.elapsed()
    };
    // By itself: what comes later would share the processors with what the first use leaves in the background.
    let optimised = load(&Compiler::InProcess, &cache.join("optimised"));
    let first = load(&child, &cache.join("child"));
    // The code of the quick compiler, while the other one is at work.
    let mut again: Vec<Duration> = (0..5).map(|_| load(&child, &cache.join("child"))).collect();
    again.sort();
    let second = again[2];
    // The process in the background ends when its directory is gone.
    std::fs::remove_dir_all(cache).ok();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{:.3} {:.3} {:.3}", millis(first), millis(optimised), millis(second));
}

/// A log that nobody reads.
struct Nowhere;

#[async_trait]
impl LogSink for Nowhere {
    async fn write(&self, _: LogStream, _: Bytes) -> Result<(), LogLimitReached> {
        Ok(())
    }
}

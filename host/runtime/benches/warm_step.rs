//! A warm no-op step beside bare wasmtime doing the same: fresh store, instantiate, typed call, result.
//!
//! Both run in one process on the same component with the same engine settings; pairs are taken in turn, so that a slow
//! moment of the machine hits both.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{grant::Grants, limit::Limits, protocol::LogStream, secret::Placeholders};
use oxide_runtime::{
    Plugin, PluginToLoad, RunInfo, Runtime, RuntimeConfig, StepCall,
    compile::Compiler,
    containers::NoContainerEngine,
    environment::{CommandSpec, Environment, EnvironmentError, EnvironmentKind, LogLimitReached, LogSink, Process},
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, InstancePre, Linker, Val},
};

const ROUNDS: usize = 40;
const CALLS: usize = 250;

fn main() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/noop/plugin.wasm");
    let bytes = std::fs::read(&file).expect("`cargo xtask guests` builds the no-op guest");
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let cache = tempfile::tempdir().expect("a directory for compiled code");
    let ours = tokio.block_on(Ours::new(&bytes, cache.path().to_path_buf()));
    let bare = Bare::new(&bytes);
    let (mut our_times, mut bare_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    tokio.block_on(async {
        for _ in 0..ROUNDS {
            let one = each(CALLS, || ours.call()).await;
            let other = each(CALLS, || bare.call()).await;
            ratios.push(median(&one).as_secs_f64() / median(&other).as_secs_f64());
            our_times.extend(one);
            bare_times.extend(other);
        }
    });
    ratios.sort_by(f64::total_cmp);
    let (p50, floor) = (median(&our_times), median(&bare_times));
    let ratio = ratios[ROUNDS / 2];
    println!("| what | ours | floor or peer | ratio | wanted | met |");
    println!("| --- | --- | --- | --- | --- | --- |");
    println!(
        "| warm no-op step, p50 | {p50:?} | bare wasmtime: {floor:?} | {ratio:.2} | ≤ 2, under 100 µs | {} |",
        met(ratio <= 2.0 && p50 < Duration::from_micros(100))
    );
    let ours = Arc::new(ours);
    let one = throughput(&tokio, &ours, 1);
    let two = throughput(&tokio, &ours, 2);
    println!(
        "| no-op steps a second on two threads | {two:.0} | on one: {one:.0} | {:.2} | > 1 | {} |",
        two / one,
        met(two > one)
    );
}

fn met(met: bool) -> &'static str {
    if met { "yes" } else { "NO" }
}

async fn each<F: Future<Output = ()>>(calls: usize, mut call: impl FnMut() -> F) -> Vec<Duration> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begin = Instant::now();
        call().await;
        times.push(begin.elapsed());
    }
    times
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// Calls a second with so many tasks side by side.
fn throughput(tokio: &tokio::runtime::Runtime, ours: &Arc<Ours>, tasks: usize) -> f64 {
    const EACH: usize = 8_000;
    let begin = Instant::now();
    tokio.block_on(async {
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let ours = Arc::clone(ours);
                tokio::spawn(async move {
                    for _ in 0..EACH {
                        ours.call().await;
                    }
                })
            })
            .collect();
        for task in running {
            task.await.expect("a task of the benchmark ends");
        }
    });
    (EACH * tasks) as f64 / begin.elapsed().as_secs_f64()
}

/// The runtime as the agent uses it.
struct Ours {
    runtime: Runtime,
    plugin: Arc<Plugin>,
    workspace: tempfile::TempDir,
}

impl Ours {
    async fn new(bytes: &[u8], cache_dir: PathBuf) -> Ours {
        let runtime =
            Runtime::new(RuntimeConfig { cache_dir, compiler: Compiler::InProcess, blobs: None }).expect("a runtime");
        let digest = oxide_runtime::describe(bytes).expect("the no-op guest is a plugin").digest;
        let bytes = bytes.to_vec();
        let plugin = PluginToLoad { name: "oxide/noop@1", digest: &digest, is_built_in: true };
        let plugin = runtime.load(plugin, move || Ok(bytes.into()), &Nowhere).await.expect("the no-op guest loads");
        Ours { runtime, plugin, workspace: tempfile::tempdir().expect("a workspace") }
    }

    async fn call(&self) {
        let call = StepCall {
            plugin_name: "oxide/noop@1".into(),
            inputs: None,
            grants: Grants::default(),
            limits: Limits::default(),
            run_info: RunInfo::default(),
            project: "bench".into(),
            workspace: self.workspace.path().to_path_buf(),
            environment: Arc::new(Nowhere),
            containers: Arc::new(NoContainerEngine),
            log: Arc::new(Nowhere),
            secrets: Placeholders::default(),
            masker: Arc::default(),
        };
        let result = self.runtime.call(&self.plugin, call).await;
        assert!(result.outcome.is_ok(), "{:?}", result.outcome);
    }
}

/// Neither log nor environment: the no-op guest uses none.
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

/// wasmtime alone: the floor. No limiter, no clock, no log, no record of what was used.
struct Bare {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Bare {
    fn new(bytes: &[u8]) -> Bare {
        let mut config = Config::new();
        let mut pool = PoolingAllocationConfig::new();
        // As in `src/engine.rs`.
        pool.linear_memory_keep_resident(256 << 10)
            .table_keep_resident(32 << 10)
            .async_stack_keep_resident(64 << 10)
            .table_elements(64 << 10)
            .max_unused_warm_slots(128)
            .pagemap_scan(Enabled::Auto);
        config.consume_fuel(true).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::new(&engine, bytes).expect("the no-op guest compiles");
        // The no-op guest imports types only, which need nothing behind them.
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component).expect("types link");
        Bare { pre: linker.instantiate_pre(&component).expect("the no-op guest links"), engine }
    }

    async fn call(&self) {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(20_000_000_000).expect("fuel is on");
        let instance = self.pre.instantiate_async(&mut store).await.expect("the no-op guest starts");
        let run = instance.get_func(&mut store, "run").expect("the no-op guest has `run`");
        let mut results = [Val::Bool(false)];
        run.call_async(&mut store, &[], &mut results).await.expect("the no-op guest returns");
    }
}

//! Calls of real components: what they return, and each limit.

use std::borrow::Cow;

use oxide_core::{grant::Grants, outcome::FailureCause, plugin::Capability};

use super::*;
use crate::{
    PluginToLoad, RuntimeConfig,
    compile::Compiler,
    describe::digest,
    engine::Tier,
    testing::{MemoryLog, component, step_call},
};

/// A machine that is busy with others may stand still for a moment: of so many tries one must be quick.
const TRIES: u32 = 10;

struct Bench {
    _home: tempfile::TempDir,
    runtime: Runtime,
    log: Arc<MemoryLog>,
}

impl Bench {
    fn new() -> Self {
        Bench::with(Tier::Optimised)
    }

    /// One for each compiler: what bounds a guest must hold with both.
    fn both() -> [Self; 2] {
        [Tier::Optimised, Tier::Quick].map(Bench::with)
    }

    fn with(tier: Tier) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = RuntimeConfig { cache_dir: home.path().into(), compiler: Compiler::InProcess, blobs: None };
        let runtime = Runtime::with_tier(config, tier).unwrap();
        Bench { _home: home, runtime, log: Arc::new(MemoryLog::default()) }
    }

    async fn load(&self, name: &str) -> Arc<Plugin> {
        let bytes = component(name);
        let plugin = PluginToLoad { name, digest: &digest(&bytes), is_built_in: false };
        self.runtime.load(plugin, || Ok(Cow::Owned(bytes.clone())), &*self.log).await.unwrap()
    }

    async fn call(&self, name: &str, change: impl FnOnce(&mut StepCall)) -> StepResult {
        let plugin = self.load(name).await;
        let mut call = step_call(&self.log);
        change(&mut call);
        self.runtime.call(&plugin, call).await
    }

    async fn failure(&self, name: &str, change: impl FnOnce(&mut StepCall)) -> (Failure, Usage) {
        let result = self.call(name, change).await;
        (result.outcome.unwrap_err(), result.usage)
    }
}

#[track_caller]
fn assert_limit(failure: &Failure, expected: LimitKind) {
    let FailureCause::Limit { limit, used, allowed } = failure.cause else { panic!("{failure:?}") };
    assert_eq!(limit, expected, "{failure:?}");
    assert!(used >= allowed, "{failure:?}");
    assert!(failure.hint.is_some());
}

#[tokio::test]
async fn a_plugin_that_does_nothing_succeeds() {
    let result = Bench::new().call("run", |_| {}).await;
    assert_eq!(result.outcome, Ok(Map::new()));
    assert!(result.usage.fuel > 0 && result.usage.memory_bytes == 65_536, "{:?}", result.usage);
    assert!(!result.usage.impure);
}

#[tokio::test]
async fn inputs_go_in_and_outputs_come_out() {
    for bench in Bench::both() {
        let name = |name: &str| ("your-name".to_owned(), Value::String(name.into()));
        let some = |times| ("times".to_owned(), Value::Option(Some(Box::new(Value::U32(times)))));
        let result = bench.call("greet", |call| call.inputs = Some(Value::Record(vec![some(2), name("Ada")]))).await;
        assert_eq!(Json::Object(result.outcome.unwrap()), serde_json::json!({ "the_greeting": "AdaAda" }));
        assert_eq!(result.usage.output_bytes, r#"{"the_greeting":"AdaAda"}"#.len() as u64);
        let result = bench.call("greet", |call| call.inputs = Some(Value::Record(vec![name("Ö")]))).await;
        assert_eq!(Json::Object(result.outcome.unwrap()), serde_json::json!({ "the_greeting": "Ö" }));
    }
}

#[tokio::test]
async fn inputs_that_do_not_fit_are_named() {
    let bench = Bench::new();
    let (failure, _) = bench.failure("greet", |_| {}).await;
    assert_eq!(failure.cause, FailureCause::InvalidInput);
    assert!(failure.message.ends_with("your-name: expected string"), "{}", failure.message);
    let extra = Value::Record(vec![("name".into(), Value::Bool(true))]);
    let (failure, _) = bench.failure("run", |call| call.inputs = Some(extra)).await;
    assert!(failure.message.ends_with("it takes none, but was given `name`"), "{}", failure.message);
}

#[tokio::test]
async fn the_plugin_s_own_failures_arrive() {
    let bench = Bench::new();
    let (failure, _) = bench.failure("other failure", |_| {}).await;
    assert_eq!((failure.cause, failure.message.as_str()), (FailureCause::Plugin, "it rains"));
    let (failure, _) = bench.failure("exit code", |_| {}).await;
    assert_eq!(failure.cause, FailureCause::ExitCode { code: 8 });
}

#[tokio::test]
async fn traps_are_failures() {
    for bench in Bench::both() {
        let (failure, _) = bench.failure("trap", |_| {}).await;
        assert_eq!(failure.cause, FailureCause::Trap);
        let (failure, _) = bench.failure("divide", |_| {}).await;
        assert!(failure.message.ends_with("trapped: integer divide by zero"), "{}", failure.message);
    }
}

#[tokio::test]
async fn fuel_ends_a_loop() {
    for bench in Bench::both() {
        let (failure, usage) = bench.failure("loop", |call| call.limits.fuel = 10_000_000).await;
        assert_limit(&failure, LimitKind::Fuel);
        assert_eq!(usage.fuel, 10_000_000);
    }
}

#[tokio::test]
async fn a_timeout_ends_a_loop_within_100_ms_also_at_instantiation() {
    let benches = Bench::both();
    for (bench, name) in benches.iter().flat_map(|bench| [(bench, "loop"), (bench, "start loop")]) {
        let plugin = bench.load(name).await;
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let mut call = step_call(&bench.log);
            call.limits.fuel = u64::MAX;
            call.limits.timeout_ms = 50;
            let started = Instant::now();
            let result = bench.runtime.call(&plugin, call).await;
            best = best.min(started.elapsed());
            assert_limit(&result.outcome.unwrap_err(), LimitKind::Timeout);
            assert!(result.usage.fuel > 0);
            if best < Duration::from_millis(150) {
                break;
            }
        }
        assert!(best < Duration::from_millis(150), "{name}: {best:?}");
    }
}

#[tokio::test]
async fn a_loop_lets_others_run_and_ends_when_it_is_dropped() {
    for bench in Bench::both() {
        let plugin = bench.load("loop").await;
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let mut call = step_call(&bench.log);
            call.limits.fuel = u64::MAX;
            let guest = bench.runtime.call(&plugin, call);
            let mut worst = Duration::ZERO;
            // On the same thread as the guest.
            let other = async {
                for _ in 0..20 {
                    let started = Instant::now();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    worst = worst.max(started.elapsed());
                }
            };
            tokio::select! {
                _ = guest => panic!("it never ends"),
                () = other => {}
            }
            best = best.min(worst);
            if best < Duration::from_millis(100) {
                break;
            }
        }
        assert!(best < Duration::from_millis(100), "{best:?}");
    }
}

#[tokio::test]
async fn memory_is_bounded_over_all_memories() {
    for bench in Bench::both() {
        for (name, allowed) in [("memory", 4 << 20), ("big memory", 5 << 20), ("two memories", 10 << 20)] {
            let (failure, usage) = bench.failure(name, |call| call.limits.memory_bytes = allowed).await;
            assert_limit(&failure, LimitKind::Memory);
            assert!(usage.memory_bytes <= allowed, "{name}");
        }
        let result = bench.call("two memories", |call| call.limits.memory_bytes = 200 * 65_536).await;
        assert_eq!((result.outcome, result.usage.memory_bytes), (Ok(Map::new()), 200 * 65_536));
    }
}

#[tokio::test]
async fn deep_recursion_is_the_limit_of_the_stack() {
    for bench in Bench::both() {
        let (failure, _) = bench.failure("recursion", |_| {}).await;
        assert_limit(&failure, LimitKind::Stack);
    }
}

#[tokio::test]
async fn log_lines_arrive_and_are_counted() {
    let bench = Bench::new();
    let result = bench.call("log", |_| {}).await;
    assert_eq!(bench.log.text(), "warning: it rains\n".repeat(3));
    assert_eq!(result.usage.log_bytes, 54);
    let calls: Vec<_> = result.effects.calls.iter().map(|tally| (tally.name.as_str(), tally.count)).collect();
    assert_eq!(calls, [("log.write", 3)]);
}

#[tokio::test]
async fn a_flooded_log_is_a_limit_and_keeps_what_came_before() {
    let bench = Bench::new();
    let (failure, _) = bench.failure("flood", |call| call.limits.log_bytes = 1000).await;
    assert_limit(&failure, LimitKind::Log);
    assert_eq!(bench.log.text().len(), 1000);
}

#[tokio::test]
async fn host_call_bytes_are_bounded() {
    let (failure, _) = Bench::new().failure("log", |call| call.limits.host_call_bytes = 4).await;
    assert_limit(&failure, LimitKind::HostCall);
}

#[tokio::test]
async fn outputs_are_bounded() {
    let inputs = Value::Record(vec![("your-name".into(), Value::String("x".repeat(100)))]);
    let (failure, usage) = Bench::new()
        .failure("greet", |call| {
            call.inputs = Some(inputs);
            call.limits.output_bytes = 50;
        })
        .await;
    assert_limit(&failure, LimitKind::Output);
    assert_eq!(usage.output_bytes, 119);
}

#[tokio::test]
async fn what_is_not_granted_does_not_run() {
    let bench = Bench::new();
    let (failure, usage) = bench.failure("workspace", |_| {}).await;
    assert_eq!(failure.cause, FailureCause::Load);
    assert!(failure.message.contains("`oxide:ci/workspace`"), "{}", failure.message);
    assert!(failure.hint.unwrap().contains("grants: { workspace: write }"));
    assert_eq!(usage.fuel, 0);
    let granted = Grants { capabilities: [Capability::Workspace].into(), ..Grants::default() };
    let result = bench.call("workspace", |call| call.grants = granted).await;
    assert_eq!(result.outcome, Ok(Map::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_slots_wait_for_each_other() {
    let bench = Bench::new();
    let plugin = bench.load("log").await;
    let slow = Arc::new(MemoryLog { delay: Some(Duration::from_millis(2)), ..MemoryLog::default() });
    let runtime = Arc::new(bench.runtime);
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let (runtime, plugin, call) = (runtime.clone(), plugin.clone(), step_call(&slow));
            tokio::spawn(async move { runtime.call(&plugin, call).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().outcome, Ok(Map::new()));
    }
}

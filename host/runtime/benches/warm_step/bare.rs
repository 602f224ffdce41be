//! wasmtime alone: the floor.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, InstancePre, Linker, Val},
};

/// No limiter, no clock, no log, no record of what was used.
pub struct Bare {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Bare {
    /// Loads a component. `oxide:ci/log` answers `progress` and does nothing.
    pub fn new(bytes: &[u8]) -> Bare {
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
        let component = Component::new(&engine, bytes).expect("the guest compiles");
        let mut linker = Linker::new(&engine);
        let mut log = linker.instance("oxide:ci/log@0.1.0").expect("a name");
        log.func_wrap_async("progress", |_, _: (u64, u64)| Box::new(async { Ok(()) })).expect("a function");
        // Types need nothing behind them.
        linker.define_unknown_imports_as_traps(&component).expect("types link");
        Bare { pre: linker.instantiate_pre(&component).expect("the guest links"), engine }
    }

    /// One call.
    pub async fn call(&self) {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(20_000_000_000).expect("fuel is on");
        let instance = self.pre.instantiate_async(&mut store).await.expect("the guest starts");
        let run = instance.get_func(&mut store, "run").expect("the guest has `run`");
        let mut results = [Val::Bool(false)];
        run.call_async(&mut store, &[], &mut results).await.expect("the guest returns");
    }
}

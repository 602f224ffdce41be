//! The wasmtime engines: what plugins are compiled and run with. They differ in nothing but the compiler.

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

/// Which compiler made the code of a plugin.
///
/// Both count fuel, but not alike: what a call uses may differ by some percent, and so may the depth of recursion that
/// the stack allows. Everything else that a guest can see is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tier {
    /// Winch: compiles in one pass, about seven times as fast; a call takes about 1.4 times as long.
    Quick,
    /// Cranelift.
    Optimised,
}

/// How many calls may be inside their component at the same time; more wait for a free slot.
pub(crate) const CALL_SLOTS: u32 = 128;

/// The stack of a component in bytes, the same for all plugins.
pub(crate) const STACK_BYTES: u64 = 512 << 10;

/// After so much fuel a guest lets other tasks of the thread run. A tokio worker looks at its timers after 61 tasks at
/// the latest, so that 61 of these (about 10 ms) bound how late a timeout or a cancel takes effect.
pub(crate) const FUEL_YIELD_INTERVAL: u64 = 200_000;

/// The stack of the fiber that a guest and the host functions that it calls run on.
const FIBER_STACK_BYTES: usize = 2 << 20;

/// Makes the engine: with a pool of prepared slots, or without where the address space is too small for it.
pub(crate) fn new_engine(tier: Tier) -> Result<Engine, wasmtime::Error> {
    let mut config = base_config(tier);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    // The probe: making the engine reserves the pool.
    Engine::new(&config).or_else(|_| compiling_engine(tier))
}

/// An engine without a pool, for a process that only compiles. What it compiles fits the engines of [`new_engine`].
pub(crate) fn compiling_engine(tier: Tier) -> Result<Engine, wasmtime::Error> {
    Engine::new(&base_config(tier))
}

fn base_config(tier: Tier) -> Config {
    let mut config = Config::new();
    config
        .strategy(match tier {
            Tier::Quick => Strategy::Winch,
            Tier::Optimised => Strategy::Cranelift,
        })
        .consume_fuel(true)
        .wasm_component_model(true)
        // JavaScript components made with QuickJS import `task.cancel`, which belongs to the async proposal.
        .wasm_component_model_async(true)
        .max_wasm_stack(STACK_BYTES as usize)
        .async_stack_size(FIBER_STACK_BYTES)
        .memory_init_cow(true);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CALL_SLOTS)
        .total_stacks(CALL_SLOTS)
        // Real components have up to three memories and about ten core instances (Python, JavaScript).
        .total_core_instances(CALL_SLOTS * 16)
        .total_memories(CALL_SLOTS * 4)
        .total_tables(CALL_SLOTS * 8)
        .table_elements(64 << 10)
        .max_memories_per_component(16)
        .max_tables_per_component(64)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_unused_warm_slots(CALL_SLOTS)
        // Without these each call gives its pages back, and the kernel interrupts the other threads for it: two threads
        // would be slower than one.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(32 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::engine_name;

    const TIERS: [Tier; 2] = [Tier::Quick, Tier::Optimised];

    #[test]
    fn the_engines_can_be_made() {
        TIERS.into_iter().for_each(|tier| drop(new_engine(tier).unwrap()));
    }

    #[test]
    fn the_pool_is_used_where_the_address_space_allows_it() {
        for tier in TIERS {
            let mut config = base_config(tier);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
            Engine::new(&config).unwrap();
        }
    }

    #[test]
    fn code_of_an_engine_that_only_compiles_fits_the_engine_that_runs_it_and_no_other() {
        let names =
            TIERS.map(|tier| (engine_name(&compiling_engine(tier).unwrap()), engine_name(&new_engine(tier).unwrap())));
        for (compiling, running) in &names {
            assert_eq!(compiling, running);
        }
        assert_ne!(names[0], names[1]);
    }
}

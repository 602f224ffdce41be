//! The process that compiles one component: bounds itself, reads, compiles, stores, and says how it went.
//!
//! It belongs to nobody: when the process that wanted the code has ended, it goes on and writes the cache entry for the
//! next one. Its own bounds end it, or the end of the cache.

use std::{
    fs,
    io::{self, Read, Write},
    process, thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Resource, Rlimit, nice, setrlimit},
};

use super::{
    check,
    order::{EXIT_TOOK_TOO_LONG, Order, Report},
};
use crate::{
    cache::{Cache, remove_source},
    engine::{Tier, compiling_engine},
    load_error::LoadError,
};

/// The largest file that it may write, in bytes.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// Address space that is reserved and never written to, in bytes: threads reserve some.
const RESERVED_BYTES: u64 = 4 << 30;

/// How often it is looked whether the time is up.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Does what the order says. For the program that [`super::ChildCompiler`] names, and for nobody else: it bounds the
/// whole process.
///
/// # Errors
/// If the report could not be written to the standard output; the code may be in the cache all the same.
pub fn run(order: &str) -> io::Result<()> {
    let report = match serde_json::from_str::<Order>(order) {
        Ok(order) => match bound(&order) {
            Ok(()) => work(&order),
            Err(error) => Report::Trouble(format!("could not bound the process: {error}")),
        },
        Err(error) => Report::Trouble(format!("the order cannot be read: {error}")),
    };
    let text = serde_json::to_vec(&report).map_err(io::Error::other)?;
    io::stdout().write_all(&text)
}

/// Sets the limits of this process. The kernel holds memory and processor time, a thread the wall time.
fn bound(order: &Order) -> io::Result<()> {
    let limit = |resource, value| setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
    limit(Resource::Core, 0)?;
    limit(Resource::Data, order.memory_bytes)?;
    limit(Resource::As, order.memory_bytes.saturating_add(RESERVED_BYTES))?;
    limit(Resource::Fsize, FILE_BYTES_MAX)?;
    // Reached only if the thread below is stuck: all processors, all the time.
    let processors = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    limit(Resource::Cpu, (order.wall_ms / 1000 + 5).saturating_mul(processors))?;
    if !order.is_awaited {
        nice(10).ok();
    }
    watch(order.clone());
    Ok(())
}

/// Ends the process when its time is up, or when the cache is gone and nobody can want the code any more.
fn watch(order: Order) {
    let end = Instant::now() + Duration::from_millis(order.wall_ms);
    thread::spawn(move || {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                remove_source(&order.cache_dir, &order.digest);
                process::exit(EXIT_TOOK_TOO_LONG);
            }
            if !order.cache_dir.exists() {
                process::exit(1);
            }
            thread::sleep(left.min(WATCH_INTERVAL));
        }
    });
}

fn work(order: &Order) -> Report {
    // One process is enough for what nobody waits for. The lock ends with the process.
    if !order.is_awaited && flock(io::stdin(), FlockOperation::NonBlockingLockExclusive).is_err() {
        return Report::UnderWay;
    }
    let report = compile(order);
    if order.tier == Tier::Optimised {
        remove_source(&order.cache_dir, &order.digest);
    }
    report
}

fn compile(order: &Order) -> Report {
    let mut bytes = Vec::new();
    if let Err(error) = io::stdin().lock().read_to_end(&mut bytes) {
        return Report::Trouble(format!("could not read the component: {error}"));
    }
    let description = match check(&order.digest, &bytes) {
        Ok(description) => description,
        Err(LoadError::Digest { expected, actual }) => return Report::OtherDigest { expected, actual },
        Err(LoadError::Describe(error)) => return Report::NotAPlugin(error),
        Err(other) => return Report::Trouble(other.to_string()),
    };
    let engine = match compiling_engine(order.tier) {
        Ok(engine) => engine,
        Err(error) => return Report::Refused(format!("{error:#}")),
    };
    let code = match engine.precompile_component(&bytes) {
        Ok(code) => code,
        Err(error) => return Report::Refused(format!("{error:#}")),
    };
    // Opening makes the directory if it is gone: then nobody wants the code any more.
    let stored = match fs::metadata(&order.cache_dir) {
        Ok(_) => Cache::open(&order.cache_dir, &engine)
            .map_err(io::Error::other)
            .and_then(|cache| cache.put(&code, &description)),
        Err(error) => Err(error),
    };
    match stored {
        Ok(()) => Report::Stored,
        Err(error) => Report::Trouble(format!("could not store the code: {error}")),
    }
}

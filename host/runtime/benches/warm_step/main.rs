//! A warm no-op step beside bare wasmtime doing the same: fresh store, instantiate, typed call, result; and one call of a
//! capability, recorded, beside one that only crosses the border.
//!
//! Both run in one process on the same component with the same engine settings; pairs are taken in turn, so that a slow
//! moment of the machine hits both.

mod bare;
mod host_call;
mod ours;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{bare::Bare, ours::Ours};

const ROUNDS: usize = 40;
const CALLS: usize = 250;

fn main() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/noop/plugin.wasm");
    let bytes = std::fs::read(&file).expect("`cargo xtask guests` builds the no-op guest");
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let ours = tokio.block_on(Ours::new(&bytes));
    let bare = Bare::new(&bytes);
    let Pairs { ours: p50, floor, ratio } = tokio.block_on(pairs(CALLS, || ours.call(), || bare.call()));
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
    tokio.block_on(host_call::measure());
}

/// What a pair of calls takes: both medians, and the median of the ratios of the rounds.
struct Pairs {
    ours: Duration,
    floor: Duration,
    ratio: f64,
}

async fn pairs<A: Future<Output = ()>, B: Future<Output = ()>>(
    calls: usize,
    mut ours: impl FnMut() -> A,
    mut bare: impl FnMut() -> B,
) -> Pairs {
    let (mut our_times, mut bare_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let one = each(calls, &mut ours).await;
        let other = each(calls, &mut bare).await;
        ratios.push(median(&one).as_secs_f64() / median(&other).as_secs_f64());
        our_times.extend(one);
        bare_times.extend(other);
    }
    ratios.sort_by(f64::total_cmp);
    Pairs { ours: median(&our_times), floor: median(&bare_times), ratio: ratios[ROUNDS / 2] }
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

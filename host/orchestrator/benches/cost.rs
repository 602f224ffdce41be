//! What the orchestrator and its store cost: `cargo bench --profile dev -p oxide-orchestrator`.
//!
//! Reports 1,000 steps (2,000 changes and as many events) in batches, and 400 chunks of log of 256 KiB each, by one agent
//! that waits for every answer.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use oxide_core::outcome::Status;
use support::{House, completed, log, new_run, outcome, plan, started};

const STEPS: usize = 1000;
const CHUNKS: u64 = 400;

#[tokio::main(worker_threads = 2)]
async fn main() {
    what_steps_and_logs_cost().await;
}

async fn what_steps_and_logs_cost() {
    let directory = tempfile::tempdir().expect("a directory for the store");
    let house = House::open(directory.path()).await;
    let agent = house.agent("box").await;

    for batch in [1, 10, 100] {
        let run = new_run(plan(&[("test", &[])], STEPS));
        let id = run.id;
        let begin = Instant::now();
        house.orchestrator.submit(run).await.expect("the store can be written");
        let submitted = begin.elapsed();
        let lease = agent.lease().await;
        let reported = Instant::now();
        for first in (0..STEPS).step_by(batch) {
            let changes = (first..first + batch).flat_map(|step| [started(step), completed(step, Status::Success)]);
            agent.report(lease.attempt, changes.collect(), Vec::new()).await;
        }
        let took = reported.elapsed();
        agent.complete(lease.attempt, outcome(Status::Success)).await;
        house.orchestrator.wait(id).await.expect("the run ends");
        println!("{STEPS} steps, {batch} per report: {took:?} (submit {submitted:?}, in all {:?})", begin.elapsed());
    }

    // About 30 KiB packed, like real output.
    let line = |number: u64| {
        format!("{number:08} {:016x} test case passed in some milliseconds\n", number.wrapping_mul(0x9e37_79b9))
    };
    let run = new_run(plan(&[("test", &[])], 1));
    house.orchestrator.submit(run).await.expect("the store can be written");
    let lease = agent.lease().await;
    let mut chunks = Vec::new();
    let mut next = 1;
    for _ in 0..CHUNKS {
        let mut text = String::new();
        let first = next;
        while text.len() < 256 << 10 {
            text.push_str(&line(next));
            next += 1;
        }
        chunks.push(log(0, first, &text));
    }
    let packed: usize = chunks.iter().map(|chunk| chunk.body.len()).sum();
    let begin = Instant::now();
    for pair in chunks.chunks(4) {
        agent.report(lease.attempt, Vec::new(), pair.to_vec()).await;
    }
    println!("{CHUNKS} chunks ({next} lines, {} KiB packed): {:?}", packed >> 10, begin.elapsed());
    let begin = Instant::now();
    let (mut from, mut lines) = (1, 0);
    loop {
        let page = house.store.log_page(lease.attempt, oxide_core::id::StepIndex(0), from, 10_000).await;
        let page = page.expect("the log can be read");
        lines += page.lines.len();
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    println!("read {lines} lines back: {:?}", begin.elapsed());
    house.handle.shutdown().await;
}

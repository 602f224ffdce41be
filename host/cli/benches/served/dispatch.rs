//! 200 agents over HTTPS: 2,000 jobs, and then single ones while 2,000 others wait for an agent that does not come.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use oxide_core::id::RunId;

use crate::{
    Times, millis, row,
    server::BenchServer,
    simulated::{Simulated, Tally},
};

const AGENTS: usize = 200;
const RUNS: usize = 20;
const JOBS: usize = 100;
const SINGLE: usize = 300;

/// Measures both.
pub async fn measure(server: &BenchServer) {
    let tally = Arc::new(Tally::default());
    for number in 0..AGENTS {
        let agent = Simulated::join(&server.client(), format!("simulated-{number}")).await;
        tokio::spawn(agent.work(tally.clone()));
    }
    let wide = server.pipeline(pipeline("wide", "simulated", JOBS)).await;
    let begin = Instant::now();
    for _ in 0..RUNS {
        server.run(wide).await;
    }
    while tally.completed.load(Ordering::SeqCst) < RUNS * JOBS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rate = (RUNS * JOBS) as f64 / begin.elapsed().as_secs_f64();

    let waiting = server.pipeline(pipeline("waiting", "gpu", JOBS)).await;
    for _ in 0..RUNS {
        server.run(waiting).await;
    }
    let single = server.pipeline(pipeline("single", "simulated", 1)).await;
    // All agents ask again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut runs = Vec::new();
    for _ in 0..SINGLE {
        runs.push(server.run(single).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut times = Vec::new();
    for run in runs {
        times.push(dispatched(server, run).await);
    }
    let (times, floor) = (Times::new(times), Times::new(server.round_trips(500).await));
    let what = format!("queued → step started, {AGENTS} agents, {} jobs wait: p50, p99", RUNS * JOBS);
    let ours = format!("{}, {}", millis(times.at(0.5)), millis(times.at(0.99)));
    let floor = format!("round trip: {}, {}", millis(floor.at(0.5)), millis(floor.at(0.99)));
    let met = times.at(0.5) < Duration::from_millis(50) && times.at(0.99) < Duration::from_millis(250);
    row(&what, ours, floor, None, "< 50 ms, < 250 ms", met);
    let what = format!("{} jobs of one step over the API, {AGENTS} agents", RUNS * JOBS);
    row(&what, format!("{rate:.0} a second"), "–".to_owned(), None, "–", true);
}

/// From the moment that its job was queued to the start of its step, as agent and server say: one clock.
async fn dispatched(server: &BenchServer, run: RunId) -> Duration {
    let details = server.ended(run).await;
    let attempt = &details.stages[0].jobs[0].attempts[0];
    let started = attempt.steps[0].started_at.expect("it succeeded");
    Duration::from_millis(started.millis_since(attempt.queued_at))
}

fn pipeline(name: &str, label: &str, jobs: usize) -> String {
    let cells: Vec<String> = (0..jobs).map(|cell| cell.to_string()).collect();
    format!(
        "version: \"1\"\nname: {name}\nstages:\n  a:\n    environment: host\n    runs_on: [{label}]\n    matrix: {{ cell: [{}] }}\n    \
         steps: [{{ run: \"true\" }}]\n",
        cells.join(", ")
    )
}

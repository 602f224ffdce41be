//! 200 agents and 2,000 jobs, and a server that dies among them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use oxide_core::outcome::Status;

use super::{
    deployment::{Fleet, Shape},
    on_both,
    simulated::{Simulated, Tally},
};

const AGENTS: usize = 200;
const RUNS: usize = 20;
/// Cells of the matrix of each run.
const JOBS: usize = 100;

on_both!(two_thousand_jobs_outlive_their_server);

/// The server that leads is killed when a fifth is done, and started again. Every job succeeds, and none was given out twice.
fn two_thousand_jobs_outlive_their_server(shape: Shape) {
    let mut fleet = Fleet::of_servers(shape, &[("OXIDE_SERVER_RATE_LIMIT_PER_TOKEN", "1000000")]);
    let tally = Arc::new(Tally::default());
    let agents: Vec<_> = (0..AGENTS)
        .map(|number| {
            let client = fleet.client(number % fleet.servers.len());
            let agent = fleet.runtime.block_on(Simulated::join(&client, format!("simulated-{number}")));
            fleet.runtime.spawn(agent.work(tally.clone()))
        })
        .collect();
    let cells: Vec<String> = (0..JOBS).map(|cell| cell.to_string()).collect();
    let pipeline = fleet.pipeline(&format!(
        "version: \"1\"\nname: many\nstages:\n  a:\n    environment: host\n    runs_on: [simulated]\n    matrix: {{ cell: [{}] }}\n    \
         steps: [{{ run: \"true\" }}]\n",
        cells.join(", ")
    ));
    let runs: Vec<_> = (0..RUNS).map(|_| fleet.run(pipeline)).collect();
    fleet.wait_for("a fifth of the jobs", || tally.completed.load(Ordering::SeqCst) >= RUNS * JOBS / 5);
    fleet.servers[0].kill();
    std::thread::sleep(Duration::from_secs(1));
    fleet.servers[0].start();
    let mut succeeded = 0;
    for run in runs {
        let ended = fleet.ended(run);
        assert_eq!(ended.about.status, Status::Success, "{:?}\n{}", ended.about.reason, fleet.logs());
        assert_eq!(ended.stages[0].jobs.len(), JOBS);
        assert!(ended.stages[0].jobs.iter().all(|job| job.status == Status::Success));
        succeeded += ended.stages[0].jobs.len();
    }
    let taken = tally.taken.lock().unwrap();
    let twice: Vec<_> = taken.iter().filter(|(_, times)| times.len() > 1).collect();
    assert!(twice.is_empty(), "attempts that were given out twice: {twice:?}");
    assert!(taken.len() >= RUNS * JOBS);
    let died: Vec<_> = agents.iter().filter(|agent| agent.is_finished()).collect();
    assert!(died.is_empty(), "agents that ended: {}", died.len());
    let found = format!("{succeeded} jobs succeeded, {} attempts given out twice", twice.len());
    fleet.tells("the server that leads is killed among 200 agents and 2,000 jobs", RUNS * JOBS - succeeded, &found);
}

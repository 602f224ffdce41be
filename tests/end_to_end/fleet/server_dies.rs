//! kill -9 of servers.

use std::{thread, time::Duration};

use super::{
    counter::{Counter, SLOW_AT_FIRST},
    deployment::{Fleet, Shape},
    on_both,
};

on_both!(
    a_server_is_killed_in_the_middle_of_a_stage,
    a_server_and_an_agent_are_killed_together,
    a_server_is_stopped_in_good_order
);

/// The agent goes on meanwhile and hands in what it kept: one attempt, not a line lost.
fn a_server_is_killed_in_the_middle_of_a_stage(shape: Shape) {
    let mut fleet = Fleet::start(shape);
    let (counter, text) = Counter::new(fleet.folder(), 100, "0.05");
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 20);
    for server in &mut fleet.servers {
        server.kill();
    }
    thread::sleep(Duration::from_secs(2));
    for index in 0..fleet.servers.len() {
        fleet.servers[index].start();
    }
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 1, "the attempt was given up although its agent lived");
    fleet.says("all servers are killed in the middle of a stage", &kept);
}

/// Both come back: the old attempt is visible as lost, a new one counts from the beginning.
fn a_server_and_an_agent_are_killed_together(shape: Shape) {
    let mut fleet = Fleet::start(shape);
    let (counter, text) = Counter::new(fleet.folder(), 60, SLOW_AT_FIRST);
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 3);
    fleet.servers.iter_mut().for_each(|server| server.kill());
    fleet.agents.iter_mut().for_each(|agent| agent.kill());
    fleet.servers.iter_mut().for_each(|server| server.start());
    fleet.agents.iter_mut().for_each(|agent| agent.start());
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 2, "the lost attempt and the new one are both to be seen");
    fleet.says("servers and agents are killed together", &kept);
}

/// SIGTERM in the middle: the run goes on after the start.
fn a_server_is_stopped_in_good_order(shape: Shape) {
    let mut fleet = Fleet::start(shape);
    let (counter, text) = Counter::new(fleet.folder(), 60, "0.05");
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 10);
    fleet.servers.iter_mut().for_each(|server| server.stop());
    fleet.servers.iter_mut().for_each(|server| server.start());
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 1);
    fleet.says("all servers are stopped in good order and started again", &kept);
}

/// The first server leads; it is killed while runs go on and new ones come, and stays away. The second one takes over, and the
/// agents of the first go to it: nobody is given up.
#[test]
fn the_leader_is_killed_under_load() {
    if !Shape::Postgres.is_available() {
        return;
    }
    let mut fleet = Fleet::start(Shape::Postgres);
    let (counter, text) = Counter::new(fleet.folder(), 200, "0.05");
    let first = fleet.pipeline(&text);
    let small = fleet.pipeline(
        "version: \"1\"\nname: small\nstages:\n  a:\n    environment: host\n    steps: [{ run: \"true\" }]\n",
    );
    let counting = fleet.run(first);
    counter.wait_until(&fleet, 1);
    let mut runs: Vec<_> = (0..20).map(|_| fleet.run(small)).collect();
    fleet.servers[0].kill();
    runs.extend((0..20).map(|_| fleet.run(small)));
    let kept = counter.nothing_is_lost(&fleet, counting);
    assert_eq!(kept.attempts, 1, "the attempt was given up although its agent lived");
    let beside = runs.len();
    for run in runs {
        let ended = fleet.ended(run).about;
        assert_eq!(ended.status, oxide_core::outcome::Status::Success, "{:?}\n{}", ended.reason, fleet.logs());
    }
    fleet.servers[0].start();
    fleet.wait_until_ready(0);
    let found = format!("{kept}; {beside} runs beside it succeeded");
    fleet.tells("the server that leads is killed under load", kept.missing, &found);
}

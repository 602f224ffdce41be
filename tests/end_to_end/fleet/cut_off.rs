//! An agent that lives and cannot be reached.

use std::process::Command;

use oxide_core::{event::EventKind, id::RunId, outcome::Status};

use super::{
    counter::{Counter, SLOW_AT_FIRST},
    deployment::{Fleet, Shape},
    gate::Gate,
    on_both,
};
use crate::oxide::docker;

on_both!(
    an_agent_is_cut_off_longer_than_its_lease,
    an_agent_with_a_container_is_cut_off_longer_than_its_lease,
    an_agent_is_cut_off_for_a_moment,
);

/// Another agent takes a new attempt. The first one comes back: what it reports is refused, and what it runs is ended.
fn an_agent_is_cut_off_longer_than_its_lease(shape: Shape) {
    let mut fleet = Fleet::of_servers(shape, &[]);
    let gate = Gate::to(fleet.server_address(0));
    fleet.join("far-away", Some(&gate));
    let (counter, text) = Counter::new(fleet.folder(), 300, SLOW_AT_FIRST);
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 3);
    gate.shut();
    fleet.join("near", None);
    fleet.wait_for("the second attempt", || counter.counted().len() == 2);
    gate.open();
    fleet.wait_for("the first attempt to be ended", || !is_at_work(run, 1));
    assert!(counter.counted()[0] < 300, "the lost attempt ran to its end");
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 2);
    let details = fleet.details(run);
    let lost = &details.stages[0].jobs[0].attempts[0];
    assert_ne!(lost.status, Status::Success);
    assert!(lost.reason.as_deref().is_some_and(|reason| reason.contains("far-away")), "{lost:?}");
    it_says_how_it_fares(&fleet, "near");
    fleet.says("an agent is cut off longer than its lease", &kept);
}

/// An agent says every ten seconds that it lives and how its machine fares; a heartbeat may wait five seconds to be written.
fn it_says_how_it_fares(fleet: &Fleet, name: &str) {
    let find = || fleet.agents_told().into_iter().find(|agent| agent.name == name).unwrap();
    let mut beats = Vec::new();
    fleet.events(format!("agent.{}.heartbeat", find().id), |told| {
        let EventKind::AgentHeartbeat { metrics, .. } = &told.event.kind else { panic!("{told:?}") };
        beats.extend(metrics.is_some().then_some(told.event.at));
        beats.len() == 3
    });
    for pair in beats.windows(2) {
        let pause = pair[1].millis_since(pair[0]);
        assert!((1..=60_000).contains(&pause), "{pause} ms between two heartbeats");
    }
    let agent = find();
    assert!(agent.metrics.is_some_and(|metrics| metrics.memory_total_bytes > 0), "{agent:?}");
}

/// What it tells of its attempt is refused when it is back, and the container of that goes.
fn an_agent_with_a_container_is_cut_off_longer_than_its_lease(shape: Shape) {
    let Some(docker) = docker() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI");
        eprintln!("SKIPPED: containers need Docker");
        return;
    };
    let mut fleet = Fleet::of_servers(shape, &[]);
    let gate = Gate::to(fleet.server_address(0));
    let far_away = fleet.join("far-away", Some(&gate));
    let (counter, text) = Counter::in_container("oxide-test/busybox:1", fleet.folder(), 300, SLOW_AT_FIRST);
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    let containers = |attempt: u32| {
        let label = format!("label=oxide.attempt={run}/0/{attempt}");
        let mut command = Command::new("docker");
        let found = command.args(["--host", &docker, "ps", "--all", "--quiet", "--filter", &label]).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        String::from_utf8(found.stdout).unwrap().lines().count()
    };
    fleet.wait_for("the job to count", || count_lines(&fleet, run, 1) >= 3);
    assert!(containers(1) > 0, "the job is not in a container");
    gate.shut();
    fleet.join("near", None);
    fleet.wait_for("the second attempt to count", || count_lines(&fleet, run, 2) > 0);
    let told = count_lines(&fleet, run, 1);
    gate.open();
    fleet.wait_for("the agent to hear that it is refused", || {
        fleet.agents[far_away].log().contains(&format!("attempt {run}/0/1: the server refused a report"))
    });
    fleet.wait_for("the container of the first attempt to go", || containers(1) == 0);
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 2);
    assert_eq!(count_lines(&fleet, run, 1), told, "a report of the lost attempt was taken");
    assert_ne!(fleet.details(run).stages[0].jobs[0].attempts[0].status, Status::Success);
    fleet.wait_for("the container of the second attempt to go", || containers(2) == 0);
    fleet.says("an agent with a container is cut off longer than its lease", &kept);
}

/// Does a process of an attempt live on this machine? Its commands have the attempt in their environment.
fn is_at_work(run: RunId, attempt: u32) -> bool {
    let mark = format!("OXIDE_ATTEMPT={run}/0/{attempt}\0");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut environments = processes.map(|process| std::fs::read(process.path().join("environ")).unwrap_or_default());
    environments.any(|environment| String::from_utf8_lossy(&environment).contains(&mark))
}

/// How many lines the log of an attempt has, which may not have begun.
fn count_lines(fleet: &Fleet, run: RunId, attempt: u32) -> usize {
    if fleet.has_begun(run, attempt) { fleet.lines(run, attempt).len() } else { 0 }
}

/// It spools what happens and hands it in: one attempt.
fn an_agent_is_cut_off_for_a_moment(shape: Shape) {
    let mut fleet = Fleet::of_servers(shape, &[]);
    let gate = Gate::to(fleet.server_address(0));
    fleet.join("far-away", Some(&gate));
    let (counter, text) = Counter::new(fleet.folder(), 120, "0.05");
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 20);
    gate.shut();
    counter.wait_until(&fleet, 40);
    gate.open();
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 1);
    fleet.says("an agent is cut off for a moment", &kept);
}

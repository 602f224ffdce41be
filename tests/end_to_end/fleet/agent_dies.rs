//! kill -9 of agents.

use std::process::Command;

use super::{
    counter::{Counter, SLOW_AT_FIRST},
    deployment::{Fleet, Shape},
    on_both,
};

on_both!(an_agent_is_killed_in_the_middle_of_a_step, an_agent_is_killed_for_good);

/// It comes back, says that its attempt is lost, and removes what that left; a new attempt begins at once. The job is one for
/// agents that come over HTTPS: a server hears from NATS a little later that nobody waits any more, and may give an attempt to
/// the dead.
fn an_agent_is_killed_in_the_middle_of_a_step(shape: Shape) {
    let mut fleet = Fleet::start(shape);
    let (counter, text) =
        Counter::of_stage("environment: host\n    runs_on: [https]", fleet.folder(), 60, SLOW_AT_FIRST);
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 3);
    fleet.agents.iter_mut().for_each(|agent| agent.kill());
    fleet.agents.iter_mut().for_each(|agent| agent.start());
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 2);
    let details = fleet.details(run);
    let lost = &details.stages[0].jobs[0].attempts[0];
    assert!(lost.reason.as_deref().is_some_and(|reason| reason.contains("agent")), "{lost:?}");
    let left = counter.counted();
    assert!(left[0] < 60, "the commands of the dead agent went on: {left:?}");
    fleet.says("all agents are killed in the middle of a step, and come back", &kept);
}

/// It does not come back: after its silence another agent takes a new attempt.
fn an_agent_is_killed_for_good(shape: Shape) {
    let mut fleet = Fleet::start(shape);
    let (counter, text) = Counter::new(fleet.folder(), 40, SLOW_AT_FIRST);
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 3);
    let holder = fleet.details(run).stages[0].jobs[0].attempts[0].agent.unwrap().to_string();
    let agents = fleet.runtime.block_on(fleet.client(0).agents(&Default::default())).unwrap().items;
    let name = agents.into_iter().find(|agent| agent.id.to_string() == holder).unwrap().name;
    let index: usize = name.strip_prefix("agent-").unwrap().parse().unwrap();
    let left = children_of(fleet.agents[index].id());
    fleet.agents[index].kill();
    // Nobody is left on its machine who could end what it began.
    for process in left {
        let _ = Command::new("kill").args(["-9", &process]).status();
    }
    fleet.join("another", None);
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 2);
    fleet.says("an agent is killed for good", &kept);
}

fn children_of(process: u32) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().map(str::to_owned).collect()
}

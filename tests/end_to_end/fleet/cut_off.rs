//! An agent that lives and cannot be reached.

use oxide_core::outcome::Status;

use super::{
    counter::Counter,
    deployment::{Fleet, Shape},
    gate::Gate,
    on_both,
};

on_both!(an_agent_is_cut_off_longer_than_its_lease, an_agent_is_cut_off_for_a_moment);

/// Another agent takes a new attempt. The first one comes back: what it reports is refused, and what it runs is ended.
fn an_agent_is_cut_off_longer_than_its_lease(shape: Shape) {
    let mut fleet = Fleet::start(shape);
    fleet.agents.iter_mut().for_each(|agent| agent.stop());
    let gate = Gate::to(fleet.server_address(0));
    fleet.join("far-away", Some(&gate));
    let (counter, text) = Counter::new(fleet.folder(), 1200, "0.05");
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 10);
    gate.shut();
    fleet.join("near", None);
    fleet.wait_for("the second attempt", || counter.counted().len() == 2);
    gate.open();
    // It counts to 1,200 in a minute or more; being told to stop takes a moment.
    fleet.wait_for("the first attempt to be ended", || {
        let before = counter.counted()[0];
        std::thread::sleep(std::time::Duration::from_secs(1));
        counter.counted()[0] == before
    });
    assert!(counter.counted()[0] < 1200, "the lost attempt ran to its end");
    assert_eq!(counter.nothing_is_lost(&fleet, run), 2);
    let details = fleet.details(run);
    let lost = &details.stages[0].jobs[0].attempts[0];
    assert_ne!(lost.status, Status::Success);
    assert!(lost.reason.as_deref().is_some_and(|reason| reason.contains("far-away")), "{lost:?}");
}

/// It spools what happens and hands it in: one attempt.
fn an_agent_is_cut_off_for_a_moment(shape: Shape) {
    let mut fleet = Fleet::start(shape);
    fleet.agents.iter_mut().for_each(|agent| agent.stop());
    let gate = Gate::to(fleet.server_address(0));
    fleet.join("far-away", Some(&gate));
    let (counter, text) = Counter::new(fleet.folder(), 120, "0.05");
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 20);
    gate.shut();
    counter.wait_until(&fleet, 80);
    gate.open();
    assert_eq!(counter.nothing_is_lost(&fleet, run), 1);
}

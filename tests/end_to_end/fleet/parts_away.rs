//! The database or the bus is away for a while.

use std::{thread, time::Duration};

use super::{
    counter::Counter,
    deployment::{Fleet, Shape},
};

/// All connections to PostgreSQL are cut and no new ones can be made, as when it restarts: leadership is lost and won again.
#[test]
fn the_database_restarts() {
    if !Shape::Postgres.is_available() {
        return;
    }
    let fleet = Fleet::start(Shape::Postgres);
    let (counter, text) = Counter::new(fleet.folder(), 150, "0.05");
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 20);
    let gate = fleet.database_gate.as_ref().unwrap();
    gate.shut();
    thread::sleep(Duration::from_secs(5));
    gate.open();
    assert_eq!(counter.nothing_is_lost(&fleet, run), 1, "the attempt was given up although its agent lived");
}

/// NATS is down for a minute: runs go on, and its stream has every event afterwards.
#[test]
fn nats_is_down_for_a_minute() {
    if !Shape::Postgres.is_available() {
        return;
    }
    let mut fleet = Fleet::start(Shape::Postgres);
    let (counter, text) = Counter::new(fleet.folder(), 100, "0.05");
    let pipeline = fleet.pipeline(&text);
    fleet.nats.as_mut().unwrap().end();
    let run = fleet.run(pipeline);
    assert_eq!(counter.nothing_is_lost(&fleet, run), 1);
    thread::sleep(Duration::from_secs(50));
    fleet.nats.as_mut().unwrap().begin();
    let counter_again = fleet.run(pipeline);
    assert_eq!(fleet.ended(counter_again).about.status, oxide_core::outcome::Status::Success);
}

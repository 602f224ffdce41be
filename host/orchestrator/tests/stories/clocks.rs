//! The wall clock is set by an hour, forward and back, while things go on.

use std::time::Duration;

use oxide_core::{outcome::Status, protocol::Acknowledgement};
use oxide_store::OwnerId;

use crate::support::{
    House,
    databases::{Database, databases},
    new_run, outcome, plan, started, until,
};

const HOUR: i64 = 3_600_000;

/// Several turns.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(1_700)).await;
}

async fn house_on(database: &Database) -> House {
    House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await
}

#[tokio::test]
async fn neither_deadlines_nor_silence_follow_the_clock_on_the_wall() {
    for hours in [1, -1, 24 * 30] {
        for database in databases() {
            the_clock_is_set(&database, hours).await;
        }
    }
}

async fn the_clock_is_set(database: &Database, hours: i64) {
    let house = house_on(database).await;
    let agent = house.agent("box").await;
    let mut plan = (*plan(&[("test", &[])], 1)).clone();
    plan.stages[0].timeout_ms = 60_000;
    let run = new_run(plan.into());
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let lease = agent.lease().await;
    house.pass(20_000);
    house.hands.set(hours * HOUR);
    a_while().await;
    let stored = agent.report(lease.attempt, vec![started(0)], Vec::new()).await;
    assert_eq!(stored, Acknowledgement::Stored, "{hours} h: neither lost nor too late");
    house.pass(20_000);
    a_while().await;
    assert_eq!(house.store.run(id).await.unwrap().unwrap().status, Status::Running, "{hours} h");
    // It is heard of, and a minute has really passed now.
    let _ = tokio::time::timeout(Duration::from_millis(50), agent.heartbeat(vec![lease.attempt])).await;
    house.caught_up().await;
    let beats = agent.heartbeat(vec![lease.attempt]);
    house.pass(20_500);
    assert_eq!(beats.await.cancel[0].status, Status::Timeout, "{hours} h");
    agent.complete(lease.attempt, outcome(Status::Timeout)).await;
    let summary = house.orchestrator.wait(id).await.unwrap();
    let took = summary.ended_at.unwrap().millis_since(summary.started_at.unwrap());
    assert!((60_500..61_500).contains(&took), "{hours} h: it took {took} ms");

    // What begins now has the new time.
    let run = new_run(crate::support::plan(&[("test", &[])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    agent.work().await;
    assert_eq!(house.orchestrator.wait(id).await.unwrap().ended_at, Some(house.hands.now()));
}

#[tokio::test]
async fn silence_goes_by_time_that_has_passed() {
    for database in databases() {
        let house = house_on(&database).await;
        let agent = house.agent("box").await;
        let run = new_run(plan(&[("test", &[])], 1));
        let id = run.id;
        house.orchestrator.submit(run).await.unwrap();
        agent.lease().await;
        house.hands.set(-HOUR);
        house.pass(31_000);
        until(async || house.store.attempts(id).await.unwrap().len() == 2).await;
    }
}

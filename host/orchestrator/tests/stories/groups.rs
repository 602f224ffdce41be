//! Concurrency groups: runs that wait for each other, and newer ones that end older ones.

use std::sync::Arc;

use oxide_core::{
    outcome::Status,
    plan::{Plan, PlannedConcurrency},
};
use oxide_store::OwnerId;

use crate::support::{House, databases::databases, new_run, outcome, plan};

fn grouped(cancel_in_progress: bool) -> Arc<Plan> {
    let concurrency = PlannedConcurrency { group: "deploy".into(), limit: 1, cancel_in_progress };
    Arc::new(Plan { concurrency: Some(concurrency), ..(*plan(&[("test", &[])], 1)).clone() })
}

#[tokio::test]
async fn runs_of_a_group_go_one_after_the_other_and_across_a_restart() {
    for database in databases() {
        let mut house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let runs: Vec<_> = (0..4).map(|_| new_run(grouped(false))).collect();
        let ids: Vec<_> = runs.iter().map(|run| run.id).collect();
        for run in runs {
            house.orchestrator.submit(run).await.unwrap();
        }
        let stored = async |house: &House, index: usize| house.store.run(ids[index]).await.unwrap().unwrap();
        assert_eq!(stored(&house, 1).await.status, Status::Queued);
        assert_eq!(stored(&house, 1).await.reason.as_deref(), Some("waits for run #1 of the group `deploy`"));
        assert_eq!(
            stored(&house, 3).await.reason.as_deref(),
            Some("waits for run #1 and 2 more of the group `deploy`")
        );
        house.orchestrator.cancel(ids[1], "cancelled by ann").await.unwrap();
        assert_eq!(house.orchestrator.wait(ids[1]).await.unwrap().status, Status::Cancelled);
        assert_eq!(
            stored(&house, 3).await.reason.as_deref(),
            Some("waits for run #1 and 1 more of the group `deploy`")
        );

        let mut agent = house.agent("box").await;
        let lease = agent.lease().await;
        assert_eq!(lease.attempt.run, ids[0]);
        house.handle.shutdown().await;
        house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        agent.link = house.orchestrator.clone();
        assert_eq!(stored(&house, 2).await.status, Status::Queued);
        agent.complete(lease.attempt, outcome(Status::Success)).await;
        assert_eq!(agent.work().await.attempt.run, ids[2]);
        assert_eq!(agent.work().await.attempt.run, ids[3]);
        assert_eq!(house.orchestrator.wait(ids[3]).await.unwrap().status, Status::Success);
        assert_eq!(stored(&house, 2).await.reason, None);
    }
}

#[tokio::test]
async fn a_newer_run_ends_those_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let agent = house.agent("box").await;
    let (old, between, new) = (new_run(grouped(true)), new_run(grouped(false)), new_run(grouped(true)));
    let ids = [old.id, between.id, new.id];
    house.orchestrator.submit(old).await.unwrap();
    let lease = agent.lease().await;
    house.orchestrator.submit(between).await.unwrap();
    house.orchestrator.submit(new).await.unwrap();
    let superseded = house.orchestrator.wait(ids[1]).await.unwrap();
    assert_eq!(superseded.reason.as_deref(), Some("superseded by run #3 of the group `deploy`"));
    let answer = agent.heartbeat(vec![lease.attempt]).await;
    assert_eq!(answer.cancel[0].reason, "superseded by run #3 of the group `deploy`");
    agent.complete(lease.attempt, outcome(Status::Cancelled)).await;
    assert_eq!(house.orchestrator.wait(ids[0]).await.unwrap().status, Status::Cancelled);
    assert_eq!(agent.work().await.attempt.run, ids[2]);
}

//! Stages that wait for people.

use std::sync::Arc;

use oxide_core::{
    access::Role,
    approval::{ApprovalStatus, Approver, Decision},
    event::EventKind,
    id::{ApprovalId, RunId, UserId},
    outcome::Status,
    plan::{Plan, PlannedApproval},
};
use oxide_orchestrator::{Approval, OrchestratorError, Vote};
use oxide_store::OwnerId;
use uuid::Uuid;

use crate::support::{House, databases::databases, new_run, plan};

fn asking(minimum: u32) -> Arc<Plan> {
    let mut plan = (*plan(&[("test", &[]), ("release", &[0])], 1)).clone();
    let approvers = vec![Approver::Role(Role::Maintainer)];
    plan.stages[1].approval = Some(PlannedApproval { approvers, minimum, timeout_ms: 60_000 });
    Arc::new(plan)
}

fn vote(run: RunId, approval: ApprovalId, who: u128, decision: Decision) -> Vote {
    let name = ["ann", "ben", "eva"][who as usize].to_owned();
    Vote { run, approval, user: UserId(Uuid::from_u128(who)), name, decision, comment: Some("well".into()) }
}

/// Runs the first stage; the second one asks.
async fn asked(house: &House, minimum: u32) -> (RunId, ApprovalId) {
    let run = new_run(asking(minimum));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    house.agent("box").await.work().await;
    let open = house.store.open_approvals(Some(id)).await.unwrap();
    assert_eq!(open.len(), 1);
    (id, open[0].id)
}

#[tokio::test]
async fn enough_people_let_a_stage_begin_across_a_restart() {
    for database in databases() {
        let mut house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let (run, approval) = asked(&house, 2).await;
        let waits = house.store.run(run).await.unwrap().unwrap();
        assert_eq!(waits.status, Status::WaitingApproval);
        assert_eq!(waits.reason.as_deref(), Some("stage `release` waits for 2 approvals by role:maintainer"));
        let first = house.orchestrator.vote(vote(run, approval, 0, Decision::Approve)).await.unwrap();
        assert_eq!(first, Approval { status: ApprovalStatus::Waiting, missing: 1 });
        house.handle.shutdown().await;
        house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let again = house.orchestrator.vote(vote(run, approval, 0, Decision::Approve)).await.unwrap();
        assert_eq!(again, first, "the same word twice is one");
        let other = house.orchestrator.vote(vote(run, approval, 0, Decision::Reject)).await;
        assert!(matches!(other, Err(OrchestratorError::VotedBefore { .. })));
        let last = house.orchestrator.vote(vote(run, approval, 1, Decision::Approve)).await.unwrap();
        assert_eq!(last, Approval { status: ApprovalStatus::Approved, missing: 0 });
        let late = house.orchestrator.vote(vote(run, approval, 2, Decision::Approve)).await;
        let status = ApprovalStatus::Approved;
        assert_eq!(late, Err(OrchestratorError::ApprovalEnded { approval, status }));
        assert_eq!(house.agent("other").await.work().await.stage, "release");
        assert_eq!(house.orchestrator.wait(run).await.unwrap().status, Status::Success);
        let stored = house.store.approval(approval).await.unwrap().unwrap();
        assert_eq!((stored.approval.status, stored.votes.len()), (ApprovalStatus::Approved, 2));
        let unknown = ApprovalId(Uuid::now_v7());
        let nothing = house.orchestrator.vote(vote(run, unknown, 0, Decision::Approve)).await;
        assert_eq!(nothing, Err(OrchestratorError::NoSuchApproval(unknown)));
    }
}

#[tokio::test]
async fn one_refusal_and_time_end_a_stage() {
    let directory = tempfile::tempdir().unwrap();
    let mut house = House::open(directory.path()).await;
    let (refused, approval) = asked(&house, 2).await;
    house.orchestrator.vote(vote(refused, approval, 0, Decision::Reject)).await.unwrap();
    let ended = house.orchestrator.wait(refused).await.unwrap();
    assert_eq!(ended.status, Status::Failure);
    assert!(ended.reason.unwrap().contains("rejected by ann: well"));

    let (expired, approval) = asked(&house, 1).await;
    house.pass(59_000);
    house.agent("third").await;
    assert_eq!(house.store.open_approvals(Some(expired)).await.unwrap().len(), 1);
    house.pass(1_500);
    let ended = house.orchestrator.wait(expired).await.unwrap();
    assert_eq!(ended.status, Status::Timeout);
    let stored = house.store.approval(approval).await.unwrap().unwrap().approval;
    assert_eq!(stored.status, ApprovalStatus::Expired);

    let (cancelled, approval) = asked(&house, 1).await;
    house.orchestrator.cancel(cancelled, "cancelled by eva").await.unwrap();
    house.orchestrator.wait(cancelled).await.unwrap();
    let stored = house.store.approval(approval).await.unwrap().unwrap().approval;
    assert_eq!(stored.status, ApprovalStatus::Withdrawn);
    let mut told = Vec::new();
    while told.len() < 6 {
        match house.next_event().await {
            EventKind::ApprovalRequested { stage, minimum, .. } => told.push(format!("{stage} asks {minimum}")),
            EventKind::ApprovalCompleted { status, .. } => told.push(status.as_str().to_owned()),
            _ => {}
        }
    }
    let expected = ["release asks 2", "rejected", "release asks 1", "expired", "release asks 1", "withdrawn"];
    assert_eq!(told, expected);
}

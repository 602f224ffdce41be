//! Approvals: one answer of each user, and none after the end.

use oxide_core::{
    access::Role,
    approval::{ApprovalStatus, Approver, Decision, Vote},
    id::{ApprovalId, ProjectId, RunId, StageIndex, UserId},
    outcome::Status,
    run::StageState,
    time::Timestamp,
};
use serde_json::Map;
use uuid::Uuid;

use super::{FIRST, SECOND, databases::on_each_database, insert, people::add_project, run};
use crate::{
    ApprovalFilter, ApprovalRow, NewRun, PageRequest, RunOrigin, StageRow, Store, VoteRow, Voting, WriteBatch,
};

const FIRST_ID: ApprovalId = ApprovalId(Uuid::from_u128(1));

fn approval(id: u128, run: u128) -> ApprovalRow {
    ApprovalRow {
        id: ApprovalId(Uuid::from_u128(id)),
        run: RunId(Uuid::from_u128(run)),
        stage: StageIndex(1),
        approvers: vec![Approver::Role(Role::Maintainer), Approver::User("ann".into())],
        minimum: 2,
        status: ApprovalStatus::Waiting,
        created_at: Timestamp(10),
        expires_at: Timestamp(1000),
        ended_at: None,
    }
}

fn vote(user: u128, decision: Decision, at: i64) -> VoteRow {
    VoteRow {
        approval: FIRST_ID,
        user: UserId(Uuid::from_u128(user)),
        vote: Vote { user: format!("user {user}"), decision, comment: Some("fine".into()), at: Timestamp(at) },
    }
}

fn stage(run: u128) -> StageRow {
    let state = StageState {
        status: Status::WaitingApproval,
        reason: None,
        blocked: false,
        started_at: None,
        ended_at: None,
        stop: None,
        approval_requested_at: None,
        outputs: Map::new(),
    };
    StageRow { run: RunId(Uuid::from_u128(run)), stage: StageIndex(1), name: "deploy".into(), state }
}

async fn ask(store: &Store, project: ProjectId) {
    let origin = RunOrigin { project: Some(project), ..RunOrigin::default() };
    insert(store, &NewRun { origin, ..run(FIRST, "release") }).await;
    insert(store, &run(SECOND, "build")).await;
    let mut batch = WriteBatch::default();
    for (id, of) in [(1, FIRST), (2, SECOND)] {
        batch.stage(stage(of));
        batch.approval(approval(id, of));
    }
    let mut transaction = store.begin().await.unwrap();
    transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn cast(store: &Store, row: VoteRow) -> Voting {
    let mut transaction = store.begin().await.unwrap();
    let voting = transaction.vote(&row).await.unwrap();
    transaction.commit().await.unwrap();
    voting
}

on_each_database! {
    async fn each_user_answers_once_and_nobody_after_the_end(store: TestStore) {
        ask(&store, add_project(&store, 5, "web").await).await;
        let (yes, no) = (vote(11, Decision::Approve, 20), vote(12, Decision::Reject, 30));
        assert_eq!(cast(&store, yes.clone()).await, Voting::Stored(vec![yes.vote.clone()]));
        assert_eq!(cast(&store, vote(11, Decision::Reject, 25)).await, Voting::Before(yes.vote.clone()));
        assert_eq!(cast(&store, no.clone()).await, Voting::Stored(vec![yes.vote.clone(), no.vote.clone()]));
        let nowhere = VoteRow { approval: ApprovalId(Uuid::from_u128(99)), ..no.clone() };
        assert_eq!(cast(&store, nowhere).await, Voting::Missing);
        let mut transaction = store.begin().await.unwrap();
        assert!(transaction.end_approval(FIRST_ID, ApprovalStatus::Rejected, Timestamp(40)).await.unwrap());
        assert!(!transaction.end_approval(FIRST_ID, ApprovalStatus::Approved, Timestamp(41)).await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(cast(&store, vote(13, Decision::Approve, 50)).await, Voting::Ended(ApprovalStatus::Rejected));
        assert_eq!(store.votes(FIRST_ID).await.unwrap(), [yes, no]);
    }

    async fn approvals_are_listed_with_all_that_is_shown(store: TestStore) {
        let web = add_project(&store, 5, "web").await;
        ask(&store, web).await;
        let yes = vote(11, Decision::Approve, 20);
        let mut batch = WriteBatch::default();
        batch.approval_vote(yes.clone());
        batch.approval_vote(vote(11, Decision::Reject, 25));
        batch.approval(ApprovalRow { status: ApprovalStatus::Expired, ended_at: Some(Timestamp(1000)), ..approval(2, SECOND) });
        let mut transaction = store.begin().await.unwrap();
        transaction.write(&batch).await.unwrap();
        assert_eq!(transaction.votes(FIRST_ID).await.unwrap(), std::slice::from_ref(&yes));
        assert_eq!(transaction.open_approvals(None).await.unwrap(), [approval(1, FIRST)]);
        assert_eq!(transaction.open_approvals(Some(RunId(Uuid::from_u128(SECOND)))).await.unwrap(), []);
        transaction.commit().await.unwrap();
        let details = store.approval(FIRST_ID).await.unwrap().unwrap();
        assert_eq!((details.project, details.votes.as_slice()), (Some(web), [yes].as_slice()));
        assert_eq!((details.pipeline_name.as_str(), details.stage_name.as_str()), ("release", "deploy"));
        assert_eq!(store.approval(ApprovalId(Uuid::from_u128(7))).await.unwrap(), None);
        let list = |filter: ApprovalFilter| {
            let store = Store::clone(&store);
            async move {
                let page = store.approvals(&filter, &PageRequest::first(9)).await.unwrap();
                page.items.iter().map(|details| details.approval.id.0.as_u128()).collect::<Vec<_>>()
            }
        };
        assert_eq!(list(ApprovalFilter::default()).await, [2, 1]);
        assert_eq!(list(ApprovalFilter { projects: Some(vec![web]), ..ApprovalFilter::default() }).await, [1]);
        let waiting = ApprovalFilter { status: Some(ApprovalStatus::Waiting), ..ApprovalFilter::default() };
        assert_eq!(list(waiting).await, [1]);
        let of_run = ApprovalFilter { run: Some(RunId(Uuid::from_u128(SECOND))), ..ApprovalFilter::default() };
        assert_eq!(list(of_run).await, [2]);
        let stages = store.stages(RunId(Uuid::from_u128(FIRST))).await.unwrap();
        assert_eq!(stages[0].state.approval_requested_at, Some(Timestamp(10)), "the machine goes on from there");
    }

    async fn votes_at_the_same_time_are_all_counted_and_none_comes_after_the_end(store: TestStore) {
        ask(&store, add_project(&store, 5, "web").await).await;
        // Each decides in the transaction of its vote, as the orchestrator does: the second one ends the approval.
        let racers: Vec<_> = (1..=8)
            .map(|user| {
                let store = Store::clone(&store);
                tokio::spawn(async move {
                    let mut transaction = store.begin().await.unwrap();
                    let voting = transaction.vote(&vote(user, Decision::Approve, user as i64)).await.unwrap();
                    let ends = matches!(&voting, Voting::Stored(votes) if votes.len() >= 2);
                    if ends {
                        transaction.end_approval(FIRST_ID, ApprovalStatus::Approved, Timestamp(9)).await.unwrap();
                    }
                    transaction.commit().await.unwrap();
                    ends
                })
            })
            .collect();
        let mut ended = 0;
        for racer in racers {
            ended += usize::from(racer.await.unwrap());
        }
        assert_eq!((ended, store.votes(FIRST_ID).await.unwrap().len()), (1, 2));
        let details = store.approval(FIRST_ID).await.unwrap().unwrap();
        assert_eq!(details.approval.status, ApprovalStatus::Approved);
    }
}

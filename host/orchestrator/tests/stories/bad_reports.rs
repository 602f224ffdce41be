//! Agents that send what cannot be: they alone are told so, and nobody else notices.

use oxide_core::{
    event::EventKind,
    id::StepIndex,
    outcome::Status,
    protocol::{Acknowledgement, LinkError, LogChunk, OrchestratorLink, Report},
};
use oxide_store::{OwnerId, WriteBatch};

use crate::support::{Agent, House, completed, databases::databases, log, new_run, outcome, plan, started};

fn is_rejected(answer: &Result<Acknowledgement, LinkError>) -> bool {
    matches!(answer, Err(LinkError::Rejected { .. }))
}

#[tokio::test]
async fn a_chunk_that_is_not_what_it_says_is_refused_and_nothing_of_it_stored() {
    for database in databases() {
        let house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let agent = house.agent("box").await;
        house.orchestrator.submit(new_run(plan(&[("test", &[])], 2))).await.unwrap();
        let attempt = agent.lease().await.attempt;
        let good = log(0, 1, "one\ntwo\n");
        let first = agent.next_report(attempt, vec![started(0)], vec![good.clone()]);
        assert_eq!(agent.link.report(first.clone()).await.unwrap(), Acknowledgement::Stored);
        // The answer may have been lost.
        assert_eq!(agent.link.report(first).await.unwrap(), Acknowledgement::Duplicate);
        let says = |logs: Vec<LogChunk>| Report { agent: agent.id, attempt, number: 2, changes: Vec::new(), logs };
        for bad in [
            vec![good.clone()],
            vec![log(0, 4, "four\n")],
            vec![log(0, 0, "zero\n")],
            vec![log(0, i64::MAX as u64, "far\n")],
            vec![log(1, 3, "three\n")],
            vec![log(0, 3, "three\n"), log(0, 3, "again\n")],
            vec![LogChunk { line_count: 0, ..log(0, 3, "three\n") }],
            vec![LogChunk { line_count: u32::MAX, ..log(0, 3, "three\n") }],
            vec![LogChunk { raw_bytes: 1, ..log(0, 3, "three\n") }],
            vec![LogChunk { raw_bytes: u32::MAX, ..log(0, 3, "three\n") }],
            vec![LogChunk { body: b"no frame".as_slice().into(), ..log(0, 3, "three\n") }],
            vec![log(0, 3, &"\n".repeat(12 << 20)); 3],
        ] {
            let answer = agent.link.report(says(bad.clone())).await;
            assert!(is_rejected(&answer), "{answer:?} to {:?}", bad[0]);
        }
        let large = "\n".repeat(300_000);
        let next = says(vec![log(0, 3, "three\n"), log(1, 1, "other\n"), log(0, 4, &large)]);
        assert_eq!(agent.link.report(next).await.unwrap(), Acknowledgement::Stored);
        assert_eq!(house.store.log_line_count(attempt, StepIndex(0)).await.unwrap(), 300_003);
        // The next orchestrator knows which line comes next.
        house.handle.shutdown().await;
        let house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let third = |first_line| Report { number: 3, ..says(vec![log(0, first_line, "end\n")]) };
        assert!(is_rejected(&house.orchestrator.report(third(3)).await));
        assert_eq!(house.orchestrator.report(third(300_004)).await.unwrap(), Acknowledgement::Stored);
    }
}

#[tokio::test]
async fn one_message_that_cannot_be_stored_costs_nobody_else_anything() {
    for database in databases() {
        let house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let bad = house.agent("bad").await;
        let good = Agent::join(&house.orchestrator, "good", 1).await;
        house.orchestrator.submit(new_run(plan(&[("test", &[])], 1))).await.unwrap();
        let lost = bad.lease().await.attempt;
        house.orchestrator.submit(new_run(plan(&[("test", &[])], 1))).await.unwrap();
        let attempt = good.lease().await.attempt;
        // Somebody else has written where the agent is about to.
        let mut batch = WriteBatch::default();
        batch.log(lost, log(0, 1, "stray\n"));
        let mut transaction = house.store.begin().await.unwrap();
        transaction.write(&batch).await.unwrap();
        transaction.commit().await.unwrap();
        let gone = house.agent("gone").await;
        let run = new_run(plan(&[("later", &[])], 1));
        let id = run.id;
        let (removed, first, second, third, fourth) = tokio::join!(
            house.orchestrator.deregister_agent(gone.id, "removed by ann"),
            good.link.report(good.next_report(attempt, vec![started(0)], vec![log(0, 1, "fine\n")])),
            bad.link.report(bad.next_report(lost, vec![started(0)], vec![log(0, 1, "bad\n")])),
            house.orchestrator.submit(run),
            good.link.report(good.next_report(attempt, vec![completed(0, Status::Success)], vec![log(0, 2, "fine\n")])),
        );
        // What is answered is stored.
        removed.unwrap();
        assert!(house.store.agent(gone.id).await.unwrap().unwrap().deregistered_at.is_some());
        let refused = gone.link.lease(gone.id).await;
        assert!(matches!(refused, Err(LinkError::Refused { .. })), "{refused:?}");
        assert_eq!(first.unwrap(), Acknowledgement::Stored);
        assert!(is_rejected(&second), "{second:?}");
        assert_eq!(third.unwrap(), 3);
        assert_eq!(fourth.unwrap(), Acknowledgement::Stored);
        assert_eq!(house.store.log_line_count(attempt, StepIndex(0)).await.unwrap(), 2);
        // All goes on.
        assert_eq!(good.complete(attempt, outcome(Status::Success)).await, Acknowledgement::Stored);
        assert_eq!(bad.complete(lost, outcome(Status::Failure)).await, Acknowledgement::Stored);
        assert_eq!(good.work().await.attempt.run, id);
        let events = house.store.events_after(0, 1000).await.unwrap();
        let is_loaded =
            |kind: &EventKind| matches!(kind, EventKind::PluginLoaded { agent, .. } if *agent == Some(good.id));
        assert_eq!(events.iter().filter(|event| is_loaded(&event.event.kind)).count(), 1);
        assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Success);
    }
}

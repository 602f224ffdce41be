//! One attempt, one agent; and a store that fails in the middle.

use std::{collections::BTreeSet, time::Duration};

use oxide_core::{
    id::StepIndex,
    outcome::Status,
    protocol::{Acknowledgement, OrchestratorLink},
};
use oxide_store::OwnerId;

use crate::support::{
    Agent, House, completed,
    databases::{Database, databases},
    log, new_run, outcome, plan, started, until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_agents_that_claim_one_job_one_gets_it() {
    for database in databases() {
        let house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let mut agents = Vec::new();
        for number in 0..10 {
            agents.push(Agent::join(&house.orchestrator, &format!("a{number}"), 1).await);
        }
        for _ in 0..5 {
            let run = new_run(plan(&[("test", &[])], 1));
            let id = run.id;
            let (got, mut all_got) = tokio::sync::mpsc::unbounded_channel();
            let claims: Vec<_> = agents
                .iter()
                .map(|agent| {
                    let (link, agent, got) = (agent.link.clone(), agent.id, got.clone());
                    tokio::spawn(async move {
                        // What waits for long is answered with nothing, and asked again.
                        let lease = loop {
                            if let Some(lease) = link.lease(agent).await.unwrap() {
                                break lease;
                            }
                        };
                        got.send((agent, lease)).unwrap();
                    })
                })
                .collect();
            house.orchestrator.submit(run).await.unwrap();
            let first = tokio::time::timeout(Duration::from_secs(120), all_got.recv());
            let (holder, lease) = first.await.expect("nobody got it").unwrap();
            for agent in &agents {
                let report = agent.next_report(lease.attempt, vec![started(0)], Vec::new());
                let report = oxide_core::protocol::Report { number: 1, ..report };
                let expected = if agent.id == holder { Acknowledgement::Stored } else { Acknowledgement::Stale };
                assert_eq!(agent.link.report(report).await.unwrap(), expected);
                let done = agent.complete(lease.attempt, outcome(Status::Failure)).await;
                let expected = if agent.id == holder { Acknowledgement::Stored } else { Acknowledgement::Stale };
                assert_eq!(done, expected);
            }
            assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Failure);
            assert!(all_got.try_recv().is_err(), "two got it");
            for claim in claims {
                claim.abort();
                let _ = claim.await;
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_loses_nothing_that_was_answered() {
    let Some(database) = Database::in_postgres() else { return };
    let house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
    let agent = house.agent("box").await;
    let mut runs = BTreeSet::new();
    for round in 0..6 {
        let run = new_run(plan(&[("test", &[])], 1));
        let id = run.id;
        // Sessions are cut while this is asked.
        let cut = tokio::task::spawn_blocking({
            let database = database.clone();
            move || database.kill_all_sessions()
        });
        while let Err(error) = house.orchestrator.submit(run.clone()).await {
            eprintln!("round {round}: {error}");
            if house.store.run(id).await.is_ok_and(|run| run.is_some()) {
                break;
            }
        }
        cut.await.unwrap();
        runs.insert(id);
        let lease = loop {
            match agent.link.lease(agent.id).await {
                Ok(Some(lease)) => break lease,
                Ok(None) => {}
                Err(error) => eprintln!("round {round}: {error}"),
            }
        };
        for (number, line) in (1..=6u64).enumerate() {
            if number % 3 == 1 {
                database.kill_all_sessions();
            }
            let report = oxide_core::protocol::Report {
                number: line,
                ..agent.next_report(lease.attempt, Vec::new(), vec![log(0, line, "line\n")])
            };
            insist(async || agent.link.report(report.clone()).await).await;
        }
        let report = oxide_core::protocol::Report {
            number: 7,
            ..agent.next_report(lease.attempt, vec![started(0), completed(0, Status::Success)], Vec::new())
        };
        insist(async || agent.link.report(report.clone()).await).await;
        let complete = oxide_core::protocol::Complete {
            agent: agent.id,
            attempt: lease.attempt,
            at: oxide_core::time::Timestamp(0),
            outcome: outcome(Status::Success),
        };
        insist(async || agent.link.complete(complete.clone()).await).await;
        let ended = loop {
            match house.orchestrator.wait(id).await {
                Ok(ended) => break ended,
                Err(error) => eprintln!("round {round}: {error}"),
            }
        };
        assert_eq!(ended.status, Status::Success);
        assert_eq!(house.store.log_line_count(lease.attempt, StepIndex(0)).await.unwrap(), 6);
        assert_eq!(house.store.attempts(id).await.unwrap().len(), 1);
    }
    assert_eq!(house.store.list_runs(None, 100).await.unwrap().len(), runs.len());
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_told_and_that_it_takes_again() {
    let Some(database) = Database::in_postgres() else { return };
    let house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
    house.orchestrator.submit(new_run(plan(&[("test", &[])], 1))).await.unwrap();
    assert_eq!(house.handle.storing_problem(), None);

    database.refuse_writes(true);
    until(async || {
        // It may have to wait until the store can be read again.
        let submitted = house.orchestrator.submit(new_run(plan(&[("test", &[])], 1)));
        let _ = tokio::time::timeout(Duration::from_secs(1), submitted).await;
        house.handle.storing_problem().is_some_and(|problem| problem.contains("read-only transaction"))
    })
    .await;

    // Nobody asks for anything now.
    database.refuse_writes(false);
    until(async || house.handle.storing_problem().is_none()).await;
    until(async || house.orchestrator.submit(new_run(plan(&[("test", &[])], 1))).await.is_ok()).await;
    assert_eq!(house.handle.storing_problem(), None);
}

/// Says it until it is taken.
async fn insist(say: impl AsyncFn() -> Result<Acknowledgement, oxide_core::protocol::LinkError>) {
    for _ in 0..2_400 {
        match say().await {
            Ok(_) => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("it was never taken");
}

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
    log, new_run, outcome, plan, started,
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
            let claims: Vec<_> = agents
                .iter()
                .map(|agent| {
                    let (link, agent) = (agent.link.clone(), agent.id);
                    tokio::spawn(async move {
                        let lease = tokio::time::timeout(Duration::from_millis(500), link.lease(agent)).await;
                        lease.ok().and_then(Result::unwrap).map(|lease| (agent, lease))
                    })
                })
                .collect();
            house.orchestrator.submit(run).await.unwrap();
            let mut got = Vec::new();
            for claim in claims {
                got.extend(claim.await.unwrap());
            }
            assert_eq!(got.len(), 1);
            let (holder, lease) = got.pop().unwrap();
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

/// Says it until it is taken.
async fn insist(say: impl AsyncFn() -> Result<Acknowledgement, oxide_core::protocol::LinkError>) {
    for _ in 0..100 {
        match say().await {
            Ok(_) => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("it was never taken");
}

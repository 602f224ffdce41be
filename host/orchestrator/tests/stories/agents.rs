//! Agents: slots, priorities, draining, removal, and those that forget what they were given.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use oxide_core::{
    event::{AgentStatus, EventKind},
    id::AgentId,
    outcome::Status,
    protocol::{Acknowledgement, AgentCapability, Heartbeat, LinkError, OrchestratorLink, SystemMetrics},
};
use oxide_orchestrator::OrchestratorError;
use oxide_store::OwnerId;
use uuid::Uuid;

use crate::support::{Agent, House, databases::databases, new_run, outcome, plan, started, until};

#[tokio::test]
async fn the_server_counts_the_slots_too_and_the_most_urgent_goes_first() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let mut runs = Vec::new();
    for priority in [0, 5, -1, 5] {
        let mut run = new_run(plan(&[("test", &[])], 1));
        run.origin.priority = priority;
        runs.push(run.id);
        house.orchestrator.submit(run).await.unwrap();
    }
    let agent = Agent::join(&house.orchestrator, "box", 2).await;
    let (first, second) = (agent.lease().await, agent.lease().await);
    assert_eq!([first.attempt.run, second.attempt.run], [runs[1], runs[3]]);
    let third = tokio::time::timeout(Duration::from_millis(100), agent.link.lease(agent.id)).await;
    assert!(third.is_err(), "it has two slots, and asks for a third job");
    let looks = AtomicU32::new(0);
    let waits = async || {
        // Not for so long that the agent is taken for a dead one.
        if looks.fetch_add(1, Ordering::SeqCst) < 20 {
            house.pass(500);
        }
        house.store.attempts(runs[0]).await.unwrap()[0].reason.as_deref() == Some("agent `box` is busy")
    };
    until(waits).await;
    agent.complete(second.attempt, outcome(Status::Success)).await;
    assert_eq!(agent.lease().await.attempt.run, runs[0]);
}

#[tokio::test]
async fn a_job_with_containers_waits_for_an_agent_that_can_start_them() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    house.agent("plain").await;
    let mut plan = (*plan(&[("test", &[])], 1)).clone();
    plan.jobs[0].environment = oxide_core::plan::EnvironmentSpec::Nix { flake: ".#ci".into() };
    let run = new_run(plan.into());
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let reason = house.store.attempts(id).await.unwrap()[0].reason.clone();
    assert_eq!(reason.as_deref(), Some("no agent with nix; agents: [linux]"));
    let able = Agent::join(&house.orchestrator, "able", 1).await;
    let mut register = able.register("able", 1);
    register.capabilities = vec![AgentCapability::Nix, AgentCapability::Host];
    able.link.register(register).await.unwrap();
    assert_eq!(able.lease().await.attempt.run, id);
}

#[tokio::test]
async fn an_agent_that_drains_is_told_at_once_and_gets_no_more() {
    for database in databases() {
        let house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let agent = house.agent("box").await;
        let heartbeat = agent.heartbeat(Vec::new());
        let drain = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            house.orchestrator.drain_agent(agent.id, true).await.unwrap();
        };
        let began = std::time::Instant::now();
        let (answer, ()) = tokio::join!(heartbeat, drain);
        // One that nothing happens to is held for 10 s.
        assert!(answer.drain && began.elapsed() < Duration::from_secs(9));
        let run = new_run(plan(&[("test", &[])], 1));
        let id = run.id;
        house.orchestrator.submit(run).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), agent.link.lease(agent.id)).await.is_err());
        assert_eq!(house.store.attempts(id).await.unwrap()[0].reason.as_deref(), Some("agent `box` drains"));
        assert!(house.store.agent(agent.id).await.unwrap().unwrap().draining);
        // The program is started again: it drains until somebody says that it is not to.
        agent.link.register(agent.register("box", 1)).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), agent.link.lease(agent.id)).await.is_err());
        assert!(agent.heartbeat(Vec::new()).await.drain);
        let undo = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            house.orchestrator.drain_agent(agent.id, false).await.unwrap();
        };
        let (answer, lease, ()) = tokio::join!(agent.heartbeat(Vec::new()), agent.lease(), undo);
        assert_eq!((answer.drain, lease.attempt.run), (false, id));
        let nobody = AgentId(Uuid::now_v7());
        let unknown = house.orchestrator.drain_agent(nobody, true).await;
        assert_eq!(unknown, Err(OrchestratorError::NoSuchAgent(nobody)));
    }
}

#[tokio::test]
async fn an_agent_that_was_removed_loses_its_jobs_and_is_refused() {
    for database in databases() {
        let mut house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let agent = house.agent("box").await;
        let run = new_run(plan(&[("test", &[])], 1));
        let id = run.id;
        house.orchestrator.submit(run).await.unwrap();
        let lease = agent.lease().await;
        let heartbeat =
            agent.link.heartbeat(Heartbeat { agent: agent.id, attempts: vec![lease.attempt], metrics: None });
        let remove = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            house.orchestrator.deregister_agent(agent.id, "removed by ann").await.unwrap();
        };
        let (answer, ()) = tokio::join!(heartbeat, remove);
        assert!(matches!(answer, Err(LinkError::Refused { reason }) if reason == "removed by ann"));
        assert!(matches!(agent.link.lease(agent.id).await, Err(LinkError::Refused { .. })));
        assert!(matches!(agent.link.register(agent.register("box", 1)).await, Err(LinkError::Refused { .. })));
        let attempts = house.store.attempts(id).await.unwrap();
        assert_eq!(attempts[0].reason.as_deref(), Some("agent `box` is gone: removed by ann"));
        assert_eq!(attempts[1].status, Status::Queued);
        // The next orchestrator knows it, too.
        house.handle.shutdown().await;
        house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let again = house.orchestrator.register(agent.register("box", 1)).await;
        assert!(matches!(again, Err(LinkError::Refused { .. })), "{again:?}");
        assert_eq!(house.agent("other").await.work().await.attempt.number, 2);
        assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Success);
    }
}

#[tokio::test]
async fn a_request_of_a_dead_program_takes_no_job() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let agent = house.agent("box").await;
    let asks = || {
        let (link, id) = (agent.link.clone(), agent.id);
        tokio::spawn(async move { link.lease(id).await.unwrap() })
    };
    // The program is killed, and whoever carries its messages does not see it. It is started again.
    let dead = asks();
    tokio::time::sleep(Duration::from_millis(50)).await;
    agent.link.register(agent.register("box", 1)).await.unwrap();
    assert_eq!(dead.await.unwrap(), None);
    // Killed once more, and nobody starts it.
    let dead = asks();
    tokio::time::sleep(Duration::from_millis(50)).await;
    house.pass(16_000);
    let run = new_run(plan(&[("test", &[])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(house.store.attempts(id).await.unwrap()[0].status, Status::Queued);
    // It had only been slow.
    let _ = tokio::time::timeout(Duration::from_millis(50), agent.heartbeat(Vec::new())).await;
    assert_eq!(dead.await.unwrap().expect("a job").attempt.number, 1);
}

#[tokio::test]
async fn an_attempt_that_its_agent_never_speaks_of_is_given_to_another() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let agent = house.agent("box").await;
    let run = new_run(plan(&[("test", &[])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    // The answer is lost on its way.
    agent.lease().await;
    let beat = async || {
        let _ = tokio::time::timeout(Duration::from_millis(50), agent.heartbeat(Vec::new())).await;
        house.caught_up().await;
    };
    for _ in 0..4 {
        beat().await;
        house.pass(9_000);
    }
    beat().await;
    let second = agent.lease().await;
    assert_eq!(second.attempt.number, 2);
    let attempts = house.store.attempts(id).await.unwrap();
    assert!(attempts[0].reason.as_deref().unwrap().contains("does not know of it"), "{attempts:?}");
    // One that is spoken of stays.
    for _ in 0..4 {
        let named = agent.heartbeat(vec![second.attempt]);
        let _ = tokio::time::timeout(Duration::from_millis(50), named).await;
        house.caught_up().await;
        house.pass(9_000);
    }
    assert_eq!(agent.complete(second.attempt, outcome(Status::Success)).await, Acknowledgement::Stored);
}

#[tokio::test]
async fn heartbeats_are_written_and_told_together() {
    let directory = tempfile::tempdir().unwrap();
    let mut house = House::open(directory.path()).await;
    let agents = [house.agent("one").await, house.agent("two").await];
    let metrics = SystemMetrics { cpu_percent: 12.5, ..SystemMetrics::default() };
    for agent in &agents {
        let beat = Heartbeat { agent: agent.id, attempts: Vec::new(), metrics: Some(metrics) };
        let _ = tokio::time::timeout(Duration::from_millis(50), agent.link.heartbeat(beat)).await;
    }
    house.caught_up().await;
    house.pass(5_000);
    let (mut registered, mut beats) = (0, 0);
    while beats < 2 {
        match house.next_event().await {
            EventKind::AgentRegistered { name, .. } => registered += u32::from(name == "one" || name == "two"),
            EventKind::AgentHeartbeat { status, metrics: told, .. } => {
                assert_eq!((status, told), (AgentStatus::Idle, Some(metrics)));
                beats += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(registered, 2);
    assert_eq!(house.store.agent(agents[0].id).await.unwrap().unwrap().metrics, Some(metrics));
    house.pass(31_000);
    let EventKind::AgentDisconnected { reason, .. } = house.next_event().await else { panic!() };
    assert!(reason.contains("was not heard of for 30 s"));
    until(async || house.store.agent(agents[1].id).await.unwrap().unwrap().status == AgentStatus::Offline).await;
    let run = new_run(plan(&[("test", &[])], 1));
    let run = (run.id, Arc::new(run));
    house.orchestrator.submit((*run.1).clone()).await.unwrap();
    let waits = house.store.attempts(run.0).await.unwrap()[0].reason.clone();
    assert_eq!(waits.as_deref(), Some("none of the 2 fitting agents was heard of for 30 s"));
    let lease = agents[1].lease().await;
    assert_eq!(agents[1].report(lease.attempt, vec![started(0)], Vec::new()).await, Acknowledgement::Stored);
}

#[tokio::test]
async fn plugins_are_told_when_an_agent_has_them_and_when_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut house = House::open(directory.path()).await;
    let (agent, other) = (house.agent("box").await, house.agent("other").await);
    for _ in 0..2 {
        house.orchestrator.submit(new_run(plan(&[("test", &[])], 2))).await.unwrap();
        agent.work().await;
    }
    house.orchestrator.deregister_agent(agent.id, "removed by ann").await.unwrap();
    house.orchestrator.submit(new_run(plan(&[("test", &[])], 1))).await.unwrap();
    other.work().await;
    house.pass(31_000);
    let mut told = Vec::new();
    while told.len() < 4 {
        match house.next_event().await {
            EventKind::PluginLoaded { digest, reference, agent, .. } => told.push((digest, reference, agent, None)),
            EventKind::PluginUnloaded { digest, reference, agent, reason } => {
                told.push((digest, reference, agent, Some(reason)));
            }
            _ => {}
        }
    }
    let plugin = |agent: &Agent, gone: Option<&str>| {
        ("sha256:0".to_owned(), "oxide/run@1".to_owned(), Some(agent.id), gone.map(str::to_owned))
    };
    let silent = "agent `other` was not heard of for 30 s";
    assert_eq!(
        told,
        [
            plugin(&agent, None),
            plugin(&agent, Some("removed by ann")),
            plugin(&other, None),
            plugin(&other, Some(silent))
        ]
    );
}

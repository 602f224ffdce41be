//! Several servers on one store: one leads, the others pass calls on and take over.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use oxide_bus::{Bus, Pattern, Received};
use oxide_core::{
    event::EventKind,
    outcome::Status,
    protocol::{Acknowledgement, Complete, LinkError, OrchestratorLink},
    time::Timestamp,
};
use oxide_orchestrator::{
    Call, Candidate, Carrier, Cause, Control, Election, Forward, Leadership, Orchestrator, OrchestratorError, Reply,
    Tail,
};
use oxide_store::{LeaderInfo, OwnerId};

use crate::support::{Agent, Hands, completed, databases::Database, log, new_run, outcome, plan, started, until};

/// The network between servers of one process.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<HashMap<String, Election>>>);

#[async_trait]
impl Forward for Network {
    async fn forward(&self, leader: &LeaderInfo, call: Call) -> Result<Reply, OrchestratorError> {
        let found = self.0.lock().unwrap().get(&leader.server).cloned();
        let unreachable = || OrchestratorError::Unreachable {
            leader: leader.server.clone(),
            cause: Cause::of(&std::io::Error::other("connection refused")),
        };
        // It travels as it would between machines.
        let call = serde_json::from_str(&serde_json::to_string(&call).unwrap()).unwrap();
        let answer = found.ok_or_else(unreachable)?.call_here(call).await;
        let text = serde_json::to_string(&answer).unwrap();
        serde_json::from_str::<Result<Reply, OrchestratorError>>(&text).unwrap()
    }
}

struct Server {
    name: String,
    election: Election,
    candidate: Option<Candidate>,
    bus: Bus,
    network: Network,
}

impl Server {
    async fn start(
        database: &Database,
        name: &str,
        hands: &Hands,
        network: &Network,
    ) -> Result<Server, OrchestratorError> {
        let (store, bus) = (database.open().await, Bus::new());
        let tail = Tail::start(store.clone(), bus.clone()).await.unwrap();
        let info = LeaderInfo { server: name.into(), url: None, since: Timestamp(0) };
        let orchestrator = Orchestrator::new(OwnerId::SERVER, hands.clock());
        let forward = Some(Arc::new(network.clone()) as Arc<dyn Forward>);
        let (election, candidate) = Election::stand(store, orchestrator, info, tail, forward).await?;
        network.0.lock().unwrap().insert(name.to_owned(), election.clone());
        let network = network.clone();
        Ok(Server { name: name.to_owned(), election, candidate: Some(candidate), bus, network })
    }

    fn control(&self) -> Control {
        self.election.control()
    }

    fn leads(&self) -> bool {
        matches!(self.election.leadership(), Leadership::Here(_))
    }

    async fn stop(&mut self) {
        self.network.0.lock().unwrap().remove(&self.name);
        if let Some(tail) = self.candidate.take().unwrap().stop().await {
            tail.end().await;
        }
    }
}

/// Says it until somebody who leads takes it, as agents do.
async fn insist<T>(say: impl AsyncFn() -> Result<T, LinkError>) -> T {
    let began = Instant::now();
    loop {
        match say().await {
            Ok(answer) => return answer,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(120), "it is never taken: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_has_one_server_and_a_second_one_is_told_which() {
    let database = Database::in_file();
    let (hands, network) = (Hands::default(), Network::default());
    let mut first = Server::start(&database, "a", &hands, &network).await.unwrap();
    until(async || first.leads()).await;
    let Err(refused) = Server::start(&database, "b", &hands, &network).await else { panic!("two on one file") };
    let OrchestratorError::Store(cause) = refused else { panic!("{refused:?}") };
    assert!(cause.chain().contains(&format!("pid {}", std::process::id())), "{}", cause.chain());
    first.stop().await;
    let again = Server::start(&database, "b", &hands, &network).await.unwrap();
    until(async || again.leads()).await;
}

#[tokio::test]
async fn another_server_takes_over_and_attempts_in_flight_go_on() {
    let Some(database) = Database::in_postgres() else { return };
    let (hands, network) = (Hands::default(), Network::default());
    let mut one = Server::start(&database, "a", &hands, &network).await.unwrap();
    until(async || one.leads()).await;
    let two = Server::start(&database, "b", &hands, &network).await.unwrap();
    until(async || matches!(two.election.leadership(), Leadership::Elsewhere(leader) if leader.server == "a")).await;
    let mut events = two.bus.subscribe(Pattern::all());

    // The agent speaks to the server that does not lead.
    let agent = Agent::join(&two.control(), "box", 1).await;
    let run = new_run(plan(&[("test", &[]), ("release", &[0])], 1));
    let id = run.id;
    assert_eq!(two.control().submit(run).await.unwrap(), 1);
    let lease = agent.lease().await;
    agent.report(lease.attempt, vec![started(0)], vec![log(0, 1, "one\n")]).await;
    let waiting = tokio::spawn({
        let control = two.control();
        async move { control.wait(id).await }
    });
    let report = agent.next_report(lease.attempt, vec![completed(0, Status::Success)], Vec::new());
    let began = Instant::now();
    let ((), beat, (second, took)) = tokio::join!(one.stop(), agent.heartbeat(vec![lease.attempt]), async {
        let second = insist(async || agent.link.report(report.clone()).await).await;
        (second, began.elapsed())
    });
    assert!(!beat.drain && beat.cancel.is_empty(), "agents stay when a server ends");
    assert_ne!(second, Acknowledgement::Stale);
    assert!(took < Duration::from_secs(30), "the take-over took {took:?}");
    until(async || two.leads()).await;
    agent.complete(lease.attempt, outcome(Status::Success)).await;
    agent.work().await;
    assert_eq!(waiting.await.unwrap().unwrap().status, Status::Success);
    let store = database.open().await;
    assert_eq!(store.attempts(id).await.unwrap().len(), 2, "one for each job");
    let mut seqs = Vec::new();
    loop {
        let Some(Received::Message(message)) = events.next().await else { panic!() };
        seqs.push(message.seq);
        if message.event.run == Some(id) && matches!(message.event.kind, EventKind::RunCompleted { .. }) {
            break;
        }
    }
    let stored = store.events_after(seqs[0] - 1, 1000).await.unwrap();
    let stored: Vec<_> = stored.into_iter().map(|event| event.seq).take(seqs.len()).collect();
    assert_eq!(seqs, stored, "every server tells every event once, in order, whoever leads");
}

#[tokio::test]
async fn a_leader_whose_session_is_cut_leads_no_more_and_nothing_is_half_told() {
    let Some(database) = Database::in_postgres() else { return };
    let (hands, network) = (Hands::default(), Network::default());
    let one = Server::start(&database, "a", &hands, &network).await.unwrap();
    let two = Server::start(&database, "b", &hands, &network).await.unwrap();
    until(async || one.leads() || two.leads()).await;
    let controls = [one.control(), two.control()];
    let agent = Agent::join(&controls[0], "box", 1).await;
    let run = new_run(plan(&[("test", &[])], 1));
    let id = run.id;
    controls[1].submit(run).await.unwrap();
    let lease = agent.lease().await;
    for line in 1..=20u64 {
        if line % 4 == 0 {
            database.kill_leader_session();
        }
        let report = agent.next_report(lease.attempt, Vec::new(), vec![log(0, line, "line\n")]);
        let control = &controls[line as usize % 2];
        // An answer may be lost with the leader: the agent says it again.
        let stored = insist(async || control.report(report.clone()).await).await;
        assert_ne!(stored, Acknowledgement::Stale, "line {line}");
    }
    // PostgreSQL ends the last session a moment after it was told to: that may be now.
    let outcome = outcome(Status::Success);
    let complete = Complete { agent: agent.id, attempt: lease.attempt, at: Timestamp(0), outcome };
    let done = insist(async || agent.link.complete(complete.clone()).await).await;
    assert_ne!(done, Acknowledgement::Stale);
    until(async || controls[0].wait(id).await.is_ok_and(|summary| summary.status == Status::Success)).await;
    let store = database.open().await;
    let page = store.log_page(lease.attempt, oxide_core::id::StepIndex(0), 1, 100).await.unwrap();
    assert_eq!(page.lines.len(), 20, "every acknowledged line is there, once");
    assert_eq!(store.attempts(id).await.unwrap().len(), 1);
    until(async || one.leads() != two.leads()).await;
}

#[tokio::test]
async fn after_a_take_over_everybody_gets_a_full_period_of_silence() {
    let Some(database) = Database::in_postgres() else { return };
    let (hands, network) = (Hands::default(), Network::default());
    let mut one = Server::start(&database, "a", &hands, &network).await.unwrap();
    until(async || one.leads()).await;
    let agent = Agent::join(&one.control(), "box", 1).await;
    let run = new_run(plan(&[("test", &[])], 1));
    let id = run.id;
    one.control().submit(run).await.unwrap();
    let lease = agent.lease().await;
    hands.pass(20_000);
    one.stop().await;
    hands.pass(600_000);
    let two = Server::start(&database, "b", &hands, &network).await.unwrap();
    until(async || two.leads()).await;
    hands.pass(29_000);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let store = database.open().await;
    let attempts = store.attempts(id).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].status), (1, Status::Running));
    hands.pass(2_000);
    until(async || store.attempts(id).await.unwrap().len() == 2).await;
    let control = two.control();
    let late = control.report(agent.next_report(lease.attempt, vec![started(0)], Vec::new())).await.unwrap();
    assert_eq!(late, Acknowledgement::Stale);
}

#[tokio::test]
async fn who_asks_while_nobody_leads_waits_and_is_then_told() {
    let database = Database::in_file();
    let (hands, network) = (Hands::default(), Network::default());
    let mut server = Server::start(&database, "a", &hands, &network).await.unwrap();
    until(async || server.leads()).await;
    let control = server.control();
    server.stop().await;
    let began = Instant::now();
    let asked = control.call(Call::Submit(Box::new(new_run(plan(&[("test", &[])], 1))))).await;
    assert!(matches!(asked, Err(OrchestratorError::NoLeader)), "{asked:?}");
    assert!(began.elapsed() >= Duration::from_secs(5));
    assert_eq!(
        server.election.call_here(Call::Wait { run: new_run(plan(&[], 0)).id }).await.unwrap_err(),
        OrchestratorError::NoLeader
    );
    assert!(
        Carrier::call(&server.election, Call::Lease { agent: oxide_core::id::AgentId(uuid::Uuid::now_v7()) })
            .await
            .is_err()
    );
}

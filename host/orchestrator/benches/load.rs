//! Many agents and a long queue: `cargo bench --profile dev -p oxide-orchestrator --bench load`.
//!
//! 200 agents speak to one orchestrator, on SQLite and, if `OXIDE_TEST_POSTGRES` names a server, on PostgreSQL. First they empty a
//! queue of 2,000 jobs of one step each; then, while 2,000 other jobs wait for an agent that does not come, single jobs and bursts
//! are given to agents that wait: from the call that submits a run to the lease in the hand of an agent. The floor is printed
//! beside it: transactions of one small row that the store takes a second, one after the other.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use oxide_core::{
    id::{AgentId, RunId},
    outcome::Status,
    plan::Plan,
    protocol::{AgentCapability, Complete, OrchestratorLink, Register, Report},
    time::Timestamp,
};
use oxide_orchestrator::{Control, Orchestrator};
use oxide_store::{Owner, OwnerId};
use support::{completed, databases::databases, new_run, outcome, plan, started};
use uuid::Uuid;

const AGENTS: usize = 200;
const JOBS: usize = 2_000;
const RUNS: usize = 200;
const SINGLE: usize = 500;
const BURSTS: usize = 5;

/// What agents share with who measures.
#[derive(Default)]
struct Tally {
    leased: Mutex<HashMap<RunId, Vec<Instant>>>,
    done: AtomicUsize,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    for database in databases() {
        let kind = if database.is_postgres() { "PostgreSQL" } else { "SQLite" };
        let store = database.open().await;
        println!("{kind}: {AGENTS} agents");
        println!("  floor: {:.0} transactions of one row a second", floor(&store).await);
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
            Timestamp(now.as_millis() as i64)
        });
        let orchestrator = Orchestrator::new(OwnerId::SERVER, clock);
        let handle = orchestrator.start(store, oxide_bus::Bus::new()).await.expect("the store can be written");
        let control = handle.control();
        let tally = Arc::new(Tally::default());
        let agents: Vec<_> =
            (0..AGENTS).map(|number| tokio::spawn(agent(control.clone(), number, tally.clone()))).collect();
        empty_the_queue(&control, &tally).await;
        give_to_who_waits(&control, &tally).await;
        agents.iter().for_each(|agent| agent.abort());
        handle.shutdown().await;
    }
}

/// One agent with one slot: does nothing, and says so.
async fn agent(control: Control, number: usize, tally: Arc<Tally>) {
    let agent = AgentId(Uuid::now_v7());
    let (labels, capabilities, version) = (vec!["linux".to_owned()], vec![AgentCapability::Host], "1".to_owned());
    let register = Register { agent, name: format!("agent {number}"), labels, slots: 1, capabilities, version };
    control.register(register).await.expect("it can register");
    loop {
        let Some(lease) = control.lease(agent).await.expect("the orchestrator is there") else { continue };
        let attempt = lease.attempt;
        tally.leased.lock().expect("nobody panicked").entry(attempt.run).or_default().push(Instant::now());
        let changes = vec![started(0), completed(0, Status::Success)];
        let report = Report { agent, attempt, number: 1, changes, logs: Vec::new() };
        control.report(report).await.expect("it is stored");
        let complete = Complete { agent, attempt, at: Timestamp(0), outcome: outcome(Status::Success) };
        control.complete(complete).await.expect("it is stored");
        tally.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// A run of so many jobs that may all run at the same time.
fn wide(jobs: usize, label: Option<&str>) -> Arc<Plan> {
    let names: Vec<String> = (0..jobs).map(|job| format!("s{job}")).collect();
    let stages: Vec<(&str, &[u32])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let mut plan = (*plan(&stages, 1)).clone();
    plan.jobs.iter_mut().for_each(|job| job.runs_on = label.into_iter().map(str::to_owned).collect());
    Arc::new(plan)
}

async fn empty_the_queue(control: &Control, tally: &Tally) {
    let begin = Instant::now();
    let plan = wide(JOBS / RUNS, Some("linux"));
    let runs: Vec<_> = (0..RUNS).map(|_| new_run(plan.clone())).collect();
    let ids: Vec<_> = runs.iter().map(|run| run.id).collect();
    let submitted: Vec<_> = runs
        .into_iter()
        .map(|run| {
            let control = control.clone();
            tokio::spawn(async move { control.submit(run).await.expect("it is stored") })
        })
        .collect();
    for submitted in submitted {
        submitted.await.expect("nobody panicked");
    }
    let stored = begin.elapsed();
    for id in ids {
        control.wait(id).await.expect("the run ends");
    }
    let took = begin.elapsed();
    let rate = JOBS as f64 / took.as_secs_f64();
    println!(
        "  {JOBS} jobs of one step in {RUNS} runs: {took:.2?} ({rate:.0} jobs and steps a second; stored after {stored:.2?})"
    );
    assert_eq!(tally.done.load(Ordering::SeqCst), JOBS);
}

async fn give_to_who_waits(control: &Control, tally: &Tally) {
    for _ in 0..JOBS / 100 {
        control.submit(new_run(wide(100, Some("gpu")))).await.expect("it is stored");
    }
    // All agents ask again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let single = wide(1, Some("linux"));
    let mut asked = Vec::new();
    for _ in 0..SINGLE {
        asked.push(submit(control, &single).await);
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    print_latency(&format!("one job at a time ({SINGLE} of them, {JOBS} others wait)"), &asked, tally).await;
    let mut asked = Vec::new();
    for _ in 0..BURSTS {
        let burst: Vec<_> = (0..AGENTS)
            .map(|_| {
                let (control, single) = (control.clone(), single.clone());
                tokio::spawn(async move { submit(&control, &single).await })
            })
            .collect();
        for submitted in burst {
            asked.push(submitted.await.expect("nobody panicked"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    print_latency(&format!("{AGENTS} jobs at the same moment ({BURSTS} times)"), &asked, tally).await;
}

async fn submit(control: &Control, plan: &Arc<Plan>) -> (RunId, Instant) {
    let run = new_run(plan.clone());
    let asked = (run.id, Instant::now());
    control.submit(run).await.expect("it is stored");
    asked
}

async fn print_latency(what: &str, asked: &[(RunId, Instant)], tally: &Tally) {
    while asked.iter().any(|(run, _)| !tally.leased.lock().expect("nobody panicked").contains_key(run)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let leased = tally.leased.lock().expect("nobody panicked");
    let mut took: Vec<_> = asked.iter().map(|(run, at)| leased[run][0].duration_since(*at)).collect();
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("  {what}: from submit to lease p50 {:.1?}, p99 {:.1?}, most {:.1?}", at(0.5), at(0.99), at(1.0));
}

/// Small transactions a second, one after the other.
async fn floor(store: &oxide_store::Store) -> f64 {
    const COUNT: u32 = 500;
    let begin = Instant::now();
    let id = OwnerId(Uuid::now_v7());
    for number in 0..COUNT {
        let mut transaction = store.begin().await.expect("the store can be written");
        let owner = Owner { id, pid: number, host: "bench".into(), started_at: Timestamp(0) };
        transaction.put_owner(&owner).await.expect("the store can be written");
        transaction.commit().await.expect("the store can be written");
    }
    f64::from(COUNT) / begin.elapsed().as_secs_f64()
}

//! Random interleavings of everything that people and agents do, with crashes of the orchestrator in between.
//!
//! What must hold: an attempt is given to one agent at most; what was acknowledged is stored, once; every run ends, told once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use oxide_core::{
    event::EventKind,
    id::{AttemptId, RunId, StepIndex},
    outcome::Status,
    protocol::{Acknowledgement, OrchestratorLink, Report},
};
use oxide_orchestrator::{Call, Carrier, Control, OrchestratorError, Reply};
use oxide_store::OwnerId;

use crate::support::{
    Agent, Hands, House,
    databases::{Database, databases},
    log, new_run, outcome, plan, until,
};

/// How long an agent waits for a job that hopes for none.
const IMPATIENT: Duration = Duration::from_millis(15);

/// A generator of numbers: the same seed, the same story.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) % limit as u64) as usize
    }
}

/// What an agent knows of an attempt.
struct Work {
    agent: usize,
    reports: u64,
    last: Option<Report>,
}

/// Who is asked while there is no orchestrator.
struct Nobody;

#[async_trait]
impl Carrier for Nobody {
    async fn call(&self, _: Call) -> Result<Reply, OrchestratorError> {
        Err(OrchestratorError::Closed)
    }
}

struct Story {
    database: Database,
    /// None while nobody is there.
    house: Option<House>,
    hands: Hands,
    agents: Vec<Agent>,
    runs: Vec<RunId>,
    work: BTreeMap<AttemptId, Work>,
    given: BTreeMap<AttemptId, usize>,
    lines: BTreeMap<AttemptId, u64>,
    lost: BTreeSet<AttemptId>,
}

impl Story {
    async fn begin(database: Database) -> Story {
        let hands = Hands::default();
        let house = House::of(database.open().await, OwnerId::SERVER, hands.clone(), |new| new).await;
        let mut agents = Vec::new();
        for number in 0..3 {
            agents.push(Agent::join(&house.orchestrator, &format!("a{number}"), 1 + number % 2).await);
        }
        let (runs, work, given, lines) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Story { database, house: Some(house), hands, agents, runs, work, given, lines, lost: BTreeSet::new() }
    }

    /// The orchestrator is gone, as if its process had been killed, and another one begins.
    async fn crash(&mut self) {
        for agent in &mut self.agents {
            agent.link = Control::new(Arc::new(Nobody));
        }
        self.house = None;
        // A transaction that is on its way is still stored, as with a process that is killed just after it.
        let hands = &self.hands;
        until(async || hands.is_alone()).await;
        let store = self.database.open().await;
        let house = House::of(store, OwnerId::SERVER, self.hands.clone(), |new| new).await;
        for agent in &mut self.agents {
            agent.link = house.orchestrator.clone();
        }
        self.house = Some(house);
    }

    fn house(&self) -> &House {
        self.house.as_ref().expect("it is there but for the moment of a crash")
    }

    async fn submit(&mut self, chance: &mut Chance) {
        let shapes: [&[(&str, &[u32])]; 3] = [&[("a", &[])], &[("a", &[]), ("b", &[0])], &[("a", &[]), ("b", &[])]];
        let run = new_run(plan(shapes[chance.below(3)], 1));
        self.runs.push(run.id);
        self.house().orchestrator.submit(run).await.unwrap();
    }

    async fn lease(&mut self, agent: usize, patience: Duration) -> bool {
        let asked = self.agents[agent].link.lease(self.agents[agent].id);
        let Ok(Ok(Some(lease))) = tokio::time::timeout(patience, asked).await else { return false };
        let before = self.given.insert(lease.attempt, agent);
        assert_eq!(before, None, "{} was given twice", lease.attempt);
        self.work.insert(lease.attempt, Work { agent, reports: 0, last: None });
        true
    }

    async fn report(&mut self, attempt: AttemptId, again: bool) {
        let Some(work) = self.work.get_mut(&attempt) else { return };
        let agent = &self.agents[work.agent];
        let again = again && work.last.is_some();
        let report = match &work.last {
            Some(last) if again => last.clone(),
            _ => {
                work.reports += 1;
                let logs = vec![log(0, work.reports, "line\n")];
                Report { number: work.reports, ..agent.next_report(attempt, Vec::new(), logs) }
            }
        };
        let number = report.number;
        work.last = Some(report.clone());
        match agent.link.report(report).await.unwrap() {
            Acknowledgement::Stored => {
                assert!(!again, "report {number} of {attempt} was stored twice");
                self.lines.insert(attempt, number);
            }
            Acknowledgement::Duplicate => assert!(again, "report {number} of {attempt} was not stored"),
            Acknowledgement::Stale => {
                self.lost.insert(attempt);
                self.work.remove(&attempt);
            }
        }
    }

    async fn complete(&mut self, attempt: AttemptId, status: Status) {
        let Some(work) = self.work.remove(&attempt) else { return };
        let agent = &self.agents[work.agent];
        let first = agent.complete(attempt, outcome(status)).await;
        let second = agent.complete(attempt, outcome(status)).await;
        match first {
            Acknowledgement::Stored => assert_eq!(second, Acknowledgement::Duplicate),
            other => assert_eq!((other, second), (Acknowledgement::Stale, Acknowledgement::Stale)),
        }
    }

    async fn step(&mut self, chance: &mut Chance) {
        let any = |work: &BTreeMap<AttemptId, Work>, chance: &mut Chance| {
            (!work.is_empty()).then(|| *work.keys().nth(chance.below(work.len())).unwrap())
        };
        match chance.below(16) {
            0 | 1 => self.submit(chance).await,
            2..6 => {
                self.lease(chance.below(3), IMPATIENT).await;
            }
            6..9 => {
                if let Some(attempt) = any(&self.work, chance) {
                    self.report(attempt, false).await;
                }
            }
            9 => {
                if let Some(attempt) = any(&self.work, chance) {
                    self.report(attempt, true).await;
                }
            }
            10..12 => {
                if let Some(attempt) = any(&self.work, chance) {
                    let status = [Status::Success, Status::Failure, Status::Success][chance.below(3)];
                    self.complete(attempt, status).await;
                }
            }
            12 if !self.runs.is_empty() => {
                let run = self.runs[chance.below(self.runs.len())];
                self.house().orchestrator.cancel(run, "cancelled by chance").await.unwrap();
            }
            13 => self.hands.pass(chance.below(20_000) as u32),
            14 => self.hands.set(chance.below(7_200_000) as i64 - 3_600_000),
            _ => self.crash().await,
        }
    }

    /// From here on everybody does their work.
    async fn end(mut self, seed: u64) {
        let mut patience = IMPATIENT;
        for _ in 0..400 {
            for attempt in self.work.keys().copied().collect::<Vec<_>>() {
                self.report(attempt, false).await;
                self.complete(attempt, Status::Success).await;
            }
            let mut any = false;
            for agent in 0..3 {
                any |= self.lease(agent, patience).await;
            }
            let open = self.house().store.open_runs(OwnerId::SERVER).await.unwrap();
            if open.is_empty() {
                break;
            }
            if !any && self.work.is_empty() {
                // Attempts whose answer was lost with a request that was dropped: the store may be slower than we are patient.
                patience += Duration::from_millis(5);
                self.hands.pass(5_000);
                for agent in &self.agents {
                    let beat = agent.heartbeat(Vec::new());
                    let _ = tokio::time::timeout(Duration::from_millis(10), beat).await;
                }
                self.house().caught_up().await;
            }
        }
        let store = &self.house().store;
        for run in &self.runs {
            let stored = store.run(*run).await.unwrap().unwrap();
            assert!(stored.status.is_final(), "seed {seed}: {stored:?}");
            for attempt in store.attempts(*run).await.unwrap() {
                assert!(attempt.status.is_final(), "seed {seed}: {attempt:?}");
                let lines = store.log_line_count(attempt.id, StepIndex(0)).await.unwrap();
                let said = self.lines.get(&attempt.id).copied().unwrap_or(0);
                assert_eq!(lines, said, "seed {seed}: lines of {}", attempt.id);
            }
        }
        let mut told: BTreeMap<RunId, u32> = BTreeMap::new();
        let mut after = 0;
        loop {
            let page = store.events_after(after, 500).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.seq;
            for stored in &page {
                if let (Some(run), EventKind::RunCompleted { .. }) = (stored.event.run, &stored.event.kind) {
                    *told.entry(run).or_default() += 1;
                }
            }
        }
        assert_eq!(told, self.runs.iter().map(|run| (*run, 1)).collect(), "seed {seed}");
    }
}

#[tokio::test]
async fn whatever_happens_nothing_that_was_said_is_lost_and_everything_ends() {
    for database in databases() {
        // Opening PostgreSQL again and again takes longer.
        let (first, count) = if database.is_postgres() { (100, 3) } else { (0, 12) };
        drop(database.clone());
        for seed in first..first + count {
            let place = if database.is_postgres() { Database::in_postgres().unwrap() } else { Database::in_file() };
            let mut chance = Chance(seed);
            let mut story = Story::begin(place).await;
            for _ in 0..80 {
                story.step(&mut chance).await;
            }
            story.end(seed).await;
        }
    }
}

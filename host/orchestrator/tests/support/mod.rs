//! A small house: a real store in a directory of its own, a clock that is moved by hand, and agents that say what the
//! story tells them to.
#![allow(clippy::unwrap_used, reason = "part of tests")]
#![allow(dead_code, reason = "no test uses all of it")]

pub mod databases;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use oxide_bus::{Bus, Pattern, Received, Subscription};
use oxide_core::{
    event::{EventKind, StepRecord},
    grant::Grants,
    id::{AgentId, AttemptId, JobIndex, RunId, StageIndex, StepIndex},
    limit::Limits,
    outcome::Status,
    plan::{
        Dependency, EnvironmentSpec, JobContext, Plan, PlannedJob, PlannedStage, PlannedStep, PluginPin, RetryPolicy,
    },
    plugin::Capability,
    protocol::{
        Acknowledgement, AgentCapability, Complete, Heartbeat, HeartbeatAnswer, JobOutcome, Lease, LogChunk, LogMark,
        LogStream, OrchestratorLink, Register, Report, StepChange, StepChangeKind,
    },
    time::Timestamp,
    yaml::{Node, Span},
};
use oxide_orchestrator::{Clock, Control, NewRun, Orchestrator, OrchestratorHandle};
use oxide_store::{Location, OwnerId, RunOrigin, Store};
use serde_json::Map;
use uuid::Uuid;

pub fn plan(stages: &[(&str, &[u32])], steps: usize) -> Arc<Plan> {
    let step = |position: usize| PlannedStep {
        id: Some(format!("s{position}")),
        name: format!("step {position}"),
        plugin: PluginPin { reference: "oxide/run@1".into(), digest: "sha256:0".into() },
        with: Node::map(vec![("command".into(), Node::text("true"))]),
        env: Vec::new(),
        condition: None,
        limits: Limits::default(),
        grants: Grants { capabilities: Capability::ALL.into(), ..Grants::default() },
        retry: RetryPolicy::never(),
        allow_failure: false,
        parallel_group: None,
        span: Span::default(),
    };
    let job = |stage: usize, name: &str| PlannedJob {
        stage: StageIndex(stage as u32),
        name: name.into(),
        matrix: Map::new(),
        runs_on: Vec::new(),
        environment: EnvironmentSpec::Host,
        services: Vec::new(),
        env: Vec::new(),
        timeout_ms: 3_600_000,
        steps: (0..steps).map(step).collect(),
        kept: None,
    };
    let stage = |position: usize, name: &str, needs: &[u32]| PlannedStage {
        name: name.into(),
        depends_on: needs.iter().map(|stage| Dependency { stage: StageIndex(*stage), allow_failure: false }).collect(),
        condition: None,
        fail_fast: true,
        max_parallel: None,
        timeout_ms: 3_600_000,
        retry: RetryPolicy::infrastructure(),
        allow_failure: false,
        approval: None,
        kept: None,
        jobs: vec![JobIndex(position as u32)],
        span: Span::default(),
    };
    Arc::new(Plan {
        pipeline: "build".into(),
        file: "oxide.yaml".into(),
        timeout_ms: 3_600_000,
        stages: stages.iter().enumerate().map(|(at, (name, needs))| stage(at, name, needs)).collect(),
        jobs: stages.iter().enumerate().map(|(at, (name, _))| job(at, name)).collect(),
        context: JobContext::default(),
        concurrency: None,
    })
}

pub fn new_run(plan: Arc<Plan>) -> NewRun {
    let id = RunId(Uuid::now_v7());
    let (source_text, project_dir) = ("version: \"1\"\n".into(), "project".into());
    NewRun { id, plan, source_text, project_dir, origin: RunOrigin::default() }
}

pub fn outcome(status: Status) -> JobOutcome {
    let reason = (status != Status::Success).then(|| format!("step `step 0` is {}", status.as_str()));
    JobOutcome { status, reason, failure: None, outputs: Map::new() }
}

/// A clock with hands.
#[derive(Clone)]
pub struct Hands {
    wall: Arc<AtomicI64>,
    steady: Arc<AtomicU64>,
}

impl Default for Hands {
    fn default() -> Hands {
        Hands { wall: Arc::new(AtomicI64::new(1_700_000_000_000)), steady: Arc::default() }
    }
}

impl Hands {
    pub fn clock(&self) -> Clock {
        let Hands { wall, steady } = self.clone();
        Clock::by_hand(
            move || Timestamp(wall.load(Ordering::SeqCst)),
            move || Duration::from_millis(steady.load(Ordering::SeqCst)),
        )
    }

    /// Time passes.
    pub fn pass(&self, millis: u32) {
        self.steady.fetch_add(millis.into(), Ordering::SeqCst);
        self.wall.fetch_add(millis.into(), Ordering::SeqCst);
    }

    /// Somebody sets the wall clock.
    pub fn set(&self, millis: i64) {
        self.wall.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }

    /// Does nobody else look at the clock? An orchestrator does as long as anything of it goes on.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.wall) == 1 && Arc::strong_count(&self.steady) == 1
    }
}

pub struct House {
    pub store: Store,
    pub events: Subscription,
    pub handle: OrchestratorHandle,
    pub orchestrator: Control,
    pub owner: OwnerId,
    pub hands: Hands,
}

impl House {
    pub async fn open(directory: &std::path::Path) -> House {
        House::open_as(directory, OwnerId(Uuid::now_v7())).await
    }

    pub async fn open_as(directory: &std::path::Path, owner: OwnerId) -> House {
        House::furnish(directory, owner, |orchestrator| orchestrator).await
    }

    pub async fn furnish(
        directory: &std::path::Path,
        owner: OwnerId,
        furnish: impl FnOnce(Orchestrator) -> Orchestrator,
    ) -> House {
        let store = Store::open(&Location::from(directory.join("oxide.db"))).await.unwrap();
        House::of(store, owner, Hands::default(), furnish).await
    }

    pub async fn of(
        store: Store,
        owner: OwnerId,
        hands: Hands,
        furnish: impl FnOnce(Orchestrator) -> Orchestrator,
    ) -> House {
        let bus = Bus::new();
        let events = bus.subscribe(Pattern::all());
        let orchestrator = furnish(Orchestrator::new(owner, hands.clock()));
        let handle = orchestrator.start(store.clone(), bus).await.unwrap();
        House { store, events, orchestrator: handle.control(), handle, owner, hands }
    }

    pub fn pass(&self, millis: u32) {
        self.hands.pass(millis);
    }

    /// Waits until the orchestrator has taken in everything that was said to it before.
    pub async fn caught_up(&self) {
        let nobody = AgentId(Uuid::now_v7());
        self.orchestrator.drain_agent(nobody, true).await.unwrap_err();
    }

    pub async fn agent(&self, name: &str) -> Agent {
        Agent::join(&self.orchestrator, name, 1).await
    }

    pub async fn next_event(&mut self) -> EventKind {
        match self.events.next().await {
            Some(Received::Message(message)) => message.event.kind.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The subjects of the events of a run up to its end, without the run's id.
    pub async fn subjects(&mut self, run: RunId) -> Vec<String> {
        let mut subjects = Vec::new();
        loop {
            match self.events.next().await {
                Some(Received::Message(message)) if message.event.run == Some(run) => {
                    subjects.push(message.event.subject().replace(&format!("run.{run}."), ""));
                    if matches!(message.event.kind, EventKind::RunCompleted { .. }) {
                        return subjects;
                    }
                }
                Some(Received::Message(_)) => {}
                other => panic!("{other:?} after {subjects:?}"),
            }
        }
    }
}

pub struct Agent {
    pub id: AgentId,
    pub link: Control,
    report: AtomicU64,
}

impl Agent {
    pub async fn join(link: &Control, name: &str, slots: u32) -> Agent {
        let agent = Agent { id: AgentId(Uuid::now_v7()), link: link.clone(), report: AtomicU64::new(0) };
        agent.link.register(agent.register(name, slots)).await.unwrap();
        agent
    }

    pub fn register(&self, name: &str, slots: u32) -> Register {
        Register {
            agent: self.id,
            name: name.to_owned(),
            labels: vec!["linux".to_owned()],
            slots,
            capabilities: vec![AgentCapability::Host],
            version: "1".to_owned(),
        }
    }

    pub async fn lease(&self) -> Lease {
        self.report.store(0, Ordering::SeqCst);
        *self.link.lease(self.id).await.unwrap().expect("a job")
    }

    pub async fn heartbeat(&self, attempts: Vec<AttemptId>) -> HeartbeatAnswer {
        self.link.heartbeat(Heartbeat { agent: self.id, attempts, metrics: None }).await.unwrap()
    }

    pub fn next_report(&self, attempt: AttemptId, changes: Vec<StepChange>, logs: Vec<LogChunk>) -> Report {
        let number = self.report.fetch_add(1, Ordering::SeqCst) + 1;
        Report { agent: self.id, attempt, number, changes, logs }
    }

    pub async fn report(&self, attempt: AttemptId, changes: Vec<StepChange>, logs: Vec<LogChunk>) -> Acknowledgement {
        self.link.report(self.next_report(attempt, changes, logs)).await.unwrap()
    }

    pub async fn complete(&self, attempt: AttemptId, outcome: JobOutcome) -> Acknowledgement {
        self.link.complete(Complete { agent: self.id, attempt, at: Timestamp(0), outcome }).await.unwrap()
    }

    /// Does the whole job, all steps well.
    pub async fn work(&self) -> Lease {
        let lease = self.lease().await;
        let changes = (0..lease.job.steps.len()).flat_map(|step| [started(step), completed(step, Status::Success)]);
        self.report(lease.attempt, changes.collect(), Vec::new()).await;
        self.complete(lease.attempt, outcome(Status::Success)).await;
        lease
    }
}

pub fn started(step: usize) -> StepChange {
    StepChange {
        step: StepIndex(step as u32),
        at: Timestamp(1_700_000_000_001),
        kind: StepChangeKind::Started { try_number: 1 },
    }
}

pub fn completed(step: usize, status: Status) -> StepChange {
    let at = Timestamp(1_700_000_000_002);
    let record = StepRecord::of_end(status, Timestamp(1_700_000_000_001), at);
    StepChange { step: StepIndex(step as u32), at, kind: StepChangeKind::Completed(Box::new(record)) }
}

pub fn log(step: usize, first_line: u64, text: &str) -> LogChunk {
    LogChunk {
        step: StepIndex(step as u32),
        first_line,
        line_count: text.lines().count() as u32,
        raw_bytes: text.len() as u32,
        marks: vec![LogMark { line: 0, at: Timestamp(5), stream: LogStream::Stdout }],
        body: Bytes::from(zstd::bulk::compress(text.as_bytes(), 1).unwrap()),
    }
}

/// Waits until something is as it is to be, for two minutes at most.
pub async fn until(is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(120) {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come to that");
}

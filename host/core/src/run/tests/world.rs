//! A small world around a machine: an orchestrator that stores what the machine says before it acts, a crash at any moment,
//! and agents and people who answer once, twice, late or never.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::build::{agent, decide, outcome};
use crate::{
    approval::ApprovalStatus,
    event::EventKind,
    id::{JobIndex, StageIndex},
    outcome::Status,
    plan::Plan,
    run::{RunAction, RunEvent, RunMachine, RunState},
    time::Timestamp,
};

pub type AttemptKey = (JobIndex, u32);

pub struct World {
    pub machine: RunMachine,
    pub now: Timestamp,
    /// What the store holds: the state as JSON, as it was when the last turn was written.
    stored: String,
    /// What this turn's events asked for; done once the turn is written.
    turn: Vec<RunAction>,
    /// Attempts that were offered and not taken yet.
    pub offered: Vec<AttemptKey>,
    /// Attempts whose lease an agent has received, each once.
    pub executed: BTreeSet<AttemptKey>,
    /// Those of which no agent has told the end.
    pub executing: Vec<AttemptKey>,
    pub queued: BTreeSet<AttemptKey>,
    pub ended: BTreeMap<AttemptKey, Status>,
    pub asked: BTreeSet<StageIndex>,
    pub answered: BTreeMap<StageIndex, ApprovalStatus>,
    pub deadlines: Vec<Timestamp>,
    pub told: Vec<EventKind>,
}

impl World {
    pub fn new(plan: Arc<Plan>) -> World {
        let machine = RunMachine::new(plan, decide);
        let stored = serde_json::to_string(machine.state()).unwrap();
        World {
            machine,
            now: Timestamp(0),
            stored,
            turn: Vec::new(),
            offered: Vec::new(),
            executed: BTreeSet::new(),
            executing: Vec::new(),
            queued: BTreeSet::new(),
            ended: BTreeMap::new(),
            asked: BTreeSet::new(),
            answered: BTreeMap::new(),
            deadlines: Vec::new(),
            told: Vec::new(),
        }
    }

    /// One event. What it asks for is done when the turn is written.
    pub fn apply(&mut self, event: RunEvent) -> Vec<RunAction> {
        let before = self.machine.state().clone();
        let mut restored = restore(&self.machine, &serde_json::to_string(&before).unwrap());
        let actions = self.machine.apply(self.now, event.clone());
        assert_eq!(restored.apply(self.now, event), actions, "a restored machine decides the same");
        assert_eq!(restored.state(), self.machine.state());
        check_that_ended_is_ended(&before, self.machine.state());
        check_that_changes_are_told(&before, self.machine.state(), &actions);
        self.turn.extend(actions.clone());
        actions
    }

    /// The turn is written, and what was asked for is done.
    pub fn write(&mut self) {
        self.stored = serde_json::to_string(self.machine.state()).unwrap();
        for action in std::mem::take(&mut self.turn) {
            self.act(action);
        }
        let waiting: BTreeSet<AttemptKey> = self.machine.queued().collect();
        let offered: BTreeSet<AttemptKey> = self.offered.iter().copied().collect();
        assert_eq!(waiting, offered, "what is queued is what is offered, after a crash, too");
    }

    /// The process is killed before the turn is written; the next one goes on from the store.
    pub fn crash(&mut self) {
        self.turn.clear();
        self.machine = restore(&self.machine, &self.stored);
        self.write();
    }

    fn act(&mut self, action: RunAction) {
        match action {
            RunAction::QueueJob { job, attempt } => {
                assert!(self.queued.insert((job, attempt)), "attempt {attempt} of job {job} was there before");
                let stage = self.machine.plan().stage(self.machine.plan().job(job).stage);
                assert!(attempt <= stage.retry.max_attempts);
                assert!(self.machine.plan().job(job).kept.is_none(), "a kept job is not executed");
                self.offered.push((job, attempt));
            }
            RunAction::EndAttempt { job, attempt, status, reason } => {
                assert!(self.queued.contains(&(job, attempt)));
                assert!(status.is_final() && (status == Status::Success || reason.is_some()));
                assert_eq!(self.ended.insert((job, attempt), status), None, "it ends once");
                self.offered.retain(|offered| *offered != (job, attempt));
            }
            RunAction::RequestApproval { stage, minimum, approvers, .. } => {
                assert!(self.asked.insert(stage), "a stage asks once");
                assert!(minimum > 0 && !approvers.is_empty());
                assert!(self.machine.state().stages[stage.index()].approval_requested_at.is_some());
            }
            RunAction::EndApproval { stage, status, .. } => {
                assert!(self.asked.contains(&stage) && status != ApprovalStatus::Waiting);
                assert_eq!(self.answered.insert(stage, status), None, "an approval ends once");
            }
            RunAction::SetDeadline(at) => self.deadlines.push(at),
            RunAction::Emit(event) => self.told.push(event),
            RunAction::CancelAttempt { .. }
            | RunAction::RunChanged
            | RunAction::StageChanged(_)
            | RunAction::JobChanged(_) => {}
        }
    }

    /// An agent asks for work. It receives the lease only after the turn was written.
    pub fn take(&mut self, position: usize, crash: bool) {
        let key = self.offered[position];
        self.apply(RunEvent::AttemptStarted { job: key.0, attempt: key.1, agent: agent() });
        if crash {
            return self.crash();
        }
        let leased = self.machine.holder(key.0, key.1).is_some();
        self.offered.retain(|offered| *offered != key);
        self.write();
        if leased {
            assert!(self.executed.insert(key), "attempt {} of job {} is executed twice", key.1, key.0);
            self.executing.push(key);
        }
    }

    /// Somebody tells how an attempt ended: its agent, an agent that was given up, or a repetition.
    pub fn complete(&mut self, (job, attempt): AttemptKey, status: Status) {
        let is_stale = self.machine.holder(job, attempt).is_none();
        let before = self.machine.state().clone();
        let actions = self.apply(RunEvent::AttemptCompleted { job, attempt, outcome: outcome(status) });
        if is_stale {
            assert!(actions.is_empty());
            assert_eq!(&before, self.machine.state());
        }
    }

    pub fn lose(&mut self, (job, attempt): AttemptKey) {
        self.apply(RunEvent::AttemptLost { job, attempt, reason: "agent `box` was not heard of for 30 s".into() });
    }

    pub fn waiting_stages(&self) -> Vec<StageIndex> {
        let stages = self.machine.state().stages.iter().enumerate();
        let waiting = stages.filter(|(_, stage)| stage.status == Status::WaitingApproval);
        waiting.map(|(position, _)| StageIndex(position as u32)).collect()
    }

    /// What must hold once the run has ended.
    pub fn check_the_end(&self) {
        let state = self.machine.state();
        assert!(state.status.is_final());
        assert!(state.status == Status::Success || state.reason.is_some());
        assert!(state.stages.iter().all(|stage| stage.status.is_final()));
        assert!(state.jobs.iter().all(|job| job.status.is_final()));
        assert!(self.offered.is_empty());
        let ended: BTreeSet<AttemptKey> = self.ended.keys().copied().collect();
        assert_eq!(self.queued, ended, "no attempt is lost without a word");
        assert!(self.executed.is_subset(&self.queued));
        assert_eq!(self.asked, self.answered.keys().copied().collect(), "every question has an answer");
        let ends = self.told.iter().filter(|event| matches!(event, EventKind::RunCompleted { .. })).count();
        assert_eq!(ends, 1);
    }
}

fn restore(machine: &RunMachine, stored: &str) -> RunMachine {
    let state: RunState = serde_json::from_str(stored).unwrap();
    RunMachine::restore(machine.plan().clone(), state, decide)
}

fn check_that_ended_is_ended(before: &RunState, after: &RunState) {
    let stages = before.stages.iter().zip(&after.stages);
    stages.filter(|(stage, _)| stage.status.is_final()).for_each(|(before, after)| assert_eq!(before, after));
    let jobs = before.jobs.iter().zip(&after.jobs);
    jobs.filter(|(job, _)| job.status.is_final()).for_each(|(before, after)| assert_eq!(before, after));
    if before.status.is_final() {
        assert_eq!(before, after);
    }
}

/// A change that is not told is not stored, and lost at the next crash.
fn check_that_changes_are_told(before: &RunState, after: &RunState, actions: &[RunAction]) {
    for position in 0..before.stages.len() {
        if before.stages[position] != after.stages[position] {
            let told = RunAction::StageChanged(StageIndex(position as u32));
            assert!(actions.contains(&told), "stage {position} changed: {:?}", after.stages[position]);
        }
    }
    for position in 0..before.jobs.len() {
        if before.jobs[position] != after.jobs[position] {
            let told = RunAction::JobChanged(JobIndex(position as u32));
            assert!(actions.contains(&told), "job {position} changed: {:?}", after.jobs[position]);
        }
    }
    let own = |state: &RunState| RunState { stages: Vec::new(), jobs: Vec::new(), ..state.clone() };
    if own(before) != own(after) {
        assert!(actions.contains(&RunAction::RunChanged), "the run changed: {:?}", own(after));
    }
}

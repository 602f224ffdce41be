//! The state machine of a run: what happens next, and why.
//!
//! Plain code: time comes in with every event, decisions go out as [`RunAction`]s. The orchestrator owns one
//! [`RunMachine`] per run that is not final, feeds it, writes what it says and tells agents. Steps are not seen here: an
//! agent executes the steps of a job by [`crate::job`], so no event costs more because a job has more steps.
//!
//! One file per topic: [`RunMachine::apply`] is the list of everything that can happen (`apply.rs`), then stages, approvals,
//! jobs, retries, timeouts, stopping, conditions and the end of the run.

mod apply;
mod approval;
mod condition;
mod event;
mod finish;
mod job;
mod retry;
mod stage;
mod state;
mod stop;
mod timeouts;

#[cfg(test)]
mod tests;

pub use condition::{ConditionFacts, DecideCondition};
pub use event::{RunAction, RunEvent};
pub use state::{JobState, RunState, StageState, Stop};
pub use timeouts::STOP_GRACE_MS;

use std::{collections::VecDeque, sync::Arc};

use crate::{
    id::{AgentId, JobIndex, StageIndex},
    outcome::Status,
    plan::Plan,
    time::Timestamp,
};

/// Decides what a run does next. Holds no clock, no channel and no file.
#[derive(Clone, Debug)]
pub struct RunMachine {
    plan: Arc<Plan>,
    state: RunState,
    decide: DecideCondition,
    /// Facts that follow from the plan and the state, kept so that an event need not look at everything.
    stages: Vec<StageIndexes>,
    open_stages: usize,
    /// Stages that wait for people.
    waiting_stages: usize,
    /// It was started, or ended without that.
    has_begun: bool,
    /// Stages whose dependencies have all ended and that were not looked at yet.
    ready: VecDeque<StageIndex>,
}

#[derive(Clone, Debug, Default)]
struct StageIndexes {
    dependents: Vec<StageIndex>,
    /// Dependencies that have not ended.
    waits_for: usize,
    /// Jobs that are queued or running.
    active_jobs: u32,
    /// Jobs that have not ended.
    open_jobs: usize,
    /// The position in the stage's list of jobs of the next one that may not have been queued.
    next_job: usize,
}

impl RunMachine {
    /// A run that has not begun. It does nothing before [`RunEvent::Start`]. `decide` evaluates `if:` of stages.
    pub fn new(plan: Arc<Plan>, decide: DecideCondition) -> RunMachine {
        let state = RunState::of(&plan);
        RunMachine::restore(plan, state, decide)
    }

    /// Goes on from a state that was stored. The state must be one that a machine of the same plan had.
    pub fn restore(plan: Arc<Plan>, state: RunState, decide: DecideCondition) -> RunMachine {
        let mut stages = vec![StageIndexes::default(); plan.stages.len()];
        let mut open_stages = 0;
        for (position, stage) in plan.stages.iter().enumerate() {
            let index = StageIndex(position as u32);
            for dependency in &stage.depends_on {
                stages[dependency.stage.index()].dependents.push(index);
                if !state.stages[dependency.stage.index()].status.is_final() {
                    stages[position].waits_for += 1;
                }
            }
            open_stages += usize::from(!state.stages[position].status.is_final());
            let is_pending = |job: &JobIndex| state.jobs[job.index()].status == Status::Pending;
            stages[position].next_job = stage.jobs.iter().position(is_pending).unwrap_or(stage.jobs.len());
            for job in &stage.jobs {
                let status = state.jobs[job.index()].status;
                stages[position].open_jobs += usize::from(!status.is_final());
                stages[position].active_jobs += u32::from(matches!(status, Status::Queued | Status::Running));
            }
        }
        let waiting_stages = state.stages.iter().filter(|stage| stage.status == Status::WaitingApproval).count();
        let has_begun = state.has_begun(&plan);
        let ready = VecDeque::new();
        RunMachine { plan, state, decide, stages, open_stages, waiting_stages, has_begun, ready }
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Where the run stands: what is stored, and what [`RunMachine::restore`] goes on from.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Was the run started? One that was not may be held back with [`RunEvent::Held`].
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Has the run ended?
    pub fn is_final(&self) -> bool {
        self.state.status.is_final()
    }

    /// The agent that this attempt is leased to; none if it is not being executed (not any more, or not yet).
    pub fn holder(&self, job: JobIndex, attempt: u32) -> Option<AgentId> {
        let state = self.state.jobs.get(job.index())?;
        (state.attempt == attempt && state.status == Status::Running).then_some(state.agent).flatten()
    }

    /// Does this attempt wait for an agent?
    pub fn is_queued(&self, job: JobIndex, attempt: u32) -> bool {
        self.state.jobs.get(job.index()).is_some_and(|state| state.attempt == attempt && state.status == Status::Queued)
    }

    /// The attempts that wait for an agent, in the order of the plan. For a machine that was restored.
    pub fn queued(&self) -> impl Iterator<Item = (JobIndex, u32)> + '_ {
        self.attempts_in(Status::Queued)
    }

    /// The attempts that agents work on, in the order of the plan.
    pub fn running(&self) -> impl Iterator<Item = (JobIndex, u32)> + '_ {
        self.attempts_in(Status::Running)
    }

    fn attempts_in(&self, status: Status) -> impl Iterator<Item = (JobIndex, u32)> + '_ {
        self.state
            .jobs
            .iter()
            .enumerate()
            .filter(move |(_, job)| job.status == status)
            .map(|(index, job)| (JobIndex(index as u32), job.attempt))
    }
}

/// What the functions of one event share: the time, and the decisions so far.
struct Turn {
    now: Timestamp,
    actions: Vec<RunAction>,
}

impl Turn {
    fn push(&mut self, action: RunAction) {
        self.actions.push(action);
    }
}

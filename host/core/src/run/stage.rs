//! Stages begin when everything that they depend on has ended, and end with their last job.

use super::{JobState, RunAction, RunMachine, Turn, condition::Verdict};
use crate::{
    event::EventKind,
    id::{JobIndex, StageIndex},
    outcome::Status,
};

impl RunMachine {
    /// Looks at the stages whose dependencies have ended. A stage that ends at once makes others ready: hence the queue.
    pub(super) fn begin_ready_stages(&mut self, turn: &mut Turn) {
        while let Some(index) = self.ready.pop_front() {
            if self.state.stages[index.index()].status == Status::Pending {
                self.begin_stage(turn, index);
            }
        }
    }

    fn begin_stage(&mut self, turn: &mut Turn, index: StageIndex) {
        let plan = self.plan.clone();
        let stage = plan.stage(index);
        if let Some(stop) = self.state.stop.clone() {
            // After a cancel only a condition can let a stage begin; after a timeout of the run nothing can.
            if stop.status != Status::Cancelled {
                return self.finish_stage(turn, index, Status::Skipped, Some(stop.reason), true);
            }
            if stage.condition.is_none() {
                return self.finish_stage(turn, index, Status::Cancelled, Some(stop.reason), false);
            }
        }
        match self.verdict(index) {
            Verdict::Blocked(reason) => self.finish_stage(turn, index, Status::Skipped, Some(reason), true),
            Verdict::ConditionFalse(reason) => self.finish_stage(turn, index, Status::Skipped, Some(reason), false),
            Verdict::Broken(reason) => self.finish_stage(turn, index, Status::Failure, Some(reason), false),
            Verdict::Run if stage.jobs.is_empty() => {
                let reason = "its matrix has no cells".to_owned();
                self.finish_stage(turn, index, Status::Skipped, Some(reason), false);
            }
            Verdict::Run => match &stage.approval {
                Some(asked) => self.request_approval(turn, index, asked),
                None => {
                    self.state.stages[index.index()].status = Status::Queued;
                    turn.push(RunAction::StageChanged(index));
                    self.queue_jobs(turn, index);
                    self.finish_stage_if_done(turn, index);
                }
            },
        }
    }

    /// Queues as many jobs of the stage as may run beside each other.
    pub(super) fn queue_jobs(&mut self, turn: &mut Turn, index: StageIndex) {
        let plan = self.plan.clone();
        let stage = plan.stage(index);
        let most = stage.max_parallel.unwrap_or(u32::MAX).max(1);
        while self.state.stages[index.index()].stop.is_none() && self.stages[index.index()].active_jobs < most {
            let indexes = &mut self.stages[index.index()];
            let Some(job) = stage.jobs.get(indexes.next_job) else { break };
            indexes.next_job += 1;
            // A retry has kept its result.
            if self.state.jobs[job.index()].status != Status::Pending {
                continue;
            }
            indexes.active_jobs += 1;
            self.queue_job(turn, *job);
        }
    }

    /// A job of the stage has ended.
    pub(super) fn after_job(&mut self, turn: &mut Turn, index: StageIndex, job: JobIndex) {
        let plan = self.plan.clone();
        let stage = plan.stage(index);
        let failed = self.state.jobs[job.index()].status.is_failure();
        if failed && stage.fail_fast && self.stages[index.index()].open_jobs > 0 {
            let reason = format!("job `{}` failed, and `fail_fast` is on", plan.job(job).name);
            self.stop_stage(turn, index, Status::Cancelled, &reason);
        } else {
            self.queue_jobs(turn, index);
        }
        self.finish_stage_if_done(turn, index);
    }

    pub(super) fn finish_stage_if_done(&mut self, turn: &mut Turn, index: StageIndex) {
        if self.stages[index.index()].open_jobs > 0 || self.state.stages[index.index()].status.is_final() {
            return;
        }
        let plan = self.plan.clone();
        let stage = plan.stage(index);
        let (mut status, mut reason) = self.summary_of_jobs(&stage.jobs);
        if stage.allow_failure && status.is_failure() {
            status = Status::Warning;
            reason = reason.map(|reason| format!("failed, which is allowed: {reason}"));
        }
        self.finish_stage(turn, index, status, reason, false);
    }

    /// The worst state of the jobs, and why. The reason names the job where there are several.
    fn summary_of_jobs(&self, jobs: &[JobIndex]) -> (Status, Option<String>) {
        let state_of = |job: &JobIndex| -> &JobState { &self.state.jobs[job.index()] };
        let Some(worst) = jobs.iter().map(|job| state_of(job).status).max_by_key(|status| severity(*status)) else {
            return (Status::Success, None);
        };
        if worst == Status::Success {
            return (worst, None);
        }
        let mut alike = jobs.iter().filter(|job| state_of(job).status == worst);
        let Some(first) = alike.next() else { return (worst, None) };
        let why = state_of(first).reason.clone().unwrap_or_else(|| worst.as_str().to_owned());
        let others = alike.count();
        let reason = match (jobs.len(), others) {
            (1, _) => why,
            (_, 0) => format!("job `{}`: {why}", self.plan.job(*first).name),
            (_, others) => format!("job `{}`: {why} (and {others} more)", self.plan.job(*first).name),
        };
        (worst, Some(reason))
    }

    /// Ends a stage whose jobs have all ended, or that never begins.
    pub(super) fn finish_stage(
        &mut self,
        turn: &mut Turn,
        index: StageIndex,
        status: Status,
        reason: Option<String>,
        blocked: bool,
    ) {
        self.end_jobs_that_never_began(turn, index, status, reason.as_deref());
        let state = &mut self.state.stages[index.index()];
        state.status = status;
        state.reason.clone_from(&reason);
        state.blocked = blocked;
        state.ended_at = Some(turn.now);
        let duration_ms = turn.now.millis_since(state.started_at.unwrap_or(turn.now));
        let stage = self.plan.stage(index).name.clone();
        turn.push(RunAction::StageChanged(index));
        turn.push(RunAction::Emit(EventKind::StageCompleted { stage, status, reason, duration_ms }));
        self.open_stages -= 1;
        for dependent in self.stages[index.index()].dependents.clone() {
            let waits_for = &mut self.stages[dependent.index()].waits_for;
            *waits_for -= 1;
            if *waits_for == 0 {
                self.ready.push_back(dependent);
            }
        }
    }

    fn end_jobs_that_never_began(&mut self, turn: &mut Turn, index: StageIndex, status: Status, reason: Option<&str>) {
        if self.stages[index.index()].open_jobs == 0 {
            return;
        }
        let plan = self.plan.clone();
        for job in &plan.stage(index).jobs {
            let state = &mut self.state.jobs[job.index()];
            if state.status == Status::Pending {
                let ends_badly = status.is_failure() || status == Status::Warning;
                state.status = if ends_badly { Status::Skipped } else { status };
                state.reason = reason.map(str::to_owned);
                state.ended_at = Some(turn.now);
                turn.push(RunAction::JobChanged(*job));
            }
        }
        self.stages[index.index()].open_jobs = 0;
    }
}

/// How much a state weighs when several are summed up in one.
pub(super) fn severity(status: Status) -> u8 {
    match status {
        Status::Failure => 5,
        Status::Timeout => 4,
        Status::Cancelled => 3,
        Status::Warning => 2,
        Status::Success => 1,
        _ => 0,
    }
}

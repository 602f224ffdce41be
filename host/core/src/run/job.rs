//! Jobs and their attempts. A job has one present attempt at most; what is said of another one is ignored.

use super::{RunAction, RunMachine, Turn, retry};
use crate::{
    event::EventKind,
    id::{AgentId, JobIndex},
    outcome::{Failure, FailureCause, Status},
    protocol::JobOutcome,
};

/// How an attempt ended.
pub(super) struct AttemptEnd {
    pub status: Status,
    pub reason: Option<String>,
    pub failure: Option<FailureCause>,
}

impl RunMachine {
    pub(super) fn queue_job(&mut self, turn: &mut Turn, job: JobIndex) {
        let state = &mut self.state.jobs[job.index()];
        state.attempt += 1;
        state.status = Status::Queued;
        state.reason = None;
        state.agent = None;
        state.started_at = None;
        let attempt = state.attempt;
        turn.push(RunAction::JobChanged(job));
        turn.push(RunAction::QueueJob { job, attempt });
        turn.push(RunAction::Emit(EventKind::JobQueued { job, attempt }));
    }

    pub(super) fn attempt_started(&mut self, turn: &mut Turn, job: JobIndex, attempt: u32, agent: AgentId) {
        if !self.is_queued(job, attempt) {
            return;
        }
        let plan = self.plan.clone();
        let planned = plan.job(job);
        if self.state.started_at.is_none() {
            self.state.started_at = Some(turn.now);
            self.state.status = Status::Running;
            turn.push(RunAction::RunChanged);
            turn.push(RunAction::Emit(EventKind::RunStarted));
            turn.push(RunAction::SetDeadline(turn.now.plus_millis(plan.timeout_ms)));
        }
        let stage = &mut self.state.stages[planned.stage.index()];
        if stage.started_at.is_none() {
            stage.started_at = Some(turn.now);
            stage.status = Status::Running;
            let planned_stage = plan.stage(planned.stage);
            turn.push(RunAction::StageChanged(planned.stage));
            turn.push(RunAction::Emit(EventKind::StageStarted { stage: planned_stage.name.clone() }));
            turn.push(RunAction::SetDeadline(turn.now.plus_millis(planned_stage.timeout_ms)));
        }
        let state = &mut self.state.jobs[job.index()];
        state.status = Status::Running;
        state.agent = Some(agent);
        state.started_at = Some(turn.now);
        turn.push(RunAction::JobChanged(job));
        turn.push(RunAction::Emit(EventKind::JobStarted { job, attempt, agent }));
        turn.push(RunAction::SetDeadline(turn.now.plus_millis(planned.timeout_ms)));
    }

    pub(super) fn attempt_completed(&mut self, turn: &mut Turn, job: JobIndex, attempt: u32, outcome: JobOutcome) {
        if self.holder(job, attempt).is_none() {
            return;
        }
        let stage = self.plan.job(job).stage;
        // Which of several jobs should speak for the stage? The plan refuses to ask, so none does.
        if !outcome.outputs.is_empty() && self.plan.stage(stage).jobs.len() == 1 {
            self.state.stages[stage.index()].outputs.extend(outcome.outputs.clone());
            turn.push(RunAction::StageChanged(stage));
        }
        let end = self.read_outcome(job, outcome);
        self.end_attempt(turn, job, end);
    }

    /// What the outcome means for the job: an attempt that was asked to stop and did so ends as it was asked to.
    fn read_outcome(&self, job: JobIndex, outcome: JobOutcome) -> AttemptEnd {
        let reported = outcome.reason.or_else(|| outcome.failure.as_ref().map(|failure| failure.message.clone()));
        let failure = outcome.failure.map(|Failure { cause, .. }| cause);
        if let Some(stop) = &self.state.jobs[job.index()].stop
            && matches!(outcome.status, Status::Cancelled | Status::Timeout)
        {
            return AttemptEnd { status: stop.status, reason: Some(stop.reason.clone()), failure };
        }
        match outcome.status {
            Status::Success | Status::Skipped => AttemptEnd { status: Status::Success, reason: None, failure: None },
            status if status.is_final() => {
                let reason =
                    reported.or_else(|| Some(format!("the agent reported {} without a reason", status.as_str())));
                AttemptEnd { status, reason, failure }
            }
            status => {
                let reason =
                    format!("the agent ended the job in the state {}, which is none to end in", status.as_str());
                AttemptEnd { status: Status::Failure, reason: Some(reason), failure }
            }
        }
    }

    pub(super) fn attempt_lost(&mut self, turn: &mut Turn, job: JobIndex, attempt: u32, reason: String) {
        if self.holder(job, attempt).is_none() {
            return;
        }
        let end = match &self.state.jobs[job.index()].stop {
            Some(stop) => AttemptEnd { status: stop.status, reason: Some(stop.reason.clone()), failure: None },
            None => {
                AttemptEnd { status: Status::Failure, reason: Some(reason), failure: Some(FailureCause::AgentLost) }
            }
        };
        self.end_attempt(turn, job, end);
    }

    /// Ends the present attempt: with a new one if the stage's `retry` says so, else the job ends with it.
    pub(super) fn end_attempt(&mut self, turn: &mut Turn, job: JobIndex, end: AttemptEnd) {
        let stage = self.plan.job(job).stage;
        let attempt = self.close_attempt(turn, job, end.status, end.reason.clone());
        // An attempt that was stopped because it alone took too long may be tried again.
        self.state.jobs[job.index()].stop = None;
        let stopping = self.state.stop.is_some() || self.state.stages[stage.index()].stop.is_some();
        let policy = &self.plan.stage(stage).retry;
        if !stopping && retry::goes_on(policy, attempt, end.status, end.failure.as_ref()) {
            return self.queue_job(turn, job);
        }
        let reason = match end.reason {
            Some(reason) if attempt > 1 && end.status.is_failure() => Some(format!("{reason} (attempt {attempt})")),
            reason => reason,
        };
        self.finish_job(turn, job, end.status, reason);
        self.after_job(turn, stage, job);
    }

    /// Tells that the present attempt has ended.
    pub(super) fn close_attempt(
        &mut self,
        turn: &mut Turn,
        job: JobIndex,
        status: Status,
        reason: Option<String>,
    ) -> u32 {
        let attempt = self.state.jobs[job.index()].attempt;
        turn.push(RunAction::EndAttempt { job, attempt, status, reason: reason.clone() });
        turn.push(RunAction::Emit(EventKind::JobCompleted { job, attempt, status, reason }));
        attempt
    }

    /// Ends a job whose present attempt, if it has one, has ended.
    pub(super) fn finish_job(&mut self, turn: &mut Turn, job: JobIndex, status: Status, reason: Option<String>) {
        let stage = self.plan.job(job).stage;
        let state = &mut self.state.jobs[job.index()];
        let was_active = matches!(state.status, Status::Queued | Status::Running);
        state.status = status;
        state.reason = reason;
        state.ended_at = Some(turn.now);
        turn.push(RunAction::JobChanged(job));
        let indexes = &mut self.stages[stage.index()];
        indexes.active_jobs -= u32::from(was_active);
        indexes.open_jobs -= 1;
    }
}

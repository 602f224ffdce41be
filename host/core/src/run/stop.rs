//! Ends things early: a cancel by people, a timeout, `fail_fast`, or the death of the process that ran them.

use super::{RunAction, RunMachine, Stop, Turn, job::AttemptEnd};
use crate::{approval::ApprovalStatus, event::EventKind, id::StageIndex, outcome::Status};

impl RunMachine {
    pub(super) fn cancel(&mut self, turn: &mut Turn, reason: String) {
        if !self.has_begun {
            // Nothing has happened yet that a condition could want to clean up.
            turn.push(RunAction::Emit(EventKind::RunCancelled { reason: reason.clone() }));
            return self.stop_run(turn, Status::Cancelled, &reason);
        }
        if self.state.stop.is_some() {
            // The second request: now also what runs because of its condition.
            return self.stop_run(turn, Status::Cancelled, &reason);
        }
        self.state.stop = Some(Stop { status: Status::Cancelled, reason: reason.clone(), at: turn.now });
        turn.push(RunAction::RunChanged);
        turn.push(RunAction::Emit(EventKind::RunCancelled { reason: reason.clone() }));
        let plan = self.plan.clone();
        for (position, stage) in plan.stages.iter().enumerate() {
            let index = StageIndex(position as u32);
            match self.state.stages[position].status {
                // Its condition may let it run after a cancel: looked at when what it needs has ended.
                Status::Pending if stage.condition.is_some() => {
                    if self.stages[position].waits_for == 0 {
                        self.ready.push_back(index);
                    }
                }
                _ => self.stop_stage(turn, index, Status::Cancelled, &reason),
            }
        }
    }

    /// Ends everything that has not ended, and does not wait for it to end by itself.
    pub(super) fn kill(&mut self, turn: &mut Turn, reason: String) {
        if self.state.stop.is_none() {
            self.cancel(turn, reason.clone());
        }
        self.stop_run(turn, Status::Cancelled, &reason);
        let running: Vec<_> = self.running().collect();
        for (job, attempt) in running {
            let state = &self.state.jobs[job.index()];
            let (Some(agent), Some(Stop { status, reason, .. })) = (state.agent, state.stop.clone()) else { continue };
            turn.push(RunAction::CancelAttempt { job, attempt, agent, status, reason, at_once: true });
        }
    }

    /// Ends everything that has not ended, conditions or not.
    pub(super) fn stop_run(&mut self, turn: &mut Turn, status: Status, reason: &str) {
        self.has_begun = true;
        if self.state.stop.is_none() {
            self.state.stop = Some(Stop { status, reason: reason.to_owned(), at: turn.now });
            turn.push(RunAction::RunChanged);
        }
        for position in 0..self.state.stages.len() {
            self.stop_stage(turn, StageIndex(position as u32), status, reason);
        }
    }

    /// Ends a stage early: what waits ends at once, what runs is asked to stop and ends when its agent says so.
    pub(super) fn stop_stage(&mut self, turn: &mut Turn, index: StageIndex, status: Status, reason: &str) {
        if self.state.stages[index.index()].status == Status::WaitingApproval {
            self.end_approval(turn, index, ApprovalStatus::Withdrawn, reason.to_owned());
            self.state.stages[index.index()].status = Status::Pending;
        }
        match self.state.stages[index.index()].status {
            Status::Pending if status == Status::Cancelled => {
                return self.finish_stage(turn, index, status, Some(reason.to_owned()), false);
            }
            Status::Pending => return self.finish_stage(turn, index, Status::Skipped, Some(reason.to_owned()), true),
            known if known.is_final() => return,
            _ => {}
        }
        if self.state.stages[index.index()].stop.is_none() {
            self.state.stages[index.index()].stop = Some(Stop { status, reason: reason.to_owned(), at: turn.now });
            turn.push(RunAction::StageChanged(index));
        }
        let plan = self.plan.clone();
        for job in &plan.stage(index).jobs {
            match self.state.jobs[job.index()].status {
                Status::Running => self.stop_attempt(turn, *job, status, reason),
                Status::Queued => {
                    self.close_attempt(turn, *job, status, Some(reason.to_owned()));
                    self.finish_job(turn, *job, status, Some(reason.to_owned()));
                }
                Status::Pending => {
                    // It has no attempt that could tell of its end.
                    let reason = Some(reason.to_owned());
                    turn.push(RunAction::Emit(EventKind::JobCompleted {
                        job: *job,
                        attempt: 0,
                        status,
                        reason: reason.clone(),
                    }));
                    self.finish_job(turn, *job, status, reason);
                }
                _ => {}
            }
        }
        self.finish_stage_if_done(turn, index);
    }

    /// Ends everything at once: nobody is left who could end it. A run that was being cancelled is cancelled, any other has
    /// failed.
    pub(super) fn interrupt(&mut self, turn: &mut Turn, reason: String) {
        let cancelled = self.state.stop.take().filter(|stop| stop.status == Status::Cancelled);
        let stop = cancelled.unwrap_or(Stop { status: Status::Failure, reason, at: turn.now });
        let (status, reason) = (stop.status, stop.reason.clone());
        self.state.stop = Some(stop);
        turn.push(RunAction::RunChanged);
        self.stop_run(turn, Status::Cancelled, &reason);
        let running: Vec<_> = self.running().map(|(job, _)| job).collect();
        for job in running {
            self.state.jobs[job.index()].stop = None;
            let reason = Some(reason.clone());
            self.end_attempt(turn, job, AttemptEnd { status, reason, failure: None });
        }
    }
}

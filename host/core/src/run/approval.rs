//! Stages that ask people before they begin.

use super::{RunAction, RunMachine, Turn, timeouts::passed};
use crate::{
    approval::{self, ApprovalStatus},
    id::StageIndex,
    outcome::Status,
    plan::PlannedApproval,
    quantity,
};

impl RunMachine {
    /// The stage may begin once people agree.
    pub(super) fn request_approval(&mut self, turn: &mut Turn, index: StageIndex, asked: &PlannedApproval) {
        let expires_at = turn.now.plus_millis(asked.timeout_ms);
        let state = &mut self.state.stages[index.index()];
        state.status = Status::WaitingApproval;
        state.reason = Some(format!("waits for {}", approval::wanted(&asked.approvers, asked.minimum)));
        state.approval_requested_at = Some(turn.now);
        self.waiting_stages += 1;
        turn.push(RunAction::StageChanged(index));
        let (approvers, minimum) = (asked.approvers.clone(), asked.minimum);
        turn.push(RunAction::RequestApproval { stage: index, approvers, minimum, expires_at });
        turn.push(RunAction::SetDeadline(expires_at));
    }

    pub(super) fn approval_decided(&mut self, turn: &mut Turn, index: StageIndex, approved: bool, reason: String) {
        let waits = |state: &super::StageState| state.status == Status::WaitingApproval;
        if !self.state.stages.get(index.index()).is_some_and(waits) || self.expire_approval(turn, index) {
            return;
        }
        if !approved {
            return self.refuse_stage(turn, index, ApprovalStatus::Rejected, Status::Failure, reason);
        }
        self.end_approval(turn, index, ApprovalStatus::Approved, reason);
        let state = &mut self.state.stages[index.index()];
        state.status = Status::Queued;
        state.reason = None;
        turn.push(RunAction::StageChanged(index));
        self.queue_jobs(turn, index);
        self.finish_stage_if_done(turn, index);
    }

    /// Ends a stage that has waited for too long. Tells whether it did.
    pub(super) fn expire_approval(&mut self, turn: &mut Turn, index: StageIndex) -> bool {
        let Some(asked) = &self.plan.stage(index).approval else { return false };
        let timeout_ms = asked.timeout_ms;
        let state = &self.state.stages[index.index()];
        if state.status != Status::WaitingApproval || !passed(turn.now, state.approval_requested_at, timeout_ms) {
            return false;
        }
        let wanted = approval::wanted(&asked.approvers, asked.minimum);
        let reason = format!("waited {} for {wanted}", quantity::duration_ms(timeout_ms));
        self.refuse_stage(turn, index, ApprovalStatus::Expired, Status::Timeout, reason);
        true
    }

    fn refuse_stage(
        &mut self,
        turn: &mut Turn,
        index: StageIndex,
        approval: ApprovalStatus,
        status: Status,
        reason: String,
    ) {
        self.end_approval(turn, index, approval, reason.clone());
        let (status, reason) = match self.plan.stage(index).allow_failure {
            true => (Status::Warning, format!("failed, which is allowed: {reason}")),
            false => (status, reason),
        };
        self.finish_stage(turn, index, status, Some(reason), false);
    }

    /// Tells that nobody need answer any more. The stage goes on, or ends, right after this.
    pub(super) fn end_approval(&mut self, turn: &mut Turn, stage: StageIndex, status: ApprovalStatus, reason: String) {
        self.waiting_stages -= 1;
        turn.push(RunAction::EndApproval { stage, status, reason });
    }

    /// Says of the whole run that it waits for people, while nothing else goes on.
    pub(super) fn show_what_it_waits_for(&mut self, turn: &mut Turn) {
        if !self.has_begun || self.is_final() {
            return;
        }
        let going_on = if self.state.started_at.is_some() { Status::Running } else { Status::Queued };
        let is_idle = self.waiting_stages > 0 && self.stages.iter().all(|stage| stage.active_jobs == 0);
        let (status, reason) = match is_idle {
            false => (going_on, None),
            true => (Status::WaitingApproval, self.first_waiting_stage()),
        };
        if self.state.status != status || self.state.reason != reason {
            self.state.status = status;
            self.state.reason = reason;
            turn.push(RunAction::RunChanged);
        }
    }

    fn first_waiting_stage(&self) -> Option<String> {
        let mut stages = self.plan.stages.iter().zip(&self.state.stages);
        let (stage, state) = stages.find(|(_, state)| state.status == Status::WaitingApproval)?;
        Some(format!("stage `{}` {}", stage.name, state.reason.as_deref().unwrap_or("waits for an approval")))
    }
}

//! Deadlines of run, stage and attempt, and of agents that do not stop when they are asked to.

use super::{RunAction, RunMachine, Stop, Turn, job::AttemptEnd};
use crate::{
    id::{JobIndex, StageIndex},
    outcome::Status,
    quantity,
    time::Timestamp,
};

/// How long an agent may take to stop an attempt, in milliseconds; then the attempt is given up.
pub const STOP_GRACE_MS: u64 = 60_000;

impl RunMachine {
    /// Looks at all deadlines. Looks at everything, which is all right: it happens once for each deadline that was set.
    pub(super) fn check_deadlines(&mut self, turn: &mut Turn) {
        let plan = self.plan.clone();
        if passed(turn.now, self.state.started_at, plan.timeout_ms) {
            self.stop_run(
                turn,
                Status::Timeout,
                &format!("the run took longer than {}", quantity::duration_ms(plan.timeout_ms)),
            );
        }
        for (position, stage) in plan.stages.iter().enumerate() {
            let state = &self.state.stages[position];
            if state.status == Status::WaitingApproval {
                self.expire_approval(turn, StageIndex(position as u32));
            } else if !state.status.is_final() && passed(turn.now, state.started_at, stage.timeout_ms) {
                let reason =
                    format!("stage `{}` took longer than {}", stage.name, quantity::duration_ms(stage.timeout_ms));
                self.stop_stage(turn, StageIndex(position as u32), Status::Timeout, &reason);
            }
        }
        let running: Vec<_> = self.running().map(|(job, _)| job).collect();
        for job in running {
            self.check_attempt(turn, job);
        }
    }

    fn check_attempt(&mut self, turn: &mut Turn, job: JobIndex) {
        let state = &self.state.jobs[job.index()];
        if state.status != Status::Running {
            return;
        }
        let timeout_ms = self.plan.job(job).timeout_ms;
        match state.stop.clone() {
            Some(stop) if passed(turn.now, Some(stop.at), STOP_GRACE_MS) => {
                let reason =
                    format!("{} (the agent did not stop within {})", stop.reason, quantity::duration_ms(STOP_GRACE_MS));
                self.end_attempt(turn, job, AttemptEnd { status: stop.status, reason: Some(reason), failure: None });
            }
            None if passed(turn.now, state.started_at, timeout_ms) => {
                let reason =
                    format!("job `{}` took longer than {}", self.plan.job(job).name, quantity::duration_ms(timeout_ms));
                self.stop_attempt(turn, job, Status::Timeout, &reason);
            }
            _ => {}
        }
    }

    /// Asks the agent to stop the present attempt, which is running. What was asked first stays.
    pub(super) fn stop_attempt(&mut self, turn: &mut Turn, job: JobIndex, status: Status, reason: &str) {
        let state = &mut self.state.jobs[job.index()];
        let (Some(agent), None) = (state.agent, &state.stop) else { return };
        state.stop = Some(Stop { status, reason: reason.to_owned(), at: turn.now });
        let attempt = state.attempt;
        turn.push(RunAction::JobChanged(job));
        let reason = reason.to_owned();
        turn.push(RunAction::CancelAttempt { job, attempt, agent, status, reason, at_once: false });
        turn.push(RunAction::SetDeadline(turn.now.plus_millis(STOP_GRACE_MS)));
    }
}

pub(super) fn passed(now: Timestamp, start: Option<Timestamp>, millis: u64) -> bool {
    start.is_some_and(|start| now >= start.plus_millis(millis))
}

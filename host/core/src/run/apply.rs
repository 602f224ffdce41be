//! Everything that can happen to a run, each with one named answer.

use super::{RunAction, RunEvent, RunMachine, Turn};
use crate::{event::EventKind, id::StageIndex, outcome::Status, time::Timestamp};

impl RunMachine {
    /// Takes in what happened and says what is to be done. Never waits. Events that come too late, twice or for an attempt
    /// that is not the present one change nothing and ask for nothing.
    pub fn apply(&mut self, now: Timestamp, event: RunEvent) -> Vec<RunAction> {
        if self.is_final() {
            return Vec::new();
        }
        let mut turn = Turn { now, actions: Vec::new() };
        match event {
            RunEvent::Held { reason } => self.hold(&mut turn, reason),
            RunEvent::Start => self.start(&mut turn),
            RunEvent::AttemptStarted { job, attempt, agent } => self.attempt_started(&mut turn, job, attempt, agent),
            RunEvent::AttemptCompleted { job, attempt, outcome } => {
                self.attempt_completed(&mut turn, job, attempt, outcome);
            }
            RunEvent::AttemptLost { job, attempt, reason } => self.attempt_lost(&mut turn, job, attempt, reason),
            RunEvent::ApprovalDecided { stage, approved, reason } => {
                self.approval_decided(&mut turn, stage, approved, reason);
            }
            RunEvent::CancelRequested { reason } => self.cancel(&mut turn, reason),
            RunEvent::KillRequested { reason } => self.kill(&mut turn, reason),
            RunEvent::Interrupted { reason } => self.interrupt(&mut turn, reason),
            RunEvent::TimerFired => self.check_deadlines(&mut turn),
        }
        self.begin_ready_stages(&mut turn);
        self.finish_if_done(&mut turn);
        self.show_what_it_waits_for(&mut turn);
        turn.actions
    }

    /// The run stays where it is, and says why.
    fn hold(&mut self, turn: &mut Turn, reason: String) {
        if self.has_begun || self.state.reason.as_ref() == Some(&reason) {
            return;
        }
        self.state.status = Status::Queued;
        self.state.reason = Some(reason.clone());
        turn.push(RunAction::RunChanged);
        turn.push(RunAction::Emit(EventKind::RunWaiting { reason }));
    }

    fn start(&mut self, turn: &mut Turn) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        self.state.status = Status::Queued;
        self.state.reason = None;
        turn.push(RunAction::RunChanged);
        for (position, stage) in self.stages.iter().enumerate() {
            if stage.waits_for == 0 {
                self.ready.push_back(StageIndex(position as u32));
            }
        }
    }
}

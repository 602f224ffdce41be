//! The end of a run: one state and one reason from those of its stages.

use super::{RunAction, RunMachine, StageState, Turn, stage::severity};
use crate::{event::EventKind, outcome::Status};

impl RunMachine {
    pub(super) fn finish_if_done(&mut self, turn: &mut Turn) {
        if self.open_stages > 0 || !self.has_begun || self.is_final() {
            return;
        }
        let (status, reason) = self.summary_of_stages();
        self.state.status = status;
        self.state.reason.clone_from(&reason);
        self.state.ended_at = Some(turn.now);
        let duration_ms = turn.now.millis_since(self.state.started_at.unwrap_or(turn.now));
        turn.push(RunAction::RunChanged);
        turn.push(RunAction::Emit(EventKind::RunCompleted { status, reason, duration_ms }));
    }

    /// Failure before timeout before cancelled before warning before success.
    fn summary_of_stages(&self) -> (Status, Option<String>) {
        let worst = self.state.stages.iter().map(|stage| stage.status).max_by_key(|status| severity(*status));
        let worst = worst.unwrap_or(Status::Success);
        if let Some(stop) = &self.state.stop {
            // A cancel that came too late to cancel anything does not change how the run ended.
            let counts = stop.status != Status::Cancelled || severity(worst) >= severity(Status::Cancelled);
            if counts && severity(stop.status) >= severity(worst) {
                return (stop.status, Some(stop.reason.clone()));
            }
        }
        if severity(worst) <= severity(Status::Success) {
            return (Status::Success, None);
        }
        let mut alike = self.plan.stages.iter().zip(&self.state.stages).filter(|(_, state)| state.status == worst);
        let Some((stage, state)) = alike.next() else { return (worst, None) };
        let mut reason = sentence(&stage.name, state);
        match alike.count() {
            0 => {}
            1 => reason.push_str(" (and one more stage)"),
            others => reason.push_str(&format!(" (and {others} more stages)")),
        }
        (worst, Some(reason))
    }
}

fn sentence(name: &str, state: &StageState) -> String {
    let was_asked_for = state.approval_requested_at.is_some() && state.started_at.is_none();
    let verb = match state.status {
        Status::Failure | Status::Timeout if was_asked_for => "was not approved",
        Status::Failure => "failed",
        Status::Timeout => "took longer than it may",
        Status::Cancelled => "was cancelled",
        Status::Warning => "ended with a warning",
        other => other.as_str(),
    };
    match &state.reason {
        Some(reason) => format!("stage `{name}` {verb}: {reason}"),
        None => format!("stage `{name}` {verb}"),
    }
}

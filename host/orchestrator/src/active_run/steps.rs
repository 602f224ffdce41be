//! The steps of an attempt, as its agent reports them.

use oxide_core::{
    event::{EventKind, StepRecord},
    id::{AttemptId, JobIndex, StepIndex},
    limit::Usage,
    outcome::{Failure, FailureCause, Status},
    plan::PlannedStep,
    protocol::{LogChunk, StepChange, StepChangeKind},
    time::Timestamp,
};
use oxide_store::{StepRow, WriteBatch};

use super::{ActiveRun, Attempt};

impl Attempt {
    /// Counts the lines of a report, if they follow those that are stored. Else says what does not.
    pub(crate) fn count_lines(&mut self, chunks: &[LogChunk]) -> Result<(), String> {
        let mut lines = self.next_lines.clone();
        for LogChunk { step, first_line, line_count, .. } in chunks {
            let next = lines.entry(*step).or_insert(1);
            if first_line != next {
                return Err(format!("a chunk of step {step} begins at line {first_line}, but line {next} comes next"));
            }
            *next = next.saturating_add((*line_count).into());
        }
        self.next_lines = lines;
        Ok(())
    }
}

impl ActiveRun {
    /// The step whose plugin was surely loaded, if a change says so: it was called.
    pub(crate) fn step_that_was_called(&self, id: AttemptId, change: &StepChange) -> Option<&PlannedStep> {
        let StepChangeKind::Completed(record) = &change.kind else { return None };
        let is_called = record.try_number > 0
            && record.failure.as_ref().is_none_or(|failure| !matches!(failure.cause, FailureCause::Load));
        self.machine.plan().job(id.job).steps.get(change.step.index()).filter(|_| is_called)
    }

    /// Writes a change of a step of a running attempt.
    pub(crate) fn change_step(&mut self, id: AttemptId, change: StepChange, batch: &mut WriteBatch) {
        let (job, number, step, at) = (id.job, id.number, change.step, change.at);
        let name = self.step_name(job, step);
        let Some(attempt) = self.attempts.get_mut(&(job, number)) else { return };
        let kind = match change.kind {
            StepChangeKind::Started { try_number } => {
                let row = StepRow {
                    attempt: id,
                    step,
                    name,
                    status: Status::Running,
                    reason: None,
                    try_number,
                    started_at: at,
                    ended_at: None,
                    record: None,
                };
                attempt.running_steps.insert(step, row.clone());
                batch.step(row);
                EventKind::StepStarted { job, attempt: number, step, try_number }
            }
            StepChangeKind::Completed(record) => {
                attempt.running_steps.remove(&step);
                batch.step(ended_step(id, step, name, record.clone()));
                EventKind::StepCompleted { job, attempt: number, step, record }
            }
            StepChangeKind::ArtifactUploaded { name, files, bytes, expires_at } => {
                EventKind::ArtifactUploaded { job, attempt: number, step, name, files, bytes, expires_at }
            }
        };
        self.tell(at, kind, batch);
    }

    /// Ends a step whose attempt ended without it.
    pub(super) fn cut_off(
        &self,
        now: Timestamp,
        step: StepRow,
        status: Status,
        reason: Option<&str>,
        batch: &mut WriteBatch,
    ) {
        let (id, index) = (step.attempt, step.step);
        let status = if matches!(status, Status::Cancelled | Status::Timeout) { status } else { Status::Failure };
        let reason = reason.unwrap_or("its agent did not say how it ended").to_owned();
        let failure = (status == Status::Failure).then(|| Failure::new(FailureCause::AgentLost, reason.clone()));
        let limits = self.machine.plan().job(id.job).steps.get(index.index()).map(|step| step.limits.clone());
        let record = Box::new(StepRecord {
            reason: Some(reason),
            failure,
            try_number: step.try_number,
            usage: Usage { wall_us: now.millis_since(step.started_at).saturating_mul(1000), ..Usage::default() },
            limits: limits.unwrap_or_default(),
            ..StepRecord::of_end(status, step.started_at, now)
        });
        batch.step(ended_step(id, index, step.name, record.clone()));
        self.tell(now, EventKind::StepCompleted { job: id.job, attempt: id.number, step: index, record }, batch);
    }

    fn step_name(&self, job: JobIndex, step: StepIndex) -> String {
        self.machine.plan().job(job).steps.get(step.index()).map(|step| step.name.clone()).unwrap_or_default()
    }
}

fn ended_step(attempt: AttemptId, step: StepIndex, name: String, record: Box<StepRecord>) -> StepRow {
    StepRow {
        attempt,
        step,
        name,
        status: record.status,
        reason: record.reason.clone().or_else(|| record.failure.as_ref().map(|failure| failure.message.clone())),
        try_number: record.try_number,
        started_at: record.started_at,
        ended_at: Some(record.ended_at),
        record: Some(record),
    }
}

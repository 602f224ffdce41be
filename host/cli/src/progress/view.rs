//! What a person sees of a run while it goes: events in, lines out. Knows no terminal and no clock.

use std::collections::{BTreeMap, BTreeSet};

use oxide_core::{
    effects::{CallTally, StepEffects},
    event::{Event, EventKind, StepRecord},
    id::{JobIndex, StepIndex},
    limit::LimitKind,
    outcome::{Failure, FailureCause, Status},
    plan::{Plan, PlannedStep},
    quantity,
    time::Timestamp,
};

use super::remarks;
use crate::terminal::{Paint, without_controls};

/// Why a run ends whose user pressed Ctrl-C.
pub const CANCELLED_BY_PRESS: &str = "cancelled with Ctrl-C";
/// What that user may do next.
pub const PRESS_AGAIN: &str = "press again after a second to kill what still runs";

/// Something to show for good.
#[derive(Debug, PartialEq)]
pub enum Shown {
    /// A line.
    Line(String),
    /// The whole log of a step, which the caller reads from the store.
    Log {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The step.
        step: StepIndex,
    },
}

/// The view of one run.
pub struct View<'plan> {
    plan: &'plan Plan,
    paint: Paint,
    /// Show the log of every step, not only of those that failed, and its summary.
    all_logs: bool,
    running: BTreeMap<(JobIndex, StepIndex), Timestamp>,
    log_lines: BTreeMap<(JobIndex, StepIndex), u64>,
    /// Stages of which a job was at least queued.
    begun: BTreeSet<&'plan str>,
}

impl<'plan> View<'plan> {
    /// A view that has seen nothing yet.
    pub fn new(plan: &'plan Plan, paint: Paint, all_logs: bool) -> Self {
        View { plan, paint, all_logs, running: BTreeMap::new(), log_lines: BTreeMap::new(), begun: BTreeSet::new() }
    }

    /// What to show of an event.
    pub fn see(&mut self, event: &Event) -> Vec<Shown> {
        match &event.kind {
            EventKind::RunQueued { pipeline, number } => {
                let heading = self.paint.bold(&without_controls(&format!("{pipeline} #{number}")));
                vec![Shown::Line(format!("{heading}  {}", self.paint.dim(&self.plan.file)))]
            }
            EventKind::JobQueued { job, .. } => {
                let plan = self.plan;
                self.begun.insert(&plan.stage(plan.job(*job).stage).name);
                vec![]
            }
            EventKind::StepStarted { job, step, .. } => {
                self.running.insert((*job, *step), event.at);
                vec![]
            }
            EventKind::StepOutput { job, step, line_count, .. } => {
                *self.log_lines.entry((*job, *step)).or_default() += u64::from(*line_count);
                vec![]
            }
            EventKind::StepCompleted { job, attempt, step, record } => self.step_ended(*job, *attempt, *step, record),
            EventKind::JobStarted { job, attempt, .. } if *attempt > 1 => {
                let name = &self.plan.job(*job).name;
                vec![Shown::Line(format!("{} {name}  attempt {attempt}", self.paint.yellow("↻")))]
            }
            EventKind::JobCompleted { job, status, reason, .. } if *status != Status::Success => {
                self.running.retain(|(running, _), _| running != job);
                let line = format!("{} {}", self.mark(*status), self.plan.job(*job).name);
                vec![Shown::Line(self.with_reason(line, *status, reason.as_deref()))]
            }
            // A stage that has begun is told by its jobs.
            EventKind::StageCompleted { stage, status, reason, .. } if !self.begun.contains(stage.as_str()) => {
                let line = format!("{} {stage}", self.mark(*status));
                vec![Shown::Line(self.with_reason(line, *status, reason.as_deref()))]
            }
            EventKind::RunCancelled { reason } => {
                let mut line = format!("{} {}", self.paint.yellow("stopping:"), without_controls(reason));
                if reason == CANCELLED_BY_PRESS {
                    line.push_str(&format!("; {PRESS_AGAIN}"));
                }
                vec![Shown::Line(line)]
            }
            EventKind::RunCompleted { status, reason, duration_ms } => {
                let line =
                    format!("{} {}", self.mark(*status), self.paint.bold(&without_controls(&self.plan.pipeline)));
                let line = self.with_reason(line, *status, reason.as_deref());
                vec![Shown::Line(format!("{line}  {}", self.paint.dim(&quantity::measured_us(duration_ms * 1000))))]
            }
            _ => vec![],
        }
    }

    /// What runs at this moment, one line each, for a region that is redrawn.
    pub fn running(&self, now: Timestamp) -> Vec<String> {
        let line = |(&(job, step), &since): (&(JobIndex, StepIndex), &Timestamp)| {
            let lines = self.log_lines.get(&(job, step)).copied().unwrap_or(0);
            let lines = if lines > 0 { format!(" · {}", quantity::how_many(lines, "line")) } else { String::new() };
            let time = quantity::measured_us(now.millis_since(since) * 1000);
            format!("{} {}  {}", self.paint.cyan("●"), self.name(job, step), self.paint.dim(&format!("{time}{lines}")))
        };
        self.running.iter().map(line).collect()
    }

    fn step_ended(&mut self, job: JobIndex, attempt: u32, step: StepIndex, record: &StepRecord) -> Vec<Shown> {
        self.running.remove(&(job, step));
        let lines = self.log_lines.remove(&(job, step)).unwrap_or(0);
        let line = format!("{} {}", self.mark(record.status), self.name(job, step));
        if record.try_number == 0 {
            let mut shown = vec![Shown::Line(self.with_reason(line, record.status, record.reason.as_deref()))];
            // It failed before it began: its `if` could not be evaluated.
            let failure = record.failure.iter();
            let lines = failure.flat_map(|it| self.failure(it, &self.plan.job(job).steps[step.index()]));
            shown.extend(lines.map(Shown::Line));
            return shown;
        }
        let mut facts = vec![quantity::measured_us(record.usage.wall_us), used(record)];
        if lines > 0 {
            facts.push(quantity::how_many(lines, "line"));
        }
        if record.try_number > 1 {
            facts.push(format!("try {}", record.try_number));
        }
        let mut shown = vec![Shown::Line(format!("{line}  {}", self.paint.dim(&facts.join(" · "))))];
        let failed = record.failure.is_some();
        if lines > 0 && (self.all_logs || failed) {
            shown.push(Shown::Log { job, attempt, step });
        }
        if self.all_logs {
            shown.extend(self.calls(&record.effects).map(Shown::Line));
            shown.extend(remarks::summary(&record.summary, "    ").into_iter().map(Shown::Line));
        }
        let others = (!self.all_logs).then_some("--verbose");
        let annotations = remarks::annotations(&record.annotations, "    ", others, self.paint);
        shown.extend(annotations.into_iter().map(Shown::Line));
        if let Some(failure) = &record.failure {
            shown.extend(self.failure(failure, &self.plan.job(job).steps[step.index()]).into_iter().map(Shown::Line));
        } else if let Some(reason) = record.reason.as_deref().filter(|_| record.status != Status::Success) {
            shown.push(Shown::Line(format!("    {}", without_controls(reason))));
        }
        shown
    }

    /// The lines that explain a failure: what, and what to do. The guest's last words stand in the log above it.
    fn failure(&self, failure: &Failure, step: &PlannedStep) -> Vec<String> {
        let mut lines = remarks::failure(failure, "    ", self.paint);
        lines.push(format!("    {}", self.paint.dim(&format!("at {}:{}", self.plan.file, step.span.line))));
        lines
    }

    /// Which of its capabilities a step has called, and how often.
    fn calls(&self, effects: &StepEffects) -> Option<String> {
        let mut capabilities: Vec<(&str, u64, u64)> = Vec::new();
        for CallTally { name, count, failed, .. } in &effects.calls {
            let name = name.split('.').next().unwrap_or(name);
            match capabilities.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, calls, errors)) => (*calls, *errors) = (*calls + count, *errors + failed),
                None => capabilities.push((name, *count, *failed)),
            }
        }
        let shown = |&(name, count, failed): &(&str, u64, u64)| {
            let failed = if failed > 0 { format!(" ({failed} failed)") } else { String::new() };
            format!("{name} {count}×{failed}")
        };
        let calls: Vec<String> = capabilities.iter().map(shown).collect();
        (!calls.is_empty()).then(|| format!("    {}", self.paint.dim(&format!("called: {}", calls.join(", ")))))
    }

    /// `job › step`.
    fn name(&self, job: JobIndex, step: StepIndex) -> String {
        let job = self.plan.job(job);
        format!("{} › {}", job.name, without_controls(&job.steps[step.index()].name))
    }

    fn mark(&self, status: Status) -> String {
        match status {
            Status::Success => self.paint.green("✓"),
            Status::Warning => self.paint.yellow("!"),
            Status::Failure | Status::Timeout => self.paint.red("✗"),
            Status::Cancelled => self.paint.yellow("■"),
            Status::Skipped => self.paint.dim("-"),
            _ => self.paint.dim("·"),
        }
    }

    fn with_reason(&self, line: String, status: Status, reason: Option<&str>) -> String {
        let mut line = line;
        if status != Status::Success {
            line.push_str(&format!("  {status}", status = status.as_str()));
        }
        if let Some(reason) = reason {
            line.push_str(&format!(": {}", without_controls(reason)));
        }
        line
    }
}

/// What a step used of what it was allowed. Memory and fuel are named always; a limit that was hit is in the failure.
fn used(record: &StepRecord) -> String {
    let hit = |kind: LimitKind| matches!(&record.failure, Some(Failure { cause: FailureCause::Limit { limit, .. }, .. }) if *limit == kind);
    let star = |kind| if hit(kind) { "!" } else { "" };
    format!(
        "fuel {}/{}{} · memory {}/{}{}",
        quantity::count(record.usage.fuel),
        quantity::count(record.limits.fuel),
        star(LimitKind::Fuel),
        quantity::bytes(record.usage.memory_bytes),
        quantity::bytes(record.limits.memory_bytes),
        star(LimitKind::Memory),
    )
}

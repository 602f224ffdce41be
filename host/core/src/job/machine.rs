//! The decisions. Talks to nobody: the agent performs what it returns.

use std::ops::Range;

use serde_json::{Map, Value as Json};

use super::{
    progress::{JobProgress, Standing, StepProgress},
    retry::{status_of, tries_again},
};
use crate::{
    expression::references,
    id::StepIndex,
    outcome::{Failure, Status},
    plan::{PlannedJob, PlannedStep},
    protocol::JobOutcome,
};

/// Tells whether the condition (`if:`) of a step is true, given the progress so far. Called for steps with a condition
/// only; a step without one runs if nothing has failed.
pub type EvaluateCondition<'a> = dyn Fn(StepIndex, &JobProgress) -> Result<bool, Failure> + 'a;

/// How one try of a step ended: its outputs, or why it failed.
pub type StepResult = Result<Map<String, Json>, Failure>;

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEvent {
    /// The workspace and the environment are there.
    Prepared,
    /// They could not be made.
    PrepareFailed(Failure),
    /// A try of a step has ended, by itself or because it was stopped.
    StepFinished {
        /// The step.
        step: StepIndex,
        /// How.
        result: StepResult,
    },
    /// The job shall stop. Only the first of these and of [`JobEvent::JobTimedOut`] counts.
    CancelRequested {
        /// What running steps become: [`Status::Cancelled`] or [`Status::Timeout`].
        status: Status,
        /// For people.
        reason: String,
    },
    /// The attempt took longer than it may.
    JobTimedOut {
        /// For people, such as `the job took longer than 60 min`.
        reason: String,
    },
    /// The steps that still run after a cancellation (`always()`, `cancelled()`) have had their time.
    GraceEnded,
}

/// What the agent shall do.
#[derive(Clone, Debug, PartialEq)]
pub enum JobAction {
    /// Start a try of a step.
    StartStep {
        /// The step.
        step: StepIndex,
        /// Which try, counted from 1.
        try_number: u32,
    },
    /// Stop a running step; it still ends with [`JobEvent::StepFinished`].
    StopStep {
        /// The step.
        step: StepIndex,
    },
    /// A step has ended for good or will not be executed. Comes once for each step.
    EndStep {
        /// The step.
        step: StepIndex,
        /// How.
        status: Status,
        /// Why it was skipped or stopped.
        reason: Option<String>,
        /// Its failure, with [`Status::Warning`] too.
        failure: Option<Failure>,
        /// Which try it was, counted from 1; 0 if it was not executed.
        try_number: u32,
    },
    /// The job has ended. Comes once, last.
    Finish(JobOutcome),
}

/// Where the job is.
#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Preparing,
    /// These neighbouring steps run, or have just ended.
    Running(Range<usize>),
    Finished,
}

/// Why the job is being stopped.
#[derive(Clone, Debug, PartialEq)]
struct Stop {
    status: Status,
    reason: String,
}

/// The failure that decides how the job ends.
#[derive(Clone, Debug, PartialEq)]
struct Decisive {
    status: Status,
    reason: String,
    failure: Failure,
}

/// The steps of one attempt of a job.
#[derive(Clone, Debug)]
pub struct JobMachine {
    steps: Vec<PlannedStep>,
    progress: JobProgress,
    phase: Phase,
    stop: Option<Stop>,
    grace_over: bool,
    decisive: Option<Decisive>,
    warned: bool,
}

impl JobMachine {
    /// A job of which nothing has happened yet.
    pub fn new(job: &PlannedJob) -> Self {
        JobMachine {
            steps: job.steps.clone(),
            progress: JobProgress::new(job),
            phase: Phase::Preparing,
            stop: None,
            grace_over: false,
            decisive: None,
            warned: false,
        }
    }

    /// How far the job is.
    pub fn progress(&self) -> &JobProgress {
        &self.progress
    }

    /// Has the job ended?
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// Decides what to do after an event. An event that cannot be meant (a second end of a step, anything after the end
    /// of the job) changes nothing.
    pub fn apply(&mut self, event: JobEvent, condition: &EvaluateCondition<'_>) -> Vec<JobAction> {
        let mut actions = Vec::new();
        if self.is_finished() {
            return actions;
        }
        match event {
            JobEvent::Prepared => self.on_prepared(condition, &mut actions),
            JobEvent::PrepareFailed(failure) => self.on_prepare_failed(failure, &mut actions),
            JobEvent::StepFinished { step, result } => self.on_step_finished(step, result, condition, &mut actions),
            JobEvent::CancelRequested { status, reason } => self.on_stop(Stop { status, reason }, &mut actions),
            JobEvent::JobTimedOut { reason } => self.on_stop(Stop { status: Status::Timeout, reason }, &mut actions),
            JobEvent::GraceEnded => self.on_grace_ended(&mut actions),
        }
        actions
    }

    fn on_prepared(&mut self, condition: &EvaluateCondition<'_>, actions: &mut Vec<JobAction>) {
        if self.phase == Phase::Preparing {
            self.start_from(0, condition, actions);
        }
    }

    fn on_prepare_failed(&mut self, failure: Failure, actions: &mut Vec<JobAction>) {
        if self.phase != Phase::Preparing {
            return;
        }
        self.skip_rest("the environment of the job could not be prepared", actions);
        let status = status_of(&failure);
        let hint = failure.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
        self.decisive = Some(Decisive { status, reason: format!("{}{hint}", failure.message), failure });
        self.finish(actions);
    }

    fn on_step_finished(
        &mut self,
        step: StepIndex,
        result: StepResult,
        condition: &EvaluateCondition<'_>,
        actions: &mut Vec<JobAction>,
    ) {
        let Some(StepProgress::Running { try_number, stopping }) = self.progress.steps.get(step.index()) else {
            return;
        };
        let (try_number, stopping) = (*try_number, *stopping);
        match result {
            Ok(outputs) => self.end(step, Status::Success, None, None, try_number, outputs, actions),
            Err(_) if stopping => self.end_stopped(step, try_number, actions),
            Err(failure) => {
                if self.stop.is_none() && tries_again(&self.steps[step.index()].retry, &failure, try_number) {
                    let try_number = try_number + 1;
                    self.progress.steps[step.index()] = StepProgress::Running { try_number, stopping: false };
                    actions.push(JobAction::StartStep { step, try_number });
                    return;
                }
                self.end_failed(step, failure, try_number, actions);
            }
        }
        self.go_on(condition, actions);
    }

    fn on_stop(&mut self, stop: Stop, actions: &mut Vec<JobAction>) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(stop);
        self.progress.standing = Standing::Cancelled;
        if self.phase == Phase::Preparing {
            // Without an environment not even `always()` can run.
            self.skip_rest_as_stopped(actions);
            self.finish(actions);
            return;
        }
        self.stop_running(actions);
    }

    fn on_grace_ended(&mut self, actions: &mut Vec<JobAction>) {
        if self.stop.is_some() && !self.grace_over {
            self.grace_over = true;
            self.stop_running(actions);
        }
    }

    /// Starts the next neighbouring steps once all of the present ones have ended.
    fn go_on(&mut self, condition: &EvaluateCondition<'_>, actions: &mut Vec<JobAction>) {
        let Phase::Running(range) = &self.phase else { return };
        let all_ended =
            self.progress.steps[range.clone()].iter().all(|step| matches!(step, StepProgress::Ended { .. }));
        if all_ended {
            self.start_from(range.end, condition, actions);
        }
    }

    /// Starts or skips steps from `first` on until something runs or the job has ended.
    fn start_from(&mut self, first: usize, condition: &EvaluateCondition<'_>, actions: &mut Vec<JobAction>) {
        let mut next = first;
        while next < self.steps.len() {
            let range = next..self.end_of_group(next);
            // All conditions of a group are asked before any of it changes the standing of the job.
            let decisions: Vec<_> = range.clone().map(|index| self.decide(index, condition)).collect();
            let mut running = false;
            for (index, decision) in range.clone().zip(decisions) {
                let step = step_index(index);
                match decision {
                    Decision::Start => {
                        running = true;
                        self.progress.steps[index] = StepProgress::Running { try_number: 1, stopping: false };
                        actions.push(JobAction::StartStep { step, try_number: 1 });
                    }
                    Decision::Skip(reason) => {
                        self.end(step, Status::Skipped, Some(reason), None, 0, Map::new(), actions);
                    }
                    Decision::Fail(failure) => self.end_failed(step, failure, 0, actions),
                }
            }
            next = range.end;
            if running {
                self.phase = Phase::Running(range);
                return;
            }
        }
        self.finish(actions);
    }

    fn end_of_group(&self, first: usize) -> usize {
        let group = self.steps[first].parallel_group;
        match group {
            None => first + 1,
            Some(_) => first + self.steps[first..].iter().take_while(|step| step.parallel_group == group).count(),
        }
    }

    fn decide(&self, index: usize, condition: &EvaluateCondition<'_>) -> Decision {
        if self.grace_over {
            return Decision::Skip(self.reason_to_skip());
        }
        let succeeds_so_far = self.progress.standing == Standing::Success;
        let Some(written) = &self.steps[index].condition else {
            return if succeeds_so_far { Decision::Start } else { Decision::Skip(self.reason_to_skip()) };
        };
        // As in other systems, a condition that does not ask how the job stands means `success() && (…)`.
        let asks = || references(&written.expression, written.span).is_ok_and(|found| found.asks_for_status());
        if !succeeds_so_far && !asks() {
            return Decision::Skip(self.reason_to_skip());
        }
        match condition(step_index(index), &self.progress) {
            Ok(true) => Decision::Start,
            Ok(false) if self.stop.is_some() => Decision::Skip(self.reason_to_skip()),
            Ok(false) => Decision::Skip(format!("its condition `{}` is false", written.expression)),
            Err(failure) => Decision::Fail(failure),
        }
    }

    fn reason_to_skip(&self) -> String {
        match &self.stop {
            Some(stop) => stop.reason.clone(),
            None => "an earlier step failed".to_owned(),
        }
    }

    fn stop_running(&mut self, actions: &mut Vec<JobAction>) {
        for (index, step) in self.progress.steps.iter_mut().enumerate() {
            if let StepProgress::Running { stopping: stopping @ false, .. } = step {
                *stopping = true;
                actions.push(JobAction::StopStep { step: step_index(index) });
            }
        }
    }

    fn skip_rest(&mut self, reason: &str, actions: &mut Vec<JobAction>) {
        for index in 0..self.steps.len() {
            if self.progress.steps[index] == StepProgress::Waiting {
                self.end(step_index(index), Status::Skipped, Some(reason.to_owned()), None, 0, Map::new(), actions);
            }
        }
    }

    fn skip_rest_as_stopped(&mut self, actions: &mut Vec<JobAction>) {
        let reason = self.reason_to_skip();
        self.skip_rest(&reason, actions);
    }

    fn end_stopped(&mut self, step: StepIndex, try_number: u32, actions: &mut Vec<JobAction>) {
        let (status, reason) = match &self.stop {
            Some(stop) => (stop.status, Some(stop.reason.clone())),
            None => (Status::Cancelled, None),
        };
        self.end(step, status, reason, None, try_number, Map::new(), actions);
    }

    fn end_failed(&mut self, step: StepIndex, failure: Failure, try_number: u32, actions: &mut Vec<JobAction>) {
        let planned = &self.steps[step.index()];
        if planned.allow_failure {
            self.warned = true;
            self.end(step, Status::Warning, None, Some(failure), try_number, Map::new(), actions);
            return;
        }
        let status = status_of(&failure);
        if self.decisive.is_none() {
            let verb = if status == Status::Timeout { "timed out" } else { "failed" };
            let reason = format!("step `{}` {verb}", planned.name);
            self.decisive = Some(Decisive { status, reason, failure: failure.clone() });
        }
        if self.progress.standing == Standing::Success {
            self.progress.standing = Standing::Failure;
        }
        self.end(step, status, None, Some(failure), try_number, Map::new(), actions);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of the one action that ends a step")]
    fn end(
        &mut self,
        step: StepIndex,
        status: Status,
        reason: Option<String>,
        failure: Option<Failure>,
        try_number: u32,
        outputs: Map<String, Json>,
        actions: &mut Vec<JobAction>,
    ) {
        self.progress.steps[step.index()] = StepProgress::Ended { status, outputs };
        actions.push(JobAction::EndStep { step, status, reason, failure, try_number });
    }

    fn finish(&mut self, actions: &mut Vec<JobAction>) {
        self.phase = Phase::Finished;
        let outputs = self.progress.outputs();
        let failure = self.decisive.as_ref().map(|decisive| decisive.failure.clone());
        let (status, reason) = match (&self.stop, &self.decisive) {
            (Some(stop), _) => (stop.status, Some(stop.reason.clone())),
            (None, Some(decisive)) => (decisive.status, Some(decisive.reason.clone())),
            (None, None) if self.warned => (Status::Warning, Some("a step failed that is allowed to fail".to_owned())),
            (None, None) => (Status::Success, None),
        };
        actions.push(JobAction::Finish(JobOutcome { status, reason, failure, outputs }));
    }
}

enum Decision {
    Start,
    Skip(String),
    Fail(Failure),
}

fn step_index(index: usize) -> StepIndex {
    StepIndex(u32::try_from(index).expect("a plan holds fewer than 2^32 steps"))
}

//! Plans written in one line per stage, and a driver that plays the orchestrator.

use std::sync::Arc;

use serde_json::Map;

use crate::{
    event::EventKind,
    id::{AgentId, JobIndex, StageIndex},
    outcome::{Failure, FailureCause, Status},
    plan::{Condition, Dependency, EnvironmentSpec, JobContext, Plan, PlannedJob, PlannedStage, RetryOn, RetryPolicy},
    protocol::JobOutcome,
    run::{ConditionFacts, RunAction, RunEvent, RunMachine},
    time::Timestamp,
    yaml::Span,
};

pub fn agent() -> AgentId {
    AgentId(uuid::Uuid::from_u128(7))
}

pub fn stage(name: &str, needs: &[usize]) -> PlannedStage {
    PlannedStage {
        name: name.to_owned(),
        depends_on: needs
            .iter()
            .map(|need| Dependency { stage: StageIndex(*need as u32), allow_failure: false })
            .collect(),
        condition: None,
        fail_fast: true,
        max_parallel: None,
        timeout_ms: 60_000,
        retry: RetryPolicy::infrastructure(),
        allow_failure: false,
        approval: None,
        kept: None,
        jobs: vec![JobIndex(0)],
        span: Span::default(),
    }
}

pub fn condition(expression: &str) -> Option<Condition> {
    Some(Condition { expression: expression.to_owned(), span: Span::default() })
}

/// Stages with their number of jobs.
pub fn plan(stages: Vec<(PlannedStage, usize)>) -> Arc<Plan> {
    let mut plan = Plan {
        pipeline: "build".into(),
        file: "oxide.yaml".into(),
        timeout_ms: 600_000,
        stages: Vec::new(),
        jobs: Vec::new(),
        context: JobContext::default(),
        concurrency: None,
    };
    for (position, (mut stage, jobs)) in stages.into_iter().enumerate() {
        stage.jobs.clear();
        for cell in 0..jobs {
            stage.jobs.push(JobIndex(plan.jobs.len() as u32));
            plan.jobs.push(PlannedJob {
                stage: StageIndex(position as u32),
                name: if jobs == 1 { stage.name.clone() } else { format!("{} (cell={cell})", stage.name) },
                matrix: Map::new(),
                runs_on: Vec::new(),
                environment: EnvironmentSpec::Host,
                services: Vec::new(),
                env: Vec::new(),
                timeout_ms: 60_000,
                steps: Vec::new(),
                kept: None,
            });
        }
        plan.stages.push(stage);
    }
    Arc::new(plan)
}

pub fn outcome(status: Status) -> JobOutcome {
    let failure = (status == Status::Failure)
        .then(|| Failure::new(FailureCause::ExitCode { code: 1 }, "step `test` ended with exit code 1"));
    let reason = match status {
        Status::Success => None,
        Status::Failure => Some("step `test` ended with exit code 1".into()),
        other => Some(other.as_str().to_owned()),
    };
    JobOutcome { status, reason, failure, outputs: Map::new() }
}

pub fn retry(max_attempts: u32, on: RetryOn) -> RetryPolicy {
    RetryPolicy { max_attempts, on: vec![on] }
}

/// A handful of expressions is enough here; the real ones are tested with their evaluator.
pub fn decide(condition: &Condition, facts: &ConditionFacts<'_>) -> Result<bool, String> {
    match condition.expression.as_str() {
        "success()" => Ok(facts.success),
        "failure()" => Ok(facts.failure),
        "always()" => Ok(true),
        "cancelled()" => Ok(facts.cancelled),
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("unknown name `{other}`")),
    }
}

/// Drives a machine and keeps what it said.
pub struct Driver {
    pub machine: RunMachine,
    pub now: Timestamp,
    pub queue: Vec<(JobIndex, u32)>,
    pub cancels: Vec<(JobIndex, u32, Status, String)>,
    pub events: Vec<EventKind>,
    pub deadlines: Vec<Timestamp>,
}

impl Driver {
    pub fn new(plan: Arc<Plan>) -> Driver {
        let machine = RunMachine::new(plan, decide);
        let mut driver = Driver {
            machine,
            now: Timestamp(0),
            queue: Vec::new(),
            cancels: Vec::new(),
            events: Vec::new(),
            deadlines: Vec::new(),
        };
        driver.apply(RunEvent::Start);
        driver
    }

    pub fn apply(&mut self, event: RunEvent) -> Vec<RunAction> {
        // What is stored is enough to go on from: a restored machine decides the same.
        let mut restored = RunMachine::restore(self.machine.plan().clone(), self.machine.state().clone(), decide);
        let actions = self.machine.apply(self.now, event.clone());
        assert_eq!(restored.apply(self.now, event), actions);
        for action in &actions {
            match action.clone() {
                RunAction::QueueJob { job, attempt } => self.queue.push((job, attempt)),
                RunAction::EndAttempt { job, attempt, .. } => self.queue.retain(|queued| *queued != (job, attempt)),
                RunAction::CancelAttempt { job, attempt, status, reason, .. } => {
                    self.cancels.push((job, attempt, status, reason));
                }
                RunAction::SetDeadline(at) => self.deadlines.push(at),
                RunAction::Emit(event) => self.events.push(event),
                _ => {}
            }
        }
        actions
    }

    /// Takes the oldest queued attempt.
    pub fn take(&mut self) -> (JobIndex, u32) {
        let (job, attempt) = self.queue.remove(0);
        self.apply(RunEvent::AttemptStarted { job, attempt, agent: agent() });
        (job, attempt)
    }

    pub fn complete(&mut self, (job, attempt): (JobIndex, u32), status: Status) -> Vec<RunAction> {
        self.apply(RunEvent::AttemptCompleted { job, attempt, outcome: outcome(status) })
    }

    pub fn lose(&mut self, (job, attempt): (JobIndex, u32)) {
        self.apply(RunEvent::AttemptLost { job, attempt, reason: "agent `box` was not heard of for 30 s".into() });
    }

    pub fn cancel(&mut self) {
        self.apply(RunEvent::CancelRequested { reason: "cancelled by Ctrl-C".into() });
    }

    pub fn pass(&mut self, millis: u64) {
        self.now = self.now.plus_millis(millis);
        self.apply(RunEvent::TimerFired);
    }

    pub fn status(&self) -> Status {
        self.machine.state().status
    }

    pub fn reason(&self) -> &str {
        self.machine.state().reason.as_deref().unwrap_or_default()
    }

    pub fn stage(&self, index: usize) -> (Status, &str) {
        let stage = &self.machine.state().stages[index];
        (stage.status, stage.reason.as_deref().unwrap_or_default())
    }
}

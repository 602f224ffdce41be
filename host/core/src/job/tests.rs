//! Stories of jobs, and every interleaving of them.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::{
    grant::Grants,
    id::{StageIndex, StepIndex},
    limit::{LimitKind, Limits},
    outcome::{Failure, FailureCause, Status},
    plan::{Condition, EnvironmentSpec, PlannedJob, PlannedStep, PluginPin, RetryOn, RetryPolicy},
    protocol::JobOutcome,
    yaml::{Node, Span},
};

fn step(name: &str) -> PlannedStep {
    PlannedStep {
        id: Some(name.to_owned()),
        name: name.to_owned(),
        plugin: PluginPin { reference: "oxide/run@1".to_owned(), digest: String::new() },
        with: Node::map(vec![]),
        env: vec![],
        condition: None,
        limits: Limits::default(),
        grants: Grants::default(),
        retry: RetryPolicy::never(),
        allow_failure: false,
        parallel_group: None,
        span: Span::default(),
    }
}

fn on(mut step: PlannedStep, expression: &str) -> PlannedStep {
    step.condition = Some(Condition { expression: expression.to_owned(), span: Span::default() });
    step
}

fn beside(mut step: PlannedStep, group: u32) -> PlannedStep {
    step.parallel_group = Some(group);
    step
}

fn job(steps: Vec<PlannedStep>) -> PlannedJob {
    PlannedJob {
        stage: StageIndex(0),
        name: "test".to_owned(),
        matrix: Map::new(),
        runs_on: vec![],
        environment: EnvironmentSpec::Host,
        services: Vec::new(),
        env: vec![],
        timeout_ms: 1000,
        steps,
        kept: None,
    }
}

/// Evaluates the four functions and nothing else.
fn evaluate(job: &PlannedJob) -> impl Fn(StepIndex, &JobProgress) -> Result<bool, Failure> {
    let expressions: Vec<_> = job.steps.iter().map(|step| step.condition.clone()).collect();
    move |step, progress| match expressions[step.index()].as_ref().map(|c| c.expression.as_str()) {
        Some("always()") | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some("failure()") => Ok(progress.standing() == Standing::Failure),
        Some("cancelled()") => Ok(progress.standing() == Standing::Cancelled),
        Some("success()") => Ok(progress.standing() == Standing::Success),
        other => Err(Failure::new(FailureCause::Expression, format!("{other:?}"))),
    }
}

/// Plays events and tells in words what the machine decided.
struct Story {
    machine: JobMachine,
    job: PlannedJob,
}

impl Story {
    fn new(steps: Vec<PlannedStep>) -> (Self, Vec<String>) {
        let job = job(steps);
        let mut story = Story { machine: JobMachine::new(&job), job };
        let first = story.happens(JobEvent::Prepared);
        (story, first)
    }

    fn happens(&mut self, event: JobEvent) -> Vec<String> {
        let condition = evaluate(&self.job);
        self.machine.apply(event, &condition).into_iter().map(|action| tell(&self.job, action)).collect()
    }

    fn succeeds(&mut self, step: u32) -> Vec<String> {
        self.happens(JobEvent::StepFinished { step: StepIndex(step), result: Ok(Map::new()) })
    }

    fn fails(&mut self, step: u32, cause: FailureCause) -> Vec<String> {
        self.happens(JobEvent::StepFinished { step: StepIndex(step), result: Err(Failure::new(cause, "broken")) })
    }

    fn cancel(&mut self) -> Vec<String> {
        self.happens(JobEvent::CancelRequested { status: Status::Cancelled, reason: "Ctrl-C".to_owned() })
    }
}

fn tell(job: &PlannedJob, action: JobAction) -> String {
    let name = |step: StepIndex| job.steps[step.index()].name.clone();
    match action {
        JobAction::StartStep { step, try_number: 1 } => format!("start {}", name(step)),
        JobAction::StartStep { step, try_number } => format!("start {} again: try {try_number}", name(step)),
        JobAction::StopStep { step } => format!("stop {}", name(step)),
        JobAction::EndStep { step, status, reason: None, .. } => format!("{} {}", name(step), status.as_str()),
        JobAction::EndStep { step, status, reason: Some(reason), .. } => {
            format!("{} {}: {reason}", name(step), status.as_str())
        }
        JobAction::Finish(JobOutcome { status, reason: None, .. }) => format!("job {}", status.as_str()),
        JobAction::Finish(JobOutcome { status, reason: Some(reason), .. }) => {
            format!("job {}: {reason}", status.as_str())
        }
    }
}

#[test]
fn steps_run_one_after_the_other() {
    let (mut story, first) = Story::new(vec![step("a"), step("b")]);
    assert_eq!(first, ["start a"]);
    assert_eq!(story.succeeds(0), ["a success", "start b"]);
    assert_eq!(story.succeeds(1), ["b success", "job success"]);
    assert!(story.machine.is_finished());
}

#[test]
fn a_job_without_steps_succeeds() {
    assert_eq!(Story::new(vec![]).1, ["job success"]);
}

#[test]
fn after_a_failure_only_those_run_that_ask_for_it() {
    let (mut story, _) = Story::new(vec![
        step("a"),
        step("b"),
        on(step("report"), "failure()"),
        on(step("truth"), "true"),
        on(step("tidy"), "always()"),
    ]);
    assert_eq!(
        story.fails(0, FailureCause::Plugin),
        ["a failure", "b skipped: an earlier step failed", "start report"]
    );
    assert_eq!(story.succeeds(2), ["report success", "truth skipped: an earlier step failed", "start tidy"]);
    assert_eq!(story.succeeds(4), ["tidy success", "job failure: step `a` failed"]);
}

#[test]
fn an_allowed_failure_is_a_warning() {
    let lint = PlannedStep { allow_failure: true, ..step("lint") };
    let (mut story, _) = Story::new(vec![lint, step("build")]);
    assert_eq!(story.fails(0, FailureCause::Plugin), ["lint warning", "start build"]);
    assert_eq!(story.succeeds(1), ["build success", "job warning: a step failed that is allowed to fail"]);
}

#[test]
fn a_false_condition_names_itself() {
    let (_, first) = Story::new(vec![on(step("a"), "false")]);
    assert_eq!(first, ["a skipped: its condition `false` is false", "job success"]);
}

#[test]
fn a_condition_that_cannot_be_evaluated_fails_the_step() {
    let (_, first) = Story::new(vec![on(step("a"), "nonsense"), step("b")]);
    assert_eq!(first, ["a failure", "b skipped: an earlier step failed", "job failure: step `a` failed"]);
}

#[test]
fn neighbours_of_one_group_run_at_the_same_time() {
    let (mut story, first) = Story::new(vec![beside(step("a"), 1), beside(step("b"), 1), beside(step("c"), 2)]);
    assert_eq!(first, ["start a", "start b"]);
    assert_eq!(story.fails(1, FailureCause::Plugin), ["b failure"]);
    assert_eq!(story.succeeds(0), ["a success", "c skipped: an earlier step failed", "job failure: step `b` failed"]);
}

#[test]
fn a_step_is_tried_again_for_the_causes_that_it_names() {
    let flaky = PlannedStep {
        retry: RetryPolicy { max_attempts: 3, on: vec![RetryOn::ExitCode(vec![101]), RetryOn::Timeout] },
        ..step("flaky")
    };
    let (mut story, _) = Story::new(vec![flaky]);
    assert_eq!(story.fails(0, FailureCause::ExitCode { code: 101 }), ["start flaky again: try 2"]);
    let timeout = FailureCause::Limit { limit: LimitKind::Timeout, used: 2, allowed: 1 };
    assert_eq!(story.fails(0, timeout.clone()), ["start flaky again: try 3"]);
    assert_eq!(story.fails(0, timeout), ["flaky timeout", "job timeout: step `flaky` timed out"]);

    let flaky =
        PlannedStep { retry: RetryPolicy { max_attempts: 3, on: vec![RetryOn::ExitCode(vec![7])] }, ..step("f") };
    let (mut story, _) = Story::new(vec![flaky]);
    assert_eq!(story.fails(0, FailureCause::ExitCode { code: 1 }), ["f failure", "job failure: step `f` failed"]);
}

#[test]
fn a_cancelled_job_stops_what_runs_and_still_tidies_up() {
    let (mut story, _) =
        Story::new(vec![step("a"), step("b"), on(step("tidy"), "always()"), on(step("c"), "failure()")]);
    assert_eq!(story.cancel(), ["stop a"]);
    assert!(story.cancel().is_empty(), "only the first cancellation counts");
    assert_eq!(story.fails(0, FailureCause::Plugin), ["a cancelled: Ctrl-C", "b skipped: Ctrl-C", "start tidy"]);
    assert_eq!(story.succeeds(2), ["tidy success", "c skipped: Ctrl-C", "job cancelled: Ctrl-C"]);
}

#[test]
fn tidying_up_ends_with_the_grace() {
    let (mut story, _) = Story::new(vec![step("a"), on(step("tidy"), "always()"), on(step("more"), "always()")]);
    story.happens(JobEvent::JobTimedOut { reason: "too long".to_owned() });
    story.fails(0, FailureCause::Plugin);
    assert_eq!(story.happens(JobEvent::GraceEnded), ["stop tidy"]);
    assert_eq!(
        story.fails(1, FailureCause::Plugin),
        ["tidy timeout: too long", "more skipped: too long", "job timeout: too long"]
    );
}

#[test]
fn a_job_cancelled_while_it_is_prepared_runs_nothing() {
    let job = job(vec![step("a"), on(step("tidy"), "always()")]);
    let mut story = Story { machine: JobMachine::new(&job), job };
    assert_eq!(story.cancel(), ["a skipped: Ctrl-C", "tidy skipped: Ctrl-C", "job cancelled: Ctrl-C"]);
    assert!(story.happens(JobEvent::Prepared).is_empty());
}

#[test]
fn an_environment_that_cannot_be_prepared_fails_the_job() {
    let job = job(vec![step("a")]);
    let mut story = Story { machine: JobMachine::new(&job), job };
    let failure = Failure::new(FailureCause::Environment, "could not reach Docker");
    assert_eq!(
        story.happens(JobEvent::PrepareFailed(failure)),
        ["a skipped: the environment of the job could not be prepared", "job failure: could not reach Docker"]
    );
}

#[test]
fn outputs_are_seen_by_later_steps_and_other_stages() {
    let job = job(vec![step("a"), step("b")]);
    let mut machine = JobMachine::new(&job);
    let condition = evaluate(&job);
    machine.apply(JobEvent::Prepared, &condition);
    let outputs = json!({ "sha": "abc" }).as_object().cloned().unwrap();
    machine.apply(JobEvent::StepFinished { step: StepIndex(0), result: Ok(outputs) }, &condition);
    assert_eq!(machine.progress().steps_value()["a"], json!({ "status": "success", "outputs": { "sha": "abc" } }));
    let last = machine.apply(JobEvent::StepFinished { step: StepIndex(1), result: Ok(Map::new()) }, &condition);
    let Some(JobAction::Finish(outcome)) = last.last() else { panic!("the job has ended: {last:?}") };
    assert_eq!(outcome.outputs, json!({ "a": { "sha": "abc" } }).as_object().cloned().unwrap());
}

fn any_step() -> impl Strategy<Value = PlannedStep> {
    let condition = prop::option::of(prop::sample::select(vec![
        "always()",
        "failure()",
        "cancelled()",
        "success()",
        "true",
        "false",
        "nonsense",
    ]));
    (condition, any::<bool>(), prop::option::of(0..3u32), 1..4u32).prop_map(|(condition, allowed, group, tries)| {
        let retry = RetryPolicy { max_attempts: tries, on: vec![RetryOn::Failure] };
        let plain = PlannedStep { allow_failure: allowed, parallel_group: group, retry, ..step("s") };
        match condition {
            Some(expression) => on(plain, expression),
            None => plain,
        }
    })
}

/// One move of the world: which running step ends (by position among the running ones) and how, or something else.
#[derive(Clone, Debug)]
enum Move {
    End { which: usize, well: bool },
    Cancel,
    Timeout,
    Grace,
    Stray(u32),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0..4usize, any::<bool>()).prop_map(|(which, well)| Move::End { which, well }),
        1 => Just(Move::Cancel),
        1 => Just(Move::Timeout),
        1 => Just(Move::Grace),
        1 => (0..12u32).prop_map(Move::Stray),
    ]
}

proptest! {
    /// Whatever happens in whatever order: every step ends exactly once, nothing starts after the end, steps of
    /// different groups never overlap, and the job ends as soon as the world lets all running steps end.
    #[test]
    fn every_interleaving_ends_every_step_once(
        steps in prop::collection::vec(any_step(), 0..8),
        moves in prop::collection::vec(any_move(), 0..40),
    ) {
        let job = job(steps);
        let condition = evaluate(&job);
        let mut machine = JobMachine::new(&job);
        let mut running: Vec<StepIndex> = Vec::new();
        let mut ended = vec![0; job.steps.len()];
        let mut finished = 0;
        let mut moves = moves.into_iter();
        let mut event = Some(JobEvent::Prepared);
        let failure = || Failure::new(FailureCause::Plugin, "x");
        while let Some(now) = event.take() {
            if let JobEvent::StepFinished { step, .. } = &now {
                running.retain(|other| other != step);
            }
            for action in machine.apply(now, &condition) {
                prop_assert_eq!(finished, 0, "nothing comes after the end");
                match action {
                    JobAction::StartStep { step, try_number } => {
                        prop_assert!(try_number <= job.steps[step.index()].retry.max_attempts);
                        prop_assert!(!running.contains(&step));
                        let group = job.steps[step.index()].parallel_group;
                        for other in &running {
                            prop_assert!(group.is_some() && job.steps[other.index()].parallel_group == group);
                        }
                        running.push(step);
                    }
                    JobAction::StopStep { step } => prop_assert!(running.contains(&step)),
                    JobAction::EndStep { step, status, .. } => {
                        prop_assert!(status.is_final());
                        prop_assert!(!running.contains(&step));
                        ended[step.index()] += 1;
                    }
                    JobAction::Finish(outcome) => {
                        prop_assert!(outcome.status.is_final());
                        finished += 1;
                    }
                }
            }
            event = match moves.next() {
                Some(Move::End { which, well }) if !running.is_empty() => {
                    let step = running[which % running.len()];
                    Some(JobEvent::StepFinished { step, result: if well { Ok(Map::new()) } else { Err(failure()) } })
                }
                Some(Move::Cancel) => {
                    Some(JobEvent::CancelRequested { status: Status::Cancelled, reason: "c".to_owned() })
                }
                Some(Move::Timeout) => Some(JobEvent::JobTimedOut { reason: "t".to_owned() }),
                Some(Move::Grace) => Some(JobEvent::GraceEnded),
                Some(Move::Stray(index)) if !running.contains(&StepIndex(index)) => {
                    Some(JobEvent::StepFinished { step: StepIndex(index), result: Ok(Map::new()) })
                }
                _ => running.first().map(|&step| JobEvent::StepFinished { step, result: Err(failure()) }),
            };
        }
        prop_assert_eq!(finished, 1);
        prop_assert!(ended.iter().all(|&count| count == 1), "{:?}", ended);
    }
}

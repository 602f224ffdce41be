//! What a user sees of a run, told event by event.

use super::build::{Driver, agent, condition, outcome, plan, retry, stage};
use crate::{
    event::EventKind,
    id::JobIndex,
    outcome::Status,
    plan::RetryOn,
    run::{RunAction, RunEvent, STOP_GRACE_MS},
    time::Timestamp,
};

#[test]
fn stages_run_one_after_the_other_and_the_run_succeeds() {
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 2), (stage("release", &[0]), 1)]));
    assert_eq!(run.status(), Status::Queued);
    assert_eq!(run.queue.len(), 2, "the second stage waits");
    let (first, second) = (run.take(), run.take());
    assert_eq!(run.status(), Status::Running);
    run.complete(first, Status::Success);
    assert!(run.queue.is_empty());
    run.complete(second, Status::Success);
    let release = run.take();
    run.complete(release, Status::Success);
    assert_eq!(run.status(), Status::Success);
    assert_eq!(run.machine.state().reason, None);
    let started = run.events.iter().filter(|event| matches!(event, EventKind::StageStarted { .. })).count();
    assert_eq!(started, 2);
    assert!(matches!(run.events.last(), Some(EventKind::RunCompleted { status: Status::Success, .. })));
}

#[test]
fn a_failure_skips_what_needs_it_down_to_the_last_stage() {
    let stages = vec![(stage("test", &[]), 1), (stage("build", &[0]), 1), (stage("deploy", &[1]), 1)];
    let mut run = Driver::new(plan(stages));
    let test = run.take();
    run.complete(test, Status::Failure);
    assert_eq!(run.stage(1), (Status::Skipped, "stage `test` failed"));
    assert_eq!(run.stage(2), (Status::Skipped, "stage `test` failed"), "a skipped build must not let deploy run");
    assert_eq!(run.status(), Status::Failure);
    assert_eq!(run.reason(), "stage `test` failed: step `test` ended with exit code 1");
}

#[test]
fn a_stage_skipped_by_its_own_condition_lets_others_run() {
    let mut lint = stage("lint", &[]);
    lint.condition = condition("false");
    let mut run = Driver::new(plan(vec![(lint, 1), (stage("build", &[0]), 1)]));
    assert_eq!(run.stage(0), (Status::Skipped, "its condition is false: `false`"));
    let build = run.take();
    run.complete(build, Status::Success);
    assert_eq!(run.status(), Status::Success);
}

#[test]
fn conditions_see_how_things_went() {
    let mut notify = stage("notify", &[0]);
    notify.condition = condition("failure()");
    let mut cleanup = stage("cleanup", &[0]);
    cleanup.condition = condition("always()");
    let mut publish = stage("publish", &[0]);
    publish.condition = condition("true");
    let mut broken = stage("broken", &[0]);
    broken.condition = condition("always(");
    let stages = vec![(stage("test", &[]), 1), (notify, 1), (cleanup, 1), (publish, 1), (broken, 1)];
    let mut run = Driver::new(plan(stages));
    let test = run.take();
    run.complete(test, Status::Failure);
    assert_eq!(run.queue.len(), 2, "notify and cleanup");
    assert_eq!(run.stage(3), (Status::Skipped, "stage `test` failed"), "`if: true` still means success");
    assert_eq!(run.stage(4), (Status::Failure, "its condition could not be evaluated: unknown name `always(`"));
}

#[test]
fn a_dependency_may_be_allowed_to_fail_and_a_stage_too() {
    let mut flaky = stage("flaky", &[]);
    flaky.allow_failure = true;
    let mut after = stage("after", &[0, 2]);
    after.depends_on[1].allow_failure = true;
    let mut run = Driver::new(plan(vec![(flaky, 1), (after, 1), (stage("bad", &[]), 1)]));
    let (flaky, bad) = (run.take(), run.take());
    run.complete(flaky, Status::Failure);
    assert_eq!(run.stage(0).0, Status::Warning);
    run.complete(bad, Status::Failure);
    let after = run.take();
    run.complete(after, Status::Success);
    assert_eq!(run.status(), Status::Failure, "the run still says that `bad` failed");
}

#[test]
fn a_run_with_nothing_worse_than_a_warning_is_a_warning() {
    let mut flaky = stage("flaky", &[]);
    flaky.allow_failure = true;
    let mut run = Driver::new(plan(vec![(flaky, 1)]));
    let flaky = run.take();
    run.complete(flaky, Status::Failure);
    assert_eq!(run.status(), Status::Warning);
    assert!(run.reason().contains("failed, which is allowed"), "{}", run.reason());
}

#[test]
fn fail_fast_stops_the_other_cells_and_the_stage_is_a_failure() {
    let mut test = stage("test", &[]);
    test.max_parallel = Some(2);
    let mut run = Driver::new(plan(vec![(test, 4)]));
    assert_eq!(run.queue.len(), 2, "max_parallel");
    let (first, second) = (run.take(), run.take());
    run.complete(first, Status::Failure);
    assert!(run.queue.is_empty(), "no further cell begins");
    assert_eq!(run.cancels.len(), 1);
    assert_eq!(run.cancels[0].3, "job `test (cell=0)` failed, and `fail_fast` is on");
    run.complete(second, Status::Cancelled);
    assert_eq!(run.status(), Status::Failure);
    assert_eq!(run.stage(0).1, "job `test (cell=0)`: step `test` ended with exit code 1");
}

#[test]
fn without_fail_fast_all_cells_run() {
    let mut test = stage("test", &[]);
    test.fail_fast = false;
    test.max_parallel = Some(1);
    let mut run = Driver::new(plan(vec![(test, 3)]));
    for status in [Status::Failure, Status::Success, Status::Failure] {
        let attempt = run.take();
        assert!(run.queue.is_empty());
        run.complete(attempt, status);
    }
    assert_eq!(run.stage(0).1, "job `test (cell=0)`: step `test` ended with exit code 1 (and 1 more)");
}

#[test]
fn a_lost_attempt_becomes_a_new_one_and_what_comes_late_is_ignored() {
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 1)]));
    let first = run.take();
    run.lose(first);
    assert_eq!(run.queue, [(JobIndex(0), 2)]);
    assert_eq!(run.complete(first, Status::Success), [], "late");
    let second = run.take();
    assert_eq!(run.machine.holder(JobIndex(0), 1), None);
    assert_eq!(run.machine.holder(JobIndex(0), 2), Some(agent()));
    run.complete(second, Status::Success);
    assert_eq!(run.complete(second, Status::Failure), [], "twice");
    assert_eq!(run.status(), Status::Success);
}

#[test]
fn attempts_are_bounded_and_the_reason_says_how_many_there_were() {
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 1)]));
    for _ in 0..3 {
        let attempt = run.take();
        run.lose(attempt);
    }
    assert_eq!(run.status(), Status::Failure);
    assert_eq!(run.reason(), "stage `test` failed: agent `box` was not heard of for 30 s (attempt 3)");
}

#[test]
fn a_failed_test_is_tried_again_only_if_asked_for() {
    let mut test = stage("test", &[]);
    test.retry = retry(2, RetryOn::ExitCode(vec![1]));
    let mut run = Driver::new(plan(vec![(test, 1)]));
    let first = run.take();
    run.complete(first, Status::Failure);
    let second = run.take();
    run.complete(second, Status::Success);
    assert_eq!(run.status(), Status::Success);
}

#[test]
fn cancel_ends_what_waits_at_once_and_what_runs_when_its_agent_says_so() {
    let mut cleanup = stage("cleanup", &[0]);
    cleanup.condition = condition("always()");
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 2), (stage("release", &[0]), 1), (cleanup, 1)]));
    let running = run.take();
    run.cancel();
    assert!(run.queue.is_empty());
    assert_eq!(run.stage(1), (Status::Cancelled, "cancelled by Ctrl-C"));
    assert_eq!(run.cancels, [(JobIndex(0), 1, Status::Cancelled, "cancelled by Ctrl-C".to_owned())]);
    assert_eq!(run.stage(0).0, Status::Running);
    run.complete(running, Status::Cancelled);
    let cleanup = run.take();
    run.complete(cleanup, Status::Success);
    assert_eq!(run.status(), Status::Cancelled);
    assert_eq!(run.reason(), "cancelled by Ctrl-C");
}

#[test]
fn a_second_cancel_also_ends_what_a_condition_lets_run() {
    let mut cleanup = stage("cleanup", &[0]);
    cleanup.condition = condition("always()");
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 1), (cleanup, 1)]));
    run.cancel();
    let cleanup = run.take();
    assert_eq!(run.cancels, []);
    run.cancel();
    assert_eq!(run.cancels.len(), 1);
    run.complete(cleanup, Status::Cancelled);
    assert_eq!(run.status(), Status::Cancelled);
}

#[test]
fn a_kill_asks_again_for_what_was_only_asked_to_stop() {
    let mut cleanup = stage("cleanup", &[0]);
    cleanup.condition = condition("always()");
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 1), (cleanup, 1)]));
    let running = run.take();
    run.cancel();
    let actions = run.apply(RunEvent::KillRequested { reason: "cancelled with Ctrl-C".into() });
    assert!(actions.iter().any(|action| matches!(action, RunAction::CancelAttempt { at_once: true, .. })));
    assert_eq!(run.stage(1).0, Status::Cancelled, "no condition lets it run any more");
    run.complete(running, Status::Cancelled);
    assert_eq!((run.status(), run.reason()), (Status::Cancelled, "cancelled by Ctrl-C"));
}

#[test]
fn a_cancelled_attempt_is_not_tried_again_when_its_agent_is_lost() {
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 1)]));
    let running = run.take();
    run.cancel();
    run.lose(running);
    assert_eq!(run.status(), Status::Cancelled);
}

#[test]
fn a_stage_that_takes_too_long_is_stopped() {
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 2), (stage("next", &[0]), 1)]));
    let running = run.take();
    assert!(run.deadlines.contains(&Timestamp(60_000)));
    run.pass(59_999);
    assert!(run.cancels.is_empty());
    run.pass(1);
    assert_eq!(run.cancels[0].2, Status::Timeout);
    run.complete(running, Status::Cancelled);
    assert_eq!(
        run.stage(0),
        (Status::Timeout, "job `test (cell=0)`: stage `test` took longer than 1 min (and 1 more)")
    );
    assert_eq!(run.stage(1), (Status::Skipped, "stage `test` took longer than it may"));
    assert_eq!(run.status(), Status::Timeout);
}

#[test]
fn an_attempt_that_takes_too_long_may_be_tried_again() {
    let mut test = stage("test", &[]);
    test.timeout_ms = 300_000;
    test.retry = retry(2, RetryOn::Timeout);
    let mut run = Driver::new(plan(vec![(test, 1)]));
    let first = run.take();
    run.pass(60_000);
    assert_eq!(run.cancels[0].3, "job `test` took longer than 1 min");
    run.complete(first, Status::Cancelled);
    let second = run.take();
    run.complete(second, Status::Success);
    assert_eq!(run.status(), Status::Success);
}

#[test]
fn a_run_that_takes_too_long_is_stopped_whole() {
    let mut long = stage("long", &[]);
    long.timeout_ms = 900_000;
    let mut cleanup = stage("cleanup", &[0]);
    cleanup.condition = condition("always()");
    let built = plan(vec![(long, 1), (cleanup, 1)]);
    let mut built = (*built).clone();
    built.jobs[0].timeout_ms = 900_000;
    let mut run = Driver::new(built.into());
    let running = run.take();
    run.pass(600_000);
    run.complete(running, Status::Timeout);
    assert_eq!(run.stage(1).0, Status::Skipped);
    assert_eq!((run.status(), run.reason()), (Status::Timeout, "the run took longer than 10 min"));
}

#[test]
fn an_agent_that_does_not_stop_is_given_up() {
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 1)]));
    let running = run.take();
    run.cancel();
    run.pass(STOP_GRACE_MS - 1);
    assert_eq!(run.status(), Status::Running);
    run.pass(1);
    assert_eq!(run.status(), Status::Cancelled);
    assert_eq!(run.complete(running, Status::Success), []);
}

#[test]
fn the_death_of_the_process_ends_everything_as_a_failure() {
    let mut cleanup = stage("cleanup", &[0]);
    cleanup.condition = condition("always()");
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 2), (cleanup, 1)]));
    run.take();
    let reason = "interrupted: the process that ran it (pid 7) was killed or crashed";
    let actions = run.apply(RunEvent::Interrupted { reason: reason.into() });
    assert_eq!((run.status(), run.reason()), (Status::Failure, reason));
    let ends = actions.iter().filter(|action| matches!(action, RunAction::EndAttempt { .. })).count();
    assert_eq!(ends, 2);
    assert_eq!(run.stage(0).0, Status::Failure);
}

#[test]
fn a_cancelled_run_whose_process_dies_is_cancelled() {
    let mut run = Driver::new(plan(vec![(stage("test", &[]), 2)]));
    run.take();
    run.cancel();
    assert_eq!(run.status(), Status::Running);
    run.apply(RunEvent::Interrupted { reason: "interrupted: the process that ran it was killed".into() });
    assert_eq!(run.status(), Status::Cancelled);
    assert!(!run.reason().contains("interrupted"), "{}", run.reason());
    assert_eq!(run.stage(0).0, Status::Cancelled);
}

#[test]
fn a_stage_without_jobs_is_skipped_and_a_run_without_stages_succeeds() {
    let mut run = Driver::new(plan(vec![(stage("empty", &[]), 0), (stage("next", &[0]), 1)]));
    assert_eq!(run.stage(0), (Status::Skipped, "its matrix has no cells"));
    let next = run.take();
    run.complete(next, Status::Success);
    assert_eq!(run.status(), Status::Success);
    assert_eq!(Driver::new(plan(Vec::new())).status(), Status::Success);
}

#[test]
fn a_stage_of_one_job_has_its_outputs_and_one_of_several_has_none() {
    let mut run =
        Driver::new(plan(vec![(stage("several", &[]), 2), (stage("one", &[]), 1), (stage("next", &[0, 1]), 1)]));
    for version in [1, 2, 3] {
        let (job, attempt) = run.take();
        let mut outcome = outcome(Status::Success);
        outcome.outputs.insert("build".into(), serde_json::json!({ "version": version }));
        run.apply(RunEvent::AttemptCompleted { job, attempt, outcome });
    }
    let stages = run.machine.state().ended_stages(run.machine.plan());
    assert_eq!(stages["several"], serde_json::json!({ "status": "success", "result": "success", "outputs": {} }));
    assert_eq!(stages["one"]["outputs"]["build"]["version"], 3);
}

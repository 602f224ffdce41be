//! Stories of runs that wait: for their turn, for people, and for a second try.

use std::sync::Arc;

use super::build::{Driver, decide, plan, stage};
use crate::{
    access::Role,
    approval::{ApprovalStatus, Approver},
    event::EventKind,
    id::StageIndex,
    outcome::Status,
    plan::{PlannedApproval, PlannedStage, retry},
    run::{RunAction, RunEvent, RunMachine},
    time::Timestamp,
};

const HOUR: u64 = 3_600_000;

fn asking(name: &str, needs: &[usize]) -> PlannedStage {
    let approvers = vec![Approver::Role(Role::Maintainer)];
    let approval = PlannedApproval { approvers, minimum: 1, timeout_ms: 24 * HOUR };
    PlannedStage { approval: Some(approval), ..stage(name, needs) }
}

/// test, then release with an approval; test has succeeded.
fn waiting() -> Driver {
    let mut planned = Arc::unwrap_or_clone(plan(vec![(stage("test", &[]), 1), (asking("release", &[0]), 1)]));
    planned.timeout_ms = 100 * HOUR;
    let mut run = Driver::new(Arc::new(planned));
    let test = run.take();
    run.complete(test, Status::Success);
    run
}

fn answer(run: &mut Driver, approved: bool) -> Vec<RunAction> {
    let reason = if approved { "approved by ann" } else { "rejected by ann: not on a Friday" };
    run.apply(RunEvent::ApprovalDecided { stage: StageIndex(1), approved, reason: reason.into() })
}

fn ended_as(actions: &[RunAction]) -> Option<ApprovalStatus> {
    actions.iter().find_map(|action| match action {
        RunAction::EndApproval { status, .. } => Some(*status),
        _ => None,
    })
}

#[test]
fn a_stage_waits_for_people_and_says_for_whom() {
    let mut run = waiting();
    assert_eq!(run.stage(1), (Status::WaitingApproval, "waits for an approval by role:maintainer"));
    assert_eq!(run.status(), Status::WaitingApproval);
    assert_eq!(run.reason(), "stage `release` waits for an approval by role:maintainer");
    assert!(run.queue.is_empty());
    assert!(run.deadlines.contains(&Timestamp(24 * 3_600_000)));
    let actions = answer(&mut run, true);
    assert_eq!(ended_as(&actions), Some(ApprovalStatus::Approved));
    assert_eq!((run.status(), run.reason(), run.stage(1)), (Status::Running, "", (Status::Queued, "")));
    assert_eq!(answer(&mut run, false), [], "it was answered");
    let release = run.take();
    run.complete(release, Status::Success);
    assert_eq!(run.status(), Status::Success);
}

#[test]
fn a_refusal_is_a_failure_and_silence_a_timeout() {
    let mut run = waiting();
    assert_eq!(ended_as(&answer(&mut run, false)), Some(ApprovalStatus::Rejected));
    assert_eq!(run.status(), Status::Failure);
    assert_eq!(run.reason(), "stage `release` was not approved: rejected by ann: not on a Friday");
    assert_eq!(run.machine.state().jobs[1].status, Status::Skipped);

    let mut run = waiting();
    run.pass(24 * HOUR - 1);
    assert_eq!(run.status(), Status::WaitingApproval);
    run.pass(1);
    assert_eq!(run.status(), Status::Timeout);
    assert_eq!(run.reason(), "stage `release` was not approved: waited 24 h for an approval by role:maintainer");
}

#[test]
fn an_answer_after_the_deadline_is_too_late() {
    let mut run = waiting();
    run.now = run.now.plus_millis(24 * HOUR);
    assert_eq!(ended_as(&answer(&mut run, true)), Some(ApprovalStatus::Expired));
    assert_eq!(run.status(), Status::Timeout);
}

#[test]
fn who_cancels_need_not_wait_for_an_answer() {
    let mut run = waiting();
    let actions = run.apply(RunEvent::CancelRequested { reason: "cancelled by ann".into() });
    assert_eq!(ended_as(&actions), Some(ApprovalStatus::Withdrawn));
    assert_eq!((run.status(), run.reason()), (Status::Cancelled, "cancelled by ann"));
    assert_eq!(answer(&mut run, true), []);
}

#[test]
fn a_refusal_that_is_allowed_is_a_warning() {
    let release = PlannedStage { allow_failure: true, ..asking("release", &[]) };
    let mut run = Driver::new(plan(vec![(release, 1)]));
    let actions = run.apply(RunEvent::ApprovalDecided {
        stage: StageIndex(0),
        approved: false,
        reason: "rejected by ann".into(),
    });
    assert_eq!(ended_as(&actions), Some(ApprovalStatus::Rejected));
    assert_eq!(run.status(), Status::Warning);
}

#[test]
fn a_run_waits_for_its_turn_and_says_why() {
    let plan = plan(vec![(stage("test", &[]), 1)]);
    let mut machine = RunMachine::new(plan.clone(), decide);
    let held = |reason: &str| RunEvent::Held { reason: reason.into() };
    let actions = machine.apply(Timestamp(0), held("waits for run #1"));
    assert!(actions.contains(&RunAction::Emit(EventKind::RunWaiting { reason: "waits for run #1".into() })));
    assert_eq!(machine.state().status, Status::Queued);
    assert_eq!(machine.apply(Timestamp(0), held("waits for run #1")), [], "said once");
    let mut machine = RunMachine::restore(plan.clone(), machine.state().clone(), decide);
    assert!(!machine.has_begun());
    assert!(!machine.apply(Timestamp(0), held("waits for run #2")).is_empty());
    machine.apply(Timestamp(1), RunEvent::Start);
    assert_eq!((machine.state().status, machine.state().reason.clone()), (Status::Queued, None));
    assert_eq!(machine.queued().count(), 1);
    assert_eq!(machine.apply(Timestamp(2), held("too late")), []);
    assert_eq!(machine.apply(Timestamp(2), RunEvent::Start), []);
}

#[test]
fn a_run_that_was_superseded_while_it_waited_runs_nothing() {
    let mut cleanup = stage("cleanup", &[0]);
    cleanup.condition = super::build::condition("always()");
    let mut machine = RunMachine::new(plan(vec![(stage("test", &[]), 1), (cleanup, 1)]), decide);
    machine.apply(Timestamp(0), RunEvent::Held { reason: "waits for run #1".into() });
    machine.apply(Timestamp(1), RunEvent::CancelRequested { reason: "superseded by run #3".into() });
    let state = machine.state();
    assert_eq!((state.status, state.reason.as_deref()), (Status::Cancelled, Some("superseded by run #3")));
    assert_eq!(machine.queued().count(), 0);
}

#[test]
fn a_retry_of_what_failed_runs_the_rest_and_sees_the_outputs_that_were_kept() {
    let stages = || vec![(stage("build", &[]), 1), (stage("test", &[0]), 3), (stage("deploy", &[1]), 1)];
    let mut run = Driver::new(plan(stages()));
    let build = run.take();
    let mut outcome = super::build::outcome(Status::Success);
    outcome.outputs.insert("v".into(), serde_json::json!({ "tag": "1.2" }));
    run.apply(RunEvent::AttemptCompleted { job: build.0, attempt: build.1, outcome });
    let (first, second, third) = (run.take(), run.take(), run.take());
    run.complete(first, Status::Success);
    run.complete(third, Status::Success);
    run.complete(second, Status::Failure);
    assert_eq!(run.status(), Status::Failure);

    let again = retry(run.machine.plan(), run.machine.state(), true).unwrap();
    let mut run = Driver::new(Arc::new(again));
    assert_eq!(run.queue, [(second.0, 1)], "only the cell that failed");
    let stages = run.machine.state().ended_stages(run.machine.plan());
    assert_eq!(stages["build"]["outputs"]["v"]["tag"], "1.2");
    let second = run.take();
    run.complete(second, Status::Success);
    let deploy = run.take();
    run.complete(deploy, Status::Success);
    assert_eq!(run.status(), Status::Success);
}

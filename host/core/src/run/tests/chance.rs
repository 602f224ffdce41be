//! Random plans under random interleavings of everything that can happen.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::build::{Driver, condition, plan, retry, stage};
use crate::{
    event::EventKind,
    id::JobIndex,
    outcome::Status,
    plan::{PlannedStage, RetryOn},
    run::RunAction,
};

#[derive(Clone, Debug)]
enum Chance {
    Take(Index),
    Complete(Index, Status),
    Lose(Index),
    /// Any attempt that ever was, present or not.
    Late(Index, Status),
    Cancel,
    Kill,
    Pass(u64),
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        4 => Just(Status::Success),
        2 => Just(Status::Failure),
        1 => Just(Status::Cancelled),
        1 => Just(Status::Timeout),
        1 => Just(Status::Warning),
        1 => Just(Status::Running),
    ]
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        6 => any::<Index>().prop_map(Chance::Take),
        6 => (any::<Index>(), status()).prop_map(|(index, status)| Chance::Complete(index, status)),
        2 => any::<Index>().prop_map(Chance::Lose),
        2 => (any::<Index>(), status()).prop_map(|(index, status)| Chance::Late(index, status)),
        1 => Just(Chance::Cancel),
        1 => Just(Chance::Kill),
        2 => (0u64..100_000).prop_map(Chance::Pass),
    ]
}

fn any_stage(position: usize) -> impl Strategy<Value = (PlannedStage, usize)> {
    let needs = proptest::collection::btree_set(0..position.max(1), 0..=position.min(3));
    let conditions = prop_oneof![
        4 => Just(None),
        1 => prop_oneof![Just("always()"), Just("failure()"), Just("success()"), Just("false"), Just("oops")].prop_map(Some),
    ];
    let on = prop_oneof![Just(RetryOn::AgentLost), Just(RetryOn::Failure), Just(RetryOn::Timeout)];
    (needs, 0usize..5, conditions, any::<[bool; 3]>(), proptest::option::of(0u32..3), (1u32..4, on)).prop_map(
        move |(needs, jobs, expression, [fail_fast, allow_failure, dependency], max_parallel, (attempts, on))| {
            let needs: Vec<_> = needs.into_iter().filter(|need| *need < position).collect();
            let mut stage = stage(&format!("s{position}"), &needs);
            stage.condition = expression.and_then(condition);
            stage.fail_fast = fail_fast;
            stage.allow_failure = allow_failure;
            stage.max_parallel = max_parallel;
            stage.retry = retry(attempts, on);
            if let Some(first) = stage.depends_on.first_mut() {
                first.allow_failure = dependency;
            }
            (stage, jobs)
        },
    )
}

fn any_stages() -> impl Strategy<Value = Vec<(PlannedStage, usize)>> {
    (0usize..7).prop_flat_map(|count| (0..count).map(any_stage).collect::<Vec<_>>())
}

/// What must hold after every event.
fn check(run: &Driver, actions: &[RunAction], queued_ever: &mut BTreeSet<(JobIndex, u32)>) {
    let state = run.machine.state();
    let plan = run.machine.plan();
    for action in actions {
        if let RunAction::QueueJob { job, attempt } = action {
            assert!(queued_ever.insert((*job, *attempt)), "attempt {attempt} of job {job} twice");
            let stage = plan.stage(plan.job(*job).stage);
            assert!(*attempt <= stage.retry.max_attempts);
            for dependency in &stage.depends_on {
                assert!(state.stages[dependency.stage.index()].status.is_final(), "before its dependency");
            }
        }
    }
    for (stage, known) in plan.stages.iter().zip(&state.stages) {
        let active = |job: &&JobIndex| matches!(state.jobs[job.index()].status, Status::Queued | Status::Running);
        let active = stage.jobs.iter().filter(active).count();
        assert!(active <= stage.max_parallel.map_or(usize::MAX, |most| most.max(1) as usize));
        if known.status.is_final() {
            assert!(stage.jobs.iter().all(|job| state.jobs[job.index()].status.is_final()), "{known:?}");
            assert!(known.status == Status::Success || known.reason.is_some(), "a reason for {:?}", known.status);
        }
    }
    if state.status.is_final() {
        assert!(state.stages.iter().all(|stage| stage.status.is_final()));
        assert!(run.queue.is_empty());
        assert!(state.status == Status::Success || state.reason.is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_run_ends_whatever_happens(stages in any_stages(), chances in vec(chance(), 0..60), interrupt in any::<bool>()) {
        let mut run = Driver::new(plan(stages));
        let mut queued: BTreeSet<_> = run.queue.iter().copied().collect();
        let mut running: Vec<(JobIndex, u32)> = Vec::new();
        let mut known: Vec<(JobIndex, u32)> = Vec::new();
        check(&run, &[], &mut queued);
        for chance in chances {
            let before = run.machine.state().clone();
            let actions = match chance {
                Chance::Take(index) if !run.queue.is_empty() => {
                    let (job, attempt) = run.queue.remove(index.index(run.queue.len()));
                    running.push((job, attempt));
                    known.push((job, attempt));
                    run.apply(crate::run::RunEvent::AttemptStarted { job, attempt, agent: super::build::agent() })
                }
                Chance::Complete(index, status) if !running.is_empty() => {
                    let attempt = running.swap_remove(index.index(running.len()));
                    run.complete(attempt, status)
                }
                Chance::Lose(index) if !running.is_empty() => {
                    let (job, attempt) = running.swap_remove(index.index(running.len()));
                    run.apply(crate::run::RunEvent::AttemptLost { job, attempt, reason: "lost".into() })
                }
                Chance::Late(index, status) if !known.is_empty() => {
                    let attempt = *index.get(&known);
                    let stale = run.machine.holder(attempt.0, attempt.1).is_none();
                    let actions = run.complete(attempt, status);
                    if stale {
                        prop_assert!(actions.is_empty());
                        prop_assert_eq!(&before, run.machine.state());
                    }
                    actions
                }
                Chance::Cancel => {
                    run.apply(crate::run::RunEvent::CancelRequested { reason: "cancelled by a person".into() })
                }
                Chance::Kill => run.apply(crate::run::RunEvent::KillRequested { reason: "killed by a person".into() }),
                Chance::Pass(millis) => {
                    run.now = run.now.plus_millis(millis);
                    run.apply(crate::run::RunEvent::TimerFired)
                }
                _ => continue,
            };
            check(&run, &actions, &mut queued);
        }
        if interrupt {
            let actions = run.apply(crate::run::RunEvent::Interrupted { reason: "interrupted".into() });
            check(&run, &actions, &mut queued);
            prop_assert!(run.machine.is_final());
        }
        // From here on agents do their work: the run must end.
        for _ in 0..1000 {
            if run.machine.is_final() { break; }
            let running: Vec<_> = run.machine.running().collect();
            if let Some(attempt) = running.first() {
                let actions = run.complete(*attempt, Status::Success);
                check(&run, &actions, &mut queued);
            } else {
                prop_assert!(!run.queue.is_empty(), "nothing runs, nothing waits, and it is not over");
                run.take();
            }
        }
        prop_assert!(run.machine.is_final());
        let ends = run.events.iter().filter(|event| matches!(event, EventKind::RunCompleted { .. })).count();
        prop_assert_eq!(ends, 1);
    }
}

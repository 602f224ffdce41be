//! Random plans under random interleavings of everything that can happen, crashes among them.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    build::{condition, plan, retry, stage},
    world::World,
};
use crate::{
    access::Role,
    approval::Approver,
    outcome::Status,
    plan::{self, PlannedApproval, PlannedStage, RetryOn},
    run::RunEvent,
};

#[derive(Clone, Debug)]
enum Chance {
    Hold,
    Start,
    /// An agent takes an attempt; perhaps the process dies before that is written.
    Take(Index, bool),
    Complete(Index, Status),
    Lose(Index),
    /// Any attempt that ever was executed, present or not.
    Late(Index, Status),
    /// About any stage, whether it waits or not.
    Decide(Index, bool),
    Cancel,
    Kill,
    Pass(u64),
    /// The turn is written, and what it asks for done.
    Write,
    /// The process dies with the turn.
    Crash,
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
        1 => Just(Chance::Hold),
        2 => Just(Chance::Start),
        6 => (any::<Index>(), prop::bool::weighted(0.2)).prop_map(|(index, crash)| Chance::Take(index, crash)),
        6 => (any::<Index>(), status()).prop_map(|(index, status)| Chance::Complete(index, status)),
        2 => any::<Index>().prop_map(Chance::Lose),
        2 => (any::<Index>(), status()).prop_map(|(index, status)| Chance::Late(index, status)),
        3 => (any::<Index>(), prop::bool::weighted(0.8)).prop_map(|(index, approved)| Chance::Decide(index, approved)),
        1 => Just(Chance::Cancel),
        1 => Just(Chance::Kill),
        2 => (0u64..100_000).prop_map(Chance::Pass),
        4 => Just(Chance::Write),
        2 => Just(Chance::Crash),
    ]
}

fn any_stage(position: usize) -> impl Strategy<Value = (PlannedStage, usize)> {
    let needs = prop::collection::btree_set(0..position.max(1), 0..=position.min(3));
    let conditions = prop_oneof![
        4 => Just(None),
        1 => prop_oneof![Just("always()"), Just("failure()"), Just("success()"), Just("false"), Just("oops")].prop_map(Some),
    ];
    let on = prop_oneof![Just(RetryOn::AgentLost), Just(RetryOn::Failure), Just(RetryOn::Timeout)];
    let approval = prop::option::weighted(0.25, (1u32..3, 1_000u64..200_000));
    let bounds = (prop::option::of(0u32..3), 1u32..4, on);
    (needs, 0usize..5, conditions, any::<[bool; 3]>(), bounds, approval).prop_map(
        move |(needs, jobs, expression, [fail_fast, allow_failure, dependency], bounds, approval)| {
            let needs: Vec<_> = needs.into_iter().filter(|need| *need < position).collect();
            let mut stage = stage(&format!("s{position}"), &needs);
            stage.condition = expression.and_then(condition);
            stage.fail_fast = fail_fast;
            stage.allow_failure = allow_failure;
            let (max_parallel, attempts, on) = bounds;
            stage.max_parallel = max_parallel;
            stage.retry = retry(attempts, on);
            stage.approval = approval.map(|(minimum, timeout_ms)| {
                let approvers = vec![Approver::Role(Role::Maintainer)];
                PlannedApproval { approvers, minimum, timeout_ms }
            });
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
fn check(world: &World) {
    let (state, plan) = (world.machine.state(), world.machine.plan());
    for (stage, known) in plan.stages.iter().zip(&state.stages) {
        let jobs = || stage.jobs.iter().map(|job| &state.jobs[job.index()]);
        let active = jobs().filter(|job| matches!(job.status, Status::Queued | Status::Running)).count();
        assert!(active <= stage.max_parallel.map_or(usize::MAX, |most| most.max(1) as usize));
        if active > 0 {
            let all_ended = stage.depends_on.iter().all(|on| state.stages[on.stage.index()].status.is_final());
            assert!(all_ended, "`{}` began before what it needs had ended", stage.name);
            assert!(known.status != Status::WaitingApproval, "`{}` began before people agreed", stage.name);
            assert!(world.machine.has_begun());
        }
        if known.status.is_final() {
            assert!(jobs().all(|job| job.status.is_final()), "{known:?}");
            assert!(known.status == Status::Success || known.reason.is_some(), "a reason for {:?}", known.status);
        }
        if known.status == Status::WaitingApproval {
            assert!(known.reason.is_some() && stage.approval.is_some());
        }
    }
    if state.status == Status::WaitingApproval {
        assert!(state.reason.is_some() && !world.waiting_stages().is_empty());
        assert!(world.machine.queued().next().is_none() && world.machine.running().next().is_none());
    }
}

fn happen(world: &mut World, chance: Chance) {
    match chance {
        Chance::Hold => drop(world.apply(RunEvent::Held { reason: "waits for run #1".into() })),
        Chance::Start => drop(world.apply(RunEvent::Start)),
        Chance::Take(index, crash) => {
            // Leases leave at the end of a turn, so the turn so far is written before.
            world.write();
            if !world.offered.is_empty() {
                world.take(index.index(world.offered.len()), crash);
            }
        }
        Chance::Complete(index, status) if !world.executing.is_empty() => {
            // The agent says so until the answer is stored: a crash makes it say so again.
            let attempt = *index.get(&world.executing);
            world.complete(attempt, status);
        }
        Chance::Lose(index) if !world.executing.is_empty() => {
            let attempt = *index.get(&world.executing);
            world.lose(attempt);
        }
        Chance::Late(index, status) if !world.executed.is_empty() => {
            let attempts: Vec<_> = world.executed.iter().copied().collect();
            world.complete(*index.get(&attempts), status);
        }
        Chance::Decide(index, approved) if !world.machine.plan().stages.is_empty() => {
            let stage = index.index(world.machine.plan().stages.len());
            let stage = crate::id::StageIndex(stage as u32);
            let waits = world.waiting_stages().contains(&stage);
            let actions = world.apply(RunEvent::ApprovalDecided { stage, approved, reason: "by ann".into() });
            assert!(waits || actions.is_empty(), "a stage that does not ask takes no answer");
        }
        Chance::Cancel => drop(world.apply(RunEvent::CancelRequested { reason: "cancelled by a person".into() })),
        Chance::Kill => drop(world.apply(RunEvent::KillRequested { reason: "killed by a person".into() })),
        Chance::Pass(millis) => {
            world.now = world.now.plus_millis(millis);
            world.apply(RunEvent::TimerFired);
        }
        Chance::Write => world.write(),
        Chance::Crash => world.crash(),
        Chance::Complete(..) | Chance::Lose(_) | Chance::Late(..) | Chance::Decide(..) => {}
    }
    check(world);
}

/// From here on everybody does what is asked of them: the run must end.
fn let_it_end(world: &mut World) {
    world.write();
    world.apply(RunEvent::Start);
    // What was due when a process died is due when the next one looks.
    world.apply(RunEvent::TimerFired);
    world.write();
    for _ in 0..1000 {
        if world.machine.is_final() {
            return;
        }
        let running: Vec<_> = world.machine.running().collect();
        if let Some(attempt) = running.first() {
            assert!(world.executed.contains(attempt), "it runs, and no agent has it");
            world.complete(*attempt, Status::Success);
        } else if !world.offered.is_empty() {
            world.take(0, false);
        } else {
            // Nobody answers: the deadline does.
            assert!(!world.waiting_stages().is_empty(), "nothing runs, nothing waits, and it is not over");
            let next = world.deadlines.iter().copied().filter(|at| *at > world.now).min();
            world.now = next.expect("what waits for people waits until a deadline");
            world.apply(RunEvent::TimerFired);
        }
        world.write();
        check(world);
    }
    panic!("it does not end: {:?}", world.machine.state());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_run_ends_whatever_happens(stages in any_stages(), chances in vec(chance(), 0..80), interrupt in any::<bool>()) {
        let mut world = World::new(plan(stages));
        for chance in chances {
            happen(&mut world, chance);
        }
        if interrupt {
            world.apply(RunEvent::Interrupted { reason: "interrupted".into() });
            check(&world);
            prop_assert!(world.machine.is_final());
        }
        let_it_end(&mut world);
        world.check_the_end();

        // What failed is tried again, and ends, too; what went well is not touched.
        let Ok(again) = plan::retry(world.machine.plan(), world.machine.state(), true) else { return Ok(()) };
        let mut second = World::new(std::sync::Arc::new(again));
        let_it_end(&mut second);
        second.check_the_end();
        let kept = second.machine.plan().stages.iter().zip(&second.machine.state().stages);
        for (position, (planned, state)) in kept.enumerate() {
            if planned.kept.is_some() {
                let before = &world.machine.state().stages[position];
                prop_assert_eq!((&state.status, &state.outputs), (&before.status, &before.outputs));
            }
        }
    }
}

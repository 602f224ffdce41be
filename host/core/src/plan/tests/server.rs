//! What a server needs of a plan: approvals, groups, places, capabilities, secrets, retries.

use serde_json::json;

use super::{context, mistakes, plan, plan_with};
use crate::{
    outcome::Status,
    plan::{EnvironmentSpec, PlannedConcurrency, RetryError, retry},
    protocol::AgentCapability,
    run::RunState,
};

const HOST: &str = "environment: host, steps: [{ run: x }]";

#[test]
fn an_approval_is_planned_and_gives_the_run_more_time() {
    let plan = plan(&format!("stages: {{ a: {{ {HOST} }}, b: {{ approval: {{ timeout: 48h }}, {HOST} }} }}"));
    assert_eq!(plan.stages[0].approval, None);
    assert_eq!(plan.stages[1].approval.as_ref().unwrap().timeout_ms, 48 * 3_600_000);
    assert_eq!(plan.timeout_ms, (24 + 48) * 3_600_000);
}

#[test]
fn the_group_of_a_run_is_evaluated() {
    let of = |concurrency: &str| format!("concurrency: {concurrency}\nstages: {{ a: {{ {HOST} }} }}");
    let group = |text: &str| PlannedConcurrency { group: text.into(), limit: 1, cancel_in_progress: false };
    assert_eq!(plan(&of("\"deploy-${{ git.branch }}\"")).concurrency, Some(group("deploy-main")));
    let written = "{ group: x, limit: 2, cancel_in_progress: true }";
    let expected = PlannedConcurrency { limit: 2, cancel_in_progress: true, ..group("x") };
    assert_eq!(plan(&of(written)).concurrency, Some(expected));
    assert_eq!(plan(&of("\"${{ git.tag }}\"")).concurrency, None, "no tag, no group");
    assert!(mistakes(&of("\"${{ matrix.os }}\"")).contains("`matrix` is not known here"));
    assert!(mistakes(&of("\"${{ git.brnch }}\"")).contains("did you mean `branch`?"));
}

#[test]
fn every_place_is_planned_and_tells_what_it_needs() {
    let of = |environment: &str| {
        let mut plan = plan(&format!("stages: {{ a: {{ environment: {environment}, steps: [{{ run: x }}] }} }}"));
        plan.jobs.remove(0)
    };
    let needs = |environment: &str| of(environment).needs().into_iter().collect::<Vec<_>>();
    assert_eq!(needs("host"), [AgentCapability::Host]);
    assert_eq!(needs("{ container: debian:12 }"), [AgentCapability::Docker]);
    assert_eq!(needs("{ nix: \".#${{ git.branch }}\" }"), [AgentCapability::Nix, AgentCapability::Host]);
    let job = of("{ nix: \".#${{ git.branch }}\" }");
    assert_eq!(job.environment, EnvironmentSpec::Nix { flake: ".#main".into() });
    let job = of("{ firecracker: { kernel: /vm/linux, rootfs: \"/vm/${{ git.branch }}.ext4\", boot_args: quiet } }");
    assert_eq!(job.needs().into_iter().collect::<Vec<_>>(), [AgentCapability::Kvm]);
    let EnvironmentSpec::Firecracker { rootfs, boot_args, vcpus, .. } = job.environment else { panic!("a machine") };
    assert_eq!((rootfs.as_str(), boot_args.as_deref(), vcpus), ("/vm/main.ext4", Some("quiet"), 1));
    let services = plan("stages: { a: { environment: host, services: { db: { image: x } }, steps: [{ run: x }] } }");
    assert_eq!(
        services.jobs[0].needs().into_iter().collect::<Vec<_>>(),
        [AgentCapability::Docker, AgentCapability::Host]
    );
}

#[test]
fn a_place_that_cannot_be_is_a_mistake() {
    let of = |stage: &str| mistakes(&format!("stages: {{ a: {{ {stage}, steps: [{{ run: x }}] }} }}"));
    let relative = "environment: { firecracker: { kernel: linux, rootfs: /r } }";
    assert!(of(relative).contains("`linux` is no absolute path"));
    assert!(of("environment: { nix: \"--impure\" }").contains("names no flake"));
    let services = "environment: { firecracker: { kernel: /k, rootfs: /r } }, services: { db: { image: x } }";
    assert!(of(services).contains("cannot reach services"));
}

#[test]
fn a_fork_runs_no_commands_with_nix_on_the_host() {
    let mut fork = context();
    fork.trust = crate::grant::Trust::Fork;
    let of = |environment: &str| {
        plan_with(&format!("stages: {{ a: {{ environment: {environment}, steps: [{{ run: x }}] }} }}"), &fork)
    };
    assert!(of("{ nix: . }").unwrap_err().contains("on the host, which the run of a fork may not"));
    of("{ firecracker: { kernel: /k, rootfs: /r } }").unwrap();
}

#[test]
fn a_job_sees_the_secrets_of_its_steps_and_services_and_no_others() {
    let plan = plan(
        "stages:
  a:
    environment: host
    services: { db: { image: x, env: { P: \"${{ secrets.DB }}\" } } }
    steps:
      - { run: x, env: { T: \"${{ secrets.TOKEN }}\" } }
      - { run: x, secrets: [OTHER] }
  b: { environment: host, steps: [{ run: x, secrets: [ELSEWHERE] }] }
",
    );
    assert_eq!(plan.jobs[0].secret_names().into_iter().collect::<Vec<_>>(), ["DB", "OTHER", "TOKEN"]);
    assert_eq!(plan.jobs[1].secret_names().into_iter().collect::<Vec<_>>(), ["ELSEWHERE"]);
}

#[test]
fn a_plan_of_an_older_version_is_read() {
    let plan = plan(&format!("stages: {{ a: {{ {HOST} }} }}"));
    let json = serde_json::to_string(&plan).unwrap();
    assert!(!json.contains("kept") && !json.contains("approval") && !json.contains("concurrency"), "{json}");
    assert_eq!(serde_json::from_str::<crate::plan::Plan>(&json).unwrap(), plan);
}

/// lint, then test with two cells, then release; beside them a stage that never runs.
fn of_four_stages() -> crate::plan::Plan {
    plan(&format!(
        "stages:
  lint: {{ {HOST} }}
  never: {{ if: \"false\", {HOST} }}
  test: {{ depends_on: [lint, never], matrix: {{ n: [1, 2], fail_fast: false }}, {HOST} }}
  release: {{ depends_on: [test], if: always(), {HOST} }}
"
    ))
}

fn ended(plan: &crate::plan::Plan, states: &[(&str, Status, &[Status])]) -> RunState {
    let mut state = RunState::of(plan);
    for (stage, status, jobs) in states {
        let position = plan.stages.iter().position(|planned| planned.name == *stage).unwrap();
        state.stages[position].status = *status;
        for (job, status) in plan.stages[position].jobs.iter().zip(*jobs) {
            state.jobs[job.index()].status = *status;
        }
    }
    state
}

#[test]
fn a_retry_of_what_failed_keeps_what_went_well() {
    use Status::{Failure, Skipped, Success};
    let plan = of_four_stages();
    let mut state = ended(
        &plan,
        &[
            ("lint", Success, &[Success]),
            ("never", Skipped, &[Skipped]),
            ("test", Failure, &[Success, Failure]),
            ("release", Success, &[Success]),
        ],
    );
    state.stages[0].outputs.insert("s".into(), json!({ "v": 1 }));
    assert_eq!(retry(&plan, &state, true), Err(RetryError::NotEnded));
    state.status = Failure;
    let again = retry(&plan, &state, true).unwrap();
    let kept: Vec<_> = again.stages.iter().map(|stage| stage.kept.as_ref().map(|kept| kept.status)).collect();
    assert_eq!(kept, [Some(Success), Some(Skipped), None, None], "release needs test, which is executed again");
    let jobs: Vec<_> = again.jobs.iter().map(|job| job.kept.as_ref().map(|kept| kept.status)).collect();
    assert_eq!(jobs, [Some(Success), Some(Skipped), Some(Success), None, None]);
    let fresh = RunState::of(&again);
    assert_eq!(fresh.ended_stages(&again)["lint"]["outputs"]["s"]["v"], 1);
    assert_eq!(retry(&again, &state, false).unwrap(), plan, "the whole run again");
    state.stages.iter_mut().for_each(|stage| stage.status = Success);
    assert_eq!(retry(&plan, &state, true), Err(RetryError::NothingFailed));
}

#[test]
fn what_was_skipped_because_of_others_is_executed_again() {
    use Status::{Cancelled, Skipped, Success};
    let plan = of_four_stages();
    let mut state = ended(
        &plan,
        &[
            ("lint", Cancelled, &[Cancelled]),
            ("never", Skipped, &[Skipped]),
            ("test", Skipped, &[Skipped, Skipped]),
            ("release", Success, &[Success]),
        ],
    );
    state.status = Cancelled;
    state.stages[2].blocked = true;
    let again = retry(&plan, &state, true).unwrap();
    let kept: Vec<_> = again.stages.iter().map(|stage| stage.kept.is_some()).collect();
    assert_eq!(kept, [false, true, false, false]);
}

//! Runs: told in order, stored once, cancelled, lost and recovered.

use std::time::Duration;

use crate::support::{House, completed, log, new_run, outcome, plan, started};
use oxide_core::{
    id::{AgentId, JobIndex, StageIndex, StepIndex},
    outcome::Status,
    protocol::{Acknowledgement, Complete, LinkError, OrchestratorLink, Report},
};
use oxide_orchestrator::OrchestratorError;
use oxide_store::{Location, OwnerId, Store};
use uuid::Uuid;

#[tokio::test]
async fn a_run_of_two_stages_succeeds_and_everything_is_told_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut house = House::open(directory.path()).await;
    let agent = house.agent("box").await;
    let run = new_run(plan(&[("test", &[]), ("release", &[0])], 1));
    let id = run.id;
    assert_eq!(house.orchestrator.submit(run).await.unwrap(), 1);

    let lease = agent.lease().await;
    assert_eq!((lease.pipeline.as_str(), lease.stage.as_str(), lease.run_number), ("build", "test", 1));
    let chunk = log(0, 1, "hello\nworld\n");
    assert_eq!(agent.report(lease.attempt, vec![started(0)], vec![chunk]).await, Acknowledgement::Stored);
    agent.report(lease.attempt, vec![completed(0, Status::Success)], Vec::new()).await;
    let mut done = outcome(Status::Success);
    done.outputs.insert("s0".into(), serde_json::json!({ "version": "1.2" }));
    assert_eq!(agent.complete(lease.attempt, done).await, Acknowledgement::Stored);
    let second = agent.work().await;
    assert_eq!(second.stages["test"]["outputs"]["s0"]["version"], "1.2");
    assert_eq!(second.stages["test"]["status"], "success");

    let summary = house.orchestrator.wait(id).await.unwrap();
    assert_eq!((summary.status, summary.reason, summary.number), (Status::Success, None, 1));
    let expected = [
        "queued",
        "job.0.queued",
        "started",
        "stage.test.started",
        "job.0.started",
        "step.0-0.started",
        "step.0-0.output",
        "step.0-0.completed",
        "job.0.completed",
        "stage.test.completed",
        "job.1.queued",
        "stage.release.started",
        "job.1.started",
        "step.1-0.started",
        "step.1-0.completed",
        "job.1.completed",
        "stage.release.completed",
        "completed",
    ];
    assert_eq!(house.subjects(id).await, expected);

    let stored = house.store.run(id).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.project_dir.as_str()), (Status::Success, "project"));
    let page = house.store.log_page(lease.attempt, StepIndex(0), 1, 10).await.unwrap();
    let lines: Vec<_> = page.lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect();
    assert_eq!(lines, ["hello", "world"]);
    assert!(house.store.steps(id).await.unwrap().iter().all(|step| step.status == Status::Success));
    house.handle.shutdown().await;
    assert!(house.store.owners().await.unwrap().is_empty());
    assert!(matches!(house.orchestrator.wait(id).await, Err(OrchestratorError::Closed)));
}

#[tokio::test]
async fn a_failure_names_its_reason_and_skips_what_follows() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let agent = house.agent("box").await;
    let run = new_run(plan(&[("test", &[]), ("release", &[0])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let lease = agent.lease().await;
    agent.complete(lease.attempt, outcome(Status::Failure)).await;
    let summary = house.orchestrator.wait(id).await.unwrap();
    assert_eq!(summary.status, Status::Failure);
    assert_eq!(summary.reason.unwrap(), "stage `test` failed: step `step 0` is failure");
    let stages = house.store.stages(id).await.unwrap();
    assert_eq!(stages[1].state.reason.as_deref(), Some("stage `test` failed"));
}

#[tokio::test]
async fn messages_that_come_twice_are_stored_once_and_gaps_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let agent = house.agent("box").await;
    let run = new_run(plan(&[("test", &[])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let lease = agent.lease().await;
    let report = agent.next_report(lease.attempt, vec![started(0)], vec![log(0, 1, "once\n")]);
    assert_eq!(agent.link.report(report.clone()).await.unwrap(), Acknowledgement::Stored);
    assert_eq!(agent.link.report(report.clone()).await.unwrap(), Acknowledgement::Duplicate);
    let gap = Report { number: 3, ..report.clone() };
    assert!(matches!(agent.link.report(gap).await, Err(LinkError::Rejected { .. })));
    let unknown = Report { number: 2, changes: vec![started(7)], ..report.clone() };
    assert!(matches!(agent.link.report(unknown).await, Err(LinkError::Rejected { .. })));
    assert_eq!(agent.complete(lease.attempt, outcome(Status::Success)).await, Acknowledgement::Stored);
    assert_eq!(agent.complete(lease.attempt, outcome(Status::Success)).await, Acknowledgement::Duplicate);
    assert_eq!(agent.link.report(report.clone()).await.unwrap(), Acknowledgement::Duplicate);
    let stranger = AgentId(Uuid::now_v7());
    let foreign = Report { agent: stranger, ..report };
    assert_eq!(agent.link.report(foreign).await.unwrap(), Acknowledgement::Stale);
    assert_eq!(house.store.log_line_count(lease.attempt, StepIndex(0)).await.unwrap(), 1);
    assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Success);
    let steps = house.store.steps(id).await.unwrap();
    assert_eq!(steps[0].status, Status::Failure, "a step that its agent never ended did not succeed");
}

#[tokio::test]
async fn a_silent_agent_loses_its_attempt_and_its_late_report_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let silent = house.agent("silent").await;
    let run = new_run(plan(&[("test", &[])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let first = silent.lease().await;
    silent.report(first.attempt, vec![started(0)], Vec::new()).await;
    house.pass(31_000);
    let other = house.agent("other").await;
    let second = other.lease().await;
    assert_eq!(second.attempt.number, 2);
    let late = silent.report(first.attempt, vec![completed(0, Status::Success)], Vec::new()).await;
    assert_eq!(late, Acknowledgement::Stale);
    let answer = silent.heartbeat(vec![first.attempt]).await;
    assert_eq!(answer.cancel[0].attempt, first.attempt, "an agent that comes back is told to stop");
    assert_eq!(silent.complete(first.attempt, outcome(Status::Success)).await, Acknowledgement::Stale);
    other.complete(second.attempt, outcome(Status::Success)).await;
    assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Success);
    let attempts = house.store.attempts(id).await.unwrap();
    assert_eq!(attempts[0].reason.as_deref(), Some("agent `silent` was not heard of for 30 s"));
    assert_eq!((attempts[0].status, attempts[1].status), (Status::Failure, Status::Success));
    let steps = house.store.steps(id).await.unwrap();
    assert_eq!((steps.len(), steps[0].status), (1, Status::Failure));
}

#[tokio::test]
async fn a_cancel_reaches_the_heartbeat_that_waits() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let agent = house.agent("box").await;
    let run = new_run(plan(&[("test", &[]), ("release", &[0])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let lease = agent.lease().await;
    agent.report(lease.attempt, vec![started(0)], Vec::new()).await;
    let heartbeat = agent.heartbeat(vec![lease.attempt]);
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        house.orchestrator.cancel(id, "cancelled by Ctrl-C").await.unwrap();
    };
    let began = std::time::Instant::now();
    let (answer, ()) = tokio::join!(heartbeat, cancel);
    // One that nothing happens to is held for 10 s.
    assert!(began.elapsed() < Duration::from_secs(9));
    assert_eq!(answer.cancel.len(), 1);
    assert_eq!((answer.cancel[0].status, answer.cancel[0].reason.as_str()), (Status::Cancelled, "cancelled by Ctrl-C"));
    agent.complete(lease.attempt, outcome(Status::Cancelled)).await;
    let summary = house.orchestrator.wait(id).await.unwrap();
    assert_eq!((summary.status, summary.reason.as_deref()), (Status::Cancelled, Some("cancelled by Ctrl-C")));
    house.orchestrator.cancel(id, "again").await.unwrap();
    let unknown = new_run(plan(&[], 0)).id;
    assert!(matches!(house.orchestrator.cancel(unknown, "x").await, Err(OrchestratorError::NoSuchRun(_))));
}

#[tokio::test]
async fn a_lease_that_nobody_takes_any_more_gives_the_job_to_another() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let gone = house.agent("gone").await;
    // The request is dropped while it waits.
    tokio::time::timeout(Duration::from_millis(50), gone.link.lease(gone.id)).await.unwrap_err();
    let run = new_run(plan(&[("test", &[])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let agent = house.agent("box").await;
    assert_eq!(agent.work().await.attempt.number, 1, "it was never given to the one who left");
    assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Success);
}

#[tokio::test]
async fn a_job_that_no_agent_can_take_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    house.agent("box").await;
    let mut plan = (*plan(&[("test", &[])], 1)).clone();
    plan.jobs[0].runs_on = vec!["gpu".into()];
    let run = new_run(plan.into());
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let attempts = house.store.attempts(id).await.unwrap();
    assert_eq!(attempts[0].reason.as_deref(), Some("no agent with labels [gpu]; agents: [linux]"));
}

#[tokio::test]
async fn a_stage_that_takes_too_long_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let house = House::open(directory.path()).await;
    let agent = house.agent("box").await;
    let mut plan = (*plan(&[("test", &[])], 1)).clone();
    plan.stages[0].timeout_ms = 5_000;
    let run = new_run(plan.into());
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let lease = agent.lease().await;
    house.pass(5_000);
    let answer = agent.heartbeat(vec![lease.attempt]).await;
    assert_eq!(answer.cancel[0].status, Status::Timeout);
    agent.complete(lease.attempt, outcome(Status::Timeout)).await;
    let summary = house.orchestrator.wait(id).await.unwrap();
    assert_eq!(summary.status, Status::Timeout);
    assert!(summary.reason.unwrap().contains("stage `test` took longer than 5 s"));
}

#[tokio::test]
async fn a_crash_is_told_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let (id, owner) = {
        let house = House::open(directory.path()).await;
        let agent = house.agent("box").await;
        let run = new_run(plan(&[("test", &[]), ("release", &[0])], 2));
        let id = run.id;
        house.orchestrator.submit(run).await.unwrap();
        let lease = agent.lease().await;
        agent.report(lease.attempt, vec![started(0)], Vec::new()).await;
        (id, house.owner)
    };
    let mut house = House::open(directory.path()).await;
    let dead: Vec<_> = house.store.owners().await.unwrap().iter().map(|owner| owner.id).collect();
    assert!(dead.contains(&owner) && dead.contains(&house.owner));
    house.handle.recover(&[owner]).await.unwrap();
    house.handle.recover(&[owner]).await.unwrap();
    let summary = house.orchestrator.wait(id).await.unwrap();
    let pid = std::process::id();
    let reason = format!("interrupted: the process that ran it (pid {pid}) was killed or crashed");
    assert_eq!((summary.status, summary.reason.as_deref()), (Status::Failure, Some(reason.as_str())));
    assert_eq!(house.store.steps(id).await.unwrap()[0].status, Status::Failure);
    assert_eq!(house.store.attempts(id).await.unwrap()[0].reason.as_deref(), Some(reason.as_str()));
    assert!(house.store.stages(id).await.unwrap().iter().all(|stage| stage.state.status.is_final()));
    assert_eq!(house.store.owners().await.unwrap().len(), 1);
    let told = house.subjects(id).await;
    assert_eq!(told.last().map(String::as_str), Some("completed"));
    assert!(told.contains(&"step.0-0.completed".to_owned()));
}

#[tokio::test]
async fn an_owner_that_comes_back_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let owner = OwnerId(Uuid::now_v7());
    let house = House::open_as(directory.path(), owner).await;
    let mut agent = house.agent("box").await;
    let run = new_run(plan(&[("test", &[]), ("release", &[0])], 1));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    let lease = agent.lease().await;
    agent.report(lease.attempt, vec![started(0)], Vec::new()).await;
    house.handle.shutdown().await;
    let house = House::open_as(directory.path(), owner).await;
    agent.link = house.orchestrator.clone();
    let done = agent.report(lease.attempt, vec![completed(0, Status::Success)], Vec::new()).await;
    assert_eq!(done, Acknowledgement::Stored, "the same attempt goes on, its reports counted on");
    agent.complete(lease.attempt, outcome(Status::Success)).await;
    agent.work().await;
    assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_orchestrators_work_on_one_file_at_the_same_time() {
    let directory = tempfile::tempdir().unwrap();
    let work = |directory: std::path::PathBuf| async move {
        let house = House::open(&directory).await;
        let agent = house.agent("box").await;
        let mut numbers = Vec::new();
        for _ in 0..20 {
            let run = new_run(plan(&[("test", &[])], 3));
            let id = run.id;
            numbers.push(house.orchestrator.submit(run).await.unwrap());
            agent.work().await;
            assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Success);
        }
        house.handle.shutdown().await;
        numbers
    };
    let path = directory.path().to_owned();
    let (one, two) = tokio::join!(tokio::spawn(work(path.clone())), tokio::spawn(work(path.clone())));
    let mut numbers: Vec<_> = one.unwrap().into_iter().chain(two.unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let store = Store::open(&Location::from(path.join("oxide.db"))).await.unwrap();
    assert_eq!(store.list_runs(None, 100).await.unwrap().len(), 40);
}

#[tokio::test]
async fn a_run_of_another_process_cannot_be_cancelled_here() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (House::open(directory.path()).await, House::open(directory.path()).await);
    let run = new_run(plan(&[("test", &[])], 1));
    let id = run.id;
    there.orchestrator.submit(run).await.unwrap();
    assert!(matches!(here.orchestrator.cancel(id, "x").await, Err(OrchestratorError::NotOurs(_))));
    let nobody = Complete {
        agent: AgentId(Uuid::now_v7()),
        attempt: oxide_core::id::AttemptId { run: id, job: JobIndex(0), number: 1 },
        at: oxide_core::time::Timestamp(0),
        outcome: outcome(Status::Success),
    };
    assert_eq!(here.orchestrator.complete(nobody).await.unwrap(), Acknowledgement::Stale);
    assert_eq!(there.store.stages(id).await.unwrap()[0].stage, StageIndex(0));
}

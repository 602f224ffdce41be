//! How runs are shown. Pure: rows in, the types of the API out.

use oxide_core::{
    api::{
        plugin::PluginRef,
        run::{Attempt, Job, Run, RunDetails, RunGit, Stage, Step},
    },
    id::{ApprovalId, JobIndex, RunId, StageIndex, StepIndex},
    outcome::Status,
    plan::{Plan, PluginPin},
};
use oxide_store::{ApprovalFilter, AttemptRow, JobRow, PageRequest, RunRow, StageRow, StepRow};

use crate::{error::ApiError, state::ServerState};

/// A run as it stands in lists.
pub(super) fn run(row: RunRow) -> Run {
    let origin = row.origin;
    Run {
        id: row.id,
        number: row.number,
        project: origin.project,
        pipeline: origin.pipeline,
        pipeline_name: row.pipeline,
        pipeline_version: origin.version,
        status: row.status,
        reason: row.reason,
        trigger: origin.trigger.unwrap_or_default(),
        git: RunGit { reference: origin.git_ref, branch: origin.git_branch, sha: origin.git_sha },
        priority: origin.priority,
        created_by: origin.created_by,
        retry_of: origin.retry_of,
        created_at: row.created_at,
        started_at: row.started_at,
        ended_at: row.ended_at,
        duration_ms: row.started_at.zip(row.ended_at).map(|(start, end)| end.millis_since(start)),
    }
}

/// A plugin by name and digest.
pub(super) fn plugin(pin: &PluginPin) -> PluginRef {
    PluginRef { reference: pin.reference.clone(), digest: pin.digest.clone() }
}

/// What stands below a run.
struct Parts {
    stages: Vec<StageRow>,
    jobs: Vec<JobRow>,
    attempts: Vec<AttemptRow>,
    steps: Vec<StepRow>,
    approvals: Vec<(StageIndex, ApprovalId)>,
}

/// The approvals of a run, if its plan has any.
async fn approvals_of(state: &ServerState, run: RunId, plan: &Plan) -> Result<Vec<(StageIndex, ApprovalId)>, ApiError> {
    if plan.stages.iter().all(|stage| stage.approval.is_none()) {
        return Ok(Vec::new());
    }
    let filter = ApprovalFilter { run: Some(run), ..ApprovalFilter::default() };
    let found = state.store.approvals(&filter, &PageRequest::first(200)).await?;
    Ok(found.items.into_iter().map(|found| (found.approval.stage, found.approval.id)).collect())
}

/// A run with everything below it, as it is stored now.
pub(crate) async fn of_row(state: &ServerState, row: RunRow) -> Result<RunDetails, ApiError> {
    let (plan, stages) = (state.store.plan(row.id).await?, state.store.stages(row.id).await?);
    let parts = Parts {
        stages,
        jobs: state.store.jobs(row.id).await?,
        attempts: state.store.attempts(row.id).await?,
        steps: state.store.steps(row.id).await?,
        approvals: approvals_of(state, row.id, &plan).await?,
    };
    Ok(details(row, &plan, parts))
}

fn details(row: RunRow, plan: &Plan, parts: Parts) -> RunDetails {
    let stages: Vec<Stage> = parts.stages.iter().map(|stage| self::stage(plan, stage, &parts)).collect();
    let mut about = run(row);
    if about.reason.is_none() && !about.status.is_final() {
        about.reason = what_run_waits_for(&stages);
    }
    RunDetails { about, stages }
}

/// Why a run does not go on; none if something of it is executed.
fn what_run_waits_for(stages: &[Stage]) -> Option<String> {
    if stages.iter().flat_map(|stage| &stage.jobs).any(|job| job.status == Status::Running) {
        return None;
    }
    stages.iter().find_map(|stage| match stage.status {
        Status::WaitingApproval => Some(format!("stage `{}` waits for an approval", stage.name)),
        _ => what_jobs_wait_for(&stage.jobs),
    })
}

/// Why the first job that waits for an agent waits.
fn what_jobs_wait_for(jobs: &[Job]) -> Option<String> {
    jobs.iter().filter(|job| job.status == Status::Queued).find_map(|job| job.reason.clone())
}

/// Why a job waits for an agent: its newest attempt knows.
fn what_job_waits_for(status: Status, attempts: &[Attempt]) -> Option<String> {
    if status != Status::Queued {
        return None;
    }
    attempts.iter().max_by_key(|attempt| attempt.attempt).and_then(|attempt| attempt.reason.clone())
}

fn stage(plan: &Plan, row: &StageRow, parts: &Parts) -> Stage {
    let planned = plan.stage(row.stage);
    let jobs: Vec<Job> =
        parts.jobs.iter().filter(|job| job.stage == row.stage).map(|row| job(plan, row, parts)).collect();
    Stage {
        name: row.name.clone(),
        depends_on: planned.depends_on.iter().map(|on| plan.stage(on.stage).name.clone()).collect(),
        status: row.state.status,
        reason: row.state.reason.clone().or_else(|| what_jobs_wait_for(&jobs)),
        approval: parts.approvals.iter().find(|(stage, _)| *stage == row.stage).map(|(_, id)| *id),
        started_at: row.state.started_at,
        ended_at: row.state.ended_at,
        jobs,
    }
}

fn job(plan: &Plan, row: &JobRow, parts: &Parts) -> Job {
    let planned = plan.job(row.job);
    let attempts = parts.attempts.iter().filter(|attempt| attempt.id.job == row.job);
    let attempts: Vec<Attempt> = attempts.map(|row| attempt(plan, row, parts)).collect();
    Job {
        job: row.job,
        name: row.name.clone(),
        matrix: planned.matrix.clone(),
        runs_on: planned.runs_on.clone(),
        status: row.state.status,
        reason: row.state.reason.clone().or_else(|| what_job_waits_for(row.state.status, &attempts)),
        ended_at: row.state.ended_at,
        attempts,
    }
}

fn attempt(plan: &Plan, row: &AttemptRow, parts: &Parts) -> Attempt {
    let known = |step: StepIndex| parts.steps.iter().find(|found| found.attempt == row.id && found.step == step);
    let count = u32::try_from(plan.job(row.id.job).steps.len()).unwrap_or(u32::MAX);
    let steps =
        (0..count).map(StepIndex).map(|index| step(plan, row.id.job, index, known(index), row.status)).collect();
    Attempt {
        attempt: row.id.number,
        agent: row.agent,
        status: row.status,
        reason: row.reason.clone(),
        queued_at: row.queued_at,
        started_at: row.started_at,
        ended_at: row.ended_at,
        steps,
    }
}

/// A step. One that has no row waits for its turn, or was never executed because its attempt ended before.
fn step(plan: &Plan, job: JobIndex, index: StepIndex, row: Option<&StepRow>, attempt: Status) -> Step {
    let planned = &plan.job(job).steps[index.index()];
    let without_row = if attempt.is_final() { Status::Skipped } else { Status::Pending };
    Step {
        step: index,
        id: planned.id.clone(),
        name: row.map_or_else(|| planned.name.clone(), |row| row.name.clone()),
        plugin: plugin(&planned.plugin),
        status: row.map_or(without_row, |row| row.status),
        reason: row.and_then(|row| row.reason.clone()),
        started_at: row.map(|row| row.started_at),
        ended_at: row.and_then(|row| row.ended_at),
        record: row.and_then(|row| row.record.clone()),
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::time::Timestamp;

    use super::*;

    fn attempt(number: u32, reason: Option<&str>) -> Attempt {
        Attempt {
            attempt: number,
            agent: None,
            status: Status::Queued,
            reason: reason.map(str::to_owned),
            queued_at: Timestamp(0),
            started_at: None,
            ended_at: None,
            steps: Vec::new(),
        }
    }

    fn job(status: Status, reason: Option<&str>) -> Job {
        Job {
            job: JobIndex(0),
            name: "build".to_owned(),
            matrix: serde_json::Map::new(),
            runs_on: Vec::new(),
            status,
            reason: reason.map(str::to_owned),
            ended_at: None,
            attempts: Vec::new(),
        }
    }

    fn stage(status: Status, jobs: Vec<Job>) -> Stage {
        Stage {
            name: "build".to_owned(),
            depends_on: Vec::new(),
            status,
            reason: None,
            approval: None,
            started_at: None,
            ended_at: None,
            jobs,
        }
    }

    #[test]
    fn a_job_that_waits_says_what_its_newest_attempt_waits_for() {
        let attempts = [attempt(1, Some("the agent was lost")), attempt(2, Some("no agent"))];
        assert_eq!(what_job_waits_for(Status::Queued, &attempts).as_deref(), Some("no agent"));
        assert_eq!(what_job_waits_for(Status::Running, &attempts), None);
        assert_eq!(what_job_waits_for(Status::Queued, &[]), None);
    }

    #[test]
    fn a_run_says_what_it_waits_for_unless_something_of_it_runs() {
        let ended = || stage(Status::Failure, vec![job(Status::Failure, Some("step `x` failed"))]);
        let waits = || stage(Status::Queued, vec![job(Status::Queued, None), job(Status::Queued, Some("no agent"))]);
        assert_eq!(what_run_waits_for(&[ended(), waits()]).as_deref(), Some("no agent"));
        assert_eq!(what_run_waits_for(&[waits(), stage(Status::Running, vec![job(Status::Running, None)])]), None);
        let asks = stage(Status::WaitingApproval, vec![job(Status::Pending, None)]);
        assert_eq!(what_run_waits_for(&[ended(), asks]).as_deref(), Some("stage `build` waits for an approval"));
    }
}

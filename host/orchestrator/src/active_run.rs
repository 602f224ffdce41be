//! A run that has not ended: its machine, and the rows that follow from what the machine says.
//!
//! A run lives in a time of its own: that of the wall when it came here, and from then on as much later as time has passed. If
//! the wall clock is set, runs that go on lag behind it (or are ahead), and their deadlines stay where they were.

mod approvals;
mod steps;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use oxide_core::{
    event::{Event, EventKind},
    id::{AgentId, AttemptId, JobIndex, RunId, StageIndex, StepIndex},
    outcome::Status,
    plan::Plan,
    protocol::{Cancellation, Lease},
    run::{DecideCondition, RunAction, RunEvent, RunMachine, RunState},
    secret::LeasedSecrets,
    time::Timestamp,
};
use oxide_store::{AttemptRow, JobRow, RunOrigin, RunRow, StageRow, StepRow, StoreError, Transaction, WriteBatch};

use crate::{
    NewRun, RunSummary,
    concurrency::{GroupKey, Member},
    queue::Need,
    turn::{Effects, EndedAttempt},
};
pub(crate) use approvals::OpenApproval;

pub(crate) struct ActiveRun {
    pub id: RunId,
    pub number: u64,
    pub origin: RunOrigin,
    pub machine: RunMachine,
    /// Attempts that have not ended.
    pub attempts: HashMap<(JobIndex, u32), Attempt>,
    /// Stages that wait for people.
    pub approvals: HashMap<StageIndex, OpenApproval>,
    /// The runs that it repeats, newest first.
    retries: Vec<RunId>,
    /// How far its time is behind that of the wall, in milliseconds.
    lag_ms: i64,
}

pub(crate) struct Attempt {
    pub row: AttemptRow,
    /// Steps that have begun and not ended.
    pub running_steps: BTreeMap<StepIndex, StepRow>,
    /// The number of the line that comes next, for each step that has some.
    pub next_lines: BTreeMap<StepIndex, u64>,
}

impl Attempt {
    fn new(row: AttemptRow) -> Attempt {
        Attempt { row, running_steps: BTreeMap::new(), next_lines: BTreeMap::new() }
    }
}

impl ActiveRun {
    /// A run that was just stored: writes its stages and jobs. It does not begin yet.
    pub(crate) fn create(
        run: NewRun,
        number: u64,
        retries: Vec<RunId>,
        decide: DecideCondition,
        (now, batch): (Timestamp, &mut WriteBatch),
    ) -> ActiveRun {
        let NewRun { id, plan, origin, .. } = run;
        let pipeline = plan.pipeline.clone();
        let machine = RunMachine::new(plan.clone(), decide);
        let (attempts, approvals) = (HashMap::new(), HashMap::new());
        let run = ActiveRun { id, number, origin, machine, attempts, approvals, retries, lag_ms: 0 };
        run.tell(now, EventKind::RunQueued { pipeline, number }, batch);
        for index in 0..plan.stages.len() {
            batch.stage(run.stage_row(StageIndex(index as u32)));
        }
        for index in 0..plan.jobs.len() {
            batch.job(run.job_row(JobIndex(index as u32)));
        }
        run
    }

    /// A run as it was stored.
    pub(crate) async fn load(
        transaction: &mut Transaction,
        row: &RunRow,
        decide: DecideCondition,
    ) -> Result<ActiveRun, StoreError> {
        let (plan, mut state): (Plan, RunState) = transaction.run_state(row.id).await?;
        let approvals = approvals::load(transaction, row.id, &mut state).await?;
        let machine = RunMachine::restore(Arc::new(plan), state, decide);
        let mut attempts = HashMap::new();
        for row in transaction.attempts(row.id).await? {
            if !row.status.is_final() {
                let key = (row.id.job, row.id.number);
                let next_lines = match row.agent {
                    Some(_) => transaction.next_lines(row.id).await?,
                    None => BTreeMap::new(),
                };
                attempts.insert(key, Attempt { next_lines, ..Attempt::new(row) });
            }
        }
        for step in transaction.running_steps(row.id).await? {
            if let Some(attempt) = attempts.get_mut(&(step.attempt.job, step.attempt.number)) {
                attempt.running_steps.insert(step.step, step);
            }
        }
        let retries = Vec::new();
        let (id, number, origin) = (row.id, row.number, row.origin.clone());
        Ok(ActiveRun { id, number, origin, machine, attempts, approvals, retries, lag_ms: 0 })
    }

    /// Whose artifacts its jobs may download, too.
    pub(crate) fn set_retries(&mut self, retries: Vec<RunId>) {
        self.retries = retries;
    }

    /// Goes on in the time of the run that this one was until it was read again.
    pub(crate) fn keep_time_of(&mut self, known: &ActiveRun) {
        self.lag_ms = known.lag_ms;
    }

    /// The wall clock was set.
    pub(crate) fn stay_behind(&mut self, jump_ms: i64) {
        self.lag_ms = self.lag_ms.saturating_add(jump_ms);
    }

    /// What time it is for this run.
    pub(crate) fn time(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_sub(self.lag_ms))
    }

    /// The concurrency group that it belongs to, and as what.
    pub(crate) fn membership(&self) -> Option<(GroupKey, Member)> {
        let plan = self.machine.plan();
        let concurrency = plan.concurrency.as_ref()?;
        let key = GroupKey { project: self.origin.project, name: concurrency.group.clone() };
        let member = Member {
            run: self.id,
            pipeline: plan.pipeline.clone(),
            number: self.number,
            priority: self.origin.priority,
            limit: concurrency.limit,
            cancel_in_progress: concurrency.cancel_in_progress,
        };
        Some((key, member))
    }

    /// What a job of it needs of an agent.
    pub(crate) fn need(&self, job: JobIndex) -> Need {
        let planned = self.machine.plan().job(job);
        Need { labels: planned.runs_on.iter().cloned().collect(), capabilities: planned.needs() }
    }

    /// Lets the machine decide, and collects what is to be written and done. `now` is the time on the wall.
    pub(crate) fn apply(&mut self, now: Timestamp, event: RunEvent, batch: &mut WriteBatch, effects: &mut Effects) {
        let now = self.time(now);
        let actions = self.machine.apply(now, event);
        let (mut run, mut stages, mut jobs) = (false, BTreeSet::new(), BTreeSet::new());
        for action in actions {
            match action {
                RunAction::QueueJob { job, attempt } => self.queue(now, job, attempt, batch, effects),
                RunAction::EndAttempt { job, attempt, status, reason } => {
                    self.end_attempt(now, (job, attempt), status, reason, batch, effects);
                }
                RunAction::CancelAttempt { job, attempt, agent, status, reason, at_once } => {
                    let attempt = self.attempt_id(job, attempt);
                    effects.cancellations.push((agent, Cancellation { attempt, status, reason, at_once }));
                }
                RunAction::RequestApproval { stage, approvers, minimum, expires_at } => {
                    self.request_approval(now, stage, (approvers, minimum, expires_at), batch);
                }
                RunAction::EndApproval { stage, status, reason } => {
                    self.end_approval(now, stage, status, reason, batch);
                }
                RunAction::SetDeadline(at) => effects.deadlines.push((at.millis_since(now), self.id)),
                RunAction::RunChanged => run = true,
                RunAction::StageChanged(stage) => {
                    stages.insert(stage);
                }
                RunAction::JobChanged(job) => {
                    jobs.insert(job);
                }
                RunAction::Emit(kind) => self.tell(now, kind, batch),
            }
        }
        if run {
            batch.run(self.id, self.machine.state().into());
        }
        for stage in stages {
            batch.stage(self.stage_row(stage));
        }
        for job in jobs {
            batch.job(self.job_row(job));
        }
        if run && self.machine.is_final() {
            effects.finished_runs.push(self.summary());
        }
    }

    /// Gives a queued attempt to an agent. Its secrets come later.
    pub(crate) fn lease(
        &mut self,
        now: Timestamp,
        (job, attempt): (JobIndex, u32),
        agent: AgentId,
        batch: &mut WriteBatch,
        effects: &mut Effects,
    ) -> Lease {
        self.apply(now, RunEvent::AttemptStarted { job, attempt, agent }, batch, effects);
        let started_at = self.time(now);
        if let Some(known) = self.attempts.get_mut(&(job, attempt)) {
            known.row.agent = Some(agent);
            known.row.status = Status::Running;
            known.row.reason = None;
            known.row.started_at = Some(started_at);
            batch.attempt(known.row.clone());
        }
        let plan = self.machine.plan();
        let planned = plan.job(job);
        Lease {
            attempt: self.attempt_id(job, attempt),
            run_number: self.number,
            pipeline: plan.pipeline.clone(),
            stage: plan.stage(planned.stage).name.clone(),
            job: planned.clone(),
            context: plan.context.clone(),
            stages: self.machine.state().ended_stages(plan),
            secrets: LeasedSecrets::default(),
            artifacts_of: self.retries.clone(),
        }
    }

    /// Writes down why an attempt waits.
    pub(crate) fn say_why_it_waits(&mut self, id: AttemptId, reason: Option<String>, batch: &mut WriteBatch) {
        if let Some(attempt) = self.attempts.get_mut(&(id.job, id.number))
            && attempt.row.reason != reason
        {
            attempt.row.reason = reason;
            batch.attempt(attempt.row.clone());
        }
    }

    fn queue(&mut self, now: Timestamp, job: JobIndex, attempt: u32, batch: &mut WriteBatch, effects: &mut Effects) {
        let row = AttemptRow {
            id: self.attempt_id(job, attempt),
            agent: None,
            status: Status::Queued,
            reason: None,
            queued_at: now,
            started_at: None,
            ended_at: None,
            last_report: 0,
        };
        effects.queued.push(row.id);
        batch.attempt(row.clone());
        self.attempts.insert((job, attempt), Attempt::new(row));
    }

    /// Ends an attempt, and the steps that its agent did not end.
    fn end_attempt(
        &mut self,
        now: Timestamp,
        key: (JobIndex, u32),
        status: Status,
        reason: Option<String>,
        batch: &mut WriteBatch,
        effects: &mut Effects,
    ) {
        let Some(Attempt { mut row, running_steps, .. }) = self.attempts.remove(&key) else { return };
        for step in running_steps.into_values() {
            self.cut_off(now, step, status, reason.as_deref(), batch);
        }
        row.status = status;
        row.reason = reason;
        row.ended_at = Some(now);
        effects.ended.push(EndedAttempt { id: row.id, agent: row.agent });
        batch.attempt(row);
    }

    pub(crate) fn summary(&self) -> RunSummary {
        let state = self.machine.state();
        RunSummary {
            id: self.id,
            number: self.number,
            status: state.status,
            reason: state.reason.clone(),
            started_at: state.started_at,
            ended_at: state.ended_at,
        }
    }

    pub(crate) fn attempt_id(&self, job: JobIndex, number: u32) -> AttemptId {
        AttemptId { run: self.id, job, number }
    }

    /// Tells the world, with what is written.
    pub(crate) fn tell(&self, at: Timestamp, kind: EventKind, batch: &mut WriteBatch) {
        batch.event(Event::of_run(self.id, self.origin.project, at, kind));
    }

    fn stage_row(&self, stage: StageIndex) -> StageRow {
        let state = self.machine.state().stages[stage.index()].clone();
        StageRow { run: self.id, stage, name: self.machine.plan().stage(stage).name.clone(), state }
    }

    fn job_row(&self, job: JobIndex) -> JobRow {
        let planned = self.machine.plan().job(job);
        let state = self.machine.state().jobs[job.index()].clone();
        JobRow { run: self.id, job, stage: planned.stage, name: planned.name.clone(), state }
    }
}

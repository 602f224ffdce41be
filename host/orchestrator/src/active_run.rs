//! A run that has not ended: its machine, and the rows that follow from what the machine says.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use oxide_core::{
    effects::StepEffects,
    event::{Event, EventKind, StepRecord},
    id::{AgentId, AttemptId, JobIndex, RunId, StageIndex, StepIndex},
    limit::Usage,
    outcome::{Failure, FailureCause, Status},
    plan::Plan,
    protocol::{Cancellation, Lease, StepChange, StepChangeKind},
    run::{DecideCondition, RunAction, RunEvent, RunMachine, RunState},
    time::Timestamp,
};
use oxide_store::{AttemptRow, JobRow, RunRow, StageRow, StepRow, StoreError, Transaction, WriteBatch};

use crate::{
    RunSummary,
    turn::{Effects, EndedAttempt},
};

pub(crate) struct ActiveRun {
    pub id: RunId,
    pub number: u64,
    pub machine: RunMachine,
    /// Attempts that have not ended.
    pub attempts: HashMap<(JobIndex, u32), Attempt>,
}

pub(crate) struct Attempt {
    pub row: AttemptRow,
    /// Steps that have begun and not ended.
    pub running_steps: BTreeMap<StepIndex, StepRow>,
}

impl ActiveRun {
    /// A run that was just stored: writes its stages and jobs and begins.
    pub(crate) fn begin(
        id: RunId,
        number: u64,
        plan: Arc<Plan>,
        decide: DecideCondition,
        (now, batch, effects): (Timestamp, &mut WriteBatch, &mut Effects),
    ) -> ActiveRun {
        let pipeline = plan.pipeline.clone();
        let machine = RunMachine::new(plan.clone(), decide);
        let mut run = ActiveRun { id, number, machine, attempts: HashMap::new() };
        batch.event(Event { run: id, at: now, kind: EventKind::RunQueued { pipeline, number } });
        for index in 0..plan.stages.len() {
            batch.stage(run.stage_row(StageIndex(index as u32)));
        }
        for index in 0..plan.jobs.len() {
            batch.job(run.job_row(JobIndex(index as u32)));
        }
        run.apply(now, RunEvent::Start, batch, effects);
        run
    }

    /// A run as it was stored. The second part is what its attempts wait for.
    pub(crate) async fn load(
        transaction: &mut Transaction,
        row: &RunRow,
        decide: DecideCondition,
    ) -> Result<ActiveRun, StoreError> {
        let (plan, state): (Plan, RunState) = transaction.run_state(row.id).await?;
        let machine = RunMachine::restore(Arc::new(plan), state, decide);
        let mut attempts = HashMap::new();
        for row in transaction.attempts(row.id).await? {
            if !row.status.is_final() {
                let key = (row.id.job, row.id.number);
                attempts.insert(key, Attempt { row, running_steps: BTreeMap::new() });
            }
        }
        for step in transaction.running_steps(row.id).await? {
            if let Some(attempt) = attempts.get_mut(&(step.attempt.job, step.attempt.number)) {
                attempt.running_steps.insert(step.step, step);
            }
        }
        Ok(ActiveRun { id: row.id, number: row.number, machine, attempts })
    }

    /// Lets the machine decide, and collects what is to be written and done.
    pub(crate) fn apply(&mut self, now: Timestamp, event: RunEvent, batch: &mut WriteBatch, effects: &mut Effects) {
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
                RunAction::SetDeadline(at) => effects.deadlines.push((at, self.id)),
                RunAction::RunChanged => run = true,
                RunAction::StageChanged(stage) => {
                    stages.insert(stage);
                }
                RunAction::JobChanged(job) => {
                    jobs.insert(job);
                }
                RunAction::Emit(kind) => batch.event(Event { run: self.id, at: now, kind }),
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

    /// Gives a queued attempt to an agent.
    pub(crate) fn lease(
        &mut self,
        now: Timestamp,
        (job, attempt): (JobIndex, u32),
        agent: AgentId,
        batch: &mut WriteBatch,
        effects: &mut Effects,
    ) -> Lease {
        self.apply(now, RunEvent::AttemptStarted { job, attempt, agent }, batch, effects);
        if let Some(known) = self.attempts.get_mut(&(job, attempt)) {
            known.row.agent = Some(agent);
            known.row.status = Status::Running;
            known.row.reason = None;
            known.row.started_at = Some(now);
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
        }
    }

    /// Writes a change of a step of a running attempt.
    pub(crate) fn change_step(&mut self, id: AttemptId, change: StepChange, batch: &mut WriteBatch) {
        let (job, number, step, at) = (id.job, id.number, change.step, change.at);
        let name = self.step_name(job, step);
        let Some(attempt) = self.attempts.get_mut(&(job, number)) else { return };
        let kind = match change.kind {
            StepChangeKind::Started { try_number } => {
                let row = StepRow {
                    attempt: id,
                    step,
                    name,
                    status: Status::Running,
                    reason: None,
                    try_number,
                    started_at: at,
                    ended_at: None,
                    record: None,
                };
                attempt.running_steps.insert(step, row.clone());
                batch.step(row);
                EventKind::StepStarted { job, attempt: number, step, try_number }
            }
            StepChangeKind::Completed(record) => {
                attempt.running_steps.remove(&step);
                batch.step(ended_step(id, step, name, record.clone()));
                EventKind::StepCompleted { job, attempt: number, step, record }
            }
        };
        batch.event(Event { run: self.id, at, kind });
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
        self.attempts.insert((job, attempt), Attempt { row, running_steps: BTreeMap::new() });
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
        let Some(Attempt { mut row, running_steps }) = self.attempts.remove(&key) else { return };
        for (step, running) in running_steps {
            let record = Box::new(cut_off(&self.machine, key.0, &running, now, status, reason.as_deref()));
            batch.step(ended_step(row.id, step, running.name, record.clone()));
            let kind = EventKind::StepCompleted { job: key.0, attempt: key.1, step, record };
            batch.event(Event { run: self.id, at: now, kind });
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

    fn step_name(&self, job: JobIndex, step: StepIndex) -> String {
        self.machine.plan().job(job).steps.get(step.index()).map(|step| step.name.clone()).unwrap_or_default()
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

fn ended_step(attempt: AttemptId, step: StepIndex, name: String, record: Box<StepRecord>) -> StepRow {
    StepRow {
        attempt,
        step,
        name,
        status: record.status,
        reason: record.reason.clone().or_else(|| record.failure.as_ref().map(|failure| failure.message.clone())),
        try_number: record.try_number,
        started_at: record.started_at,
        ended_at: Some(record.ended_at),
        record: Some(record),
    }
}

/// What is known of a step whose attempt ended without it.
fn cut_off(
    machine: &RunMachine,
    job: JobIndex,
    step: &StepRow,
    now: Timestamp,
    status: Status,
    reason: Option<&str>,
) -> StepRecord {
    let status = if matches!(status, Status::Cancelled | Status::Timeout) { status } else { Status::Failure };
    let reason = reason.unwrap_or("its agent did not say how it ended").to_owned();
    let failure = (status == Status::Failure).then(|| Failure::new(FailureCause::AgentLost, reason.clone()));
    let limits = machine.plan().job(job).steps.get(step.step.index()).map(|step| step.limits.clone());
    StepRecord {
        status,
        reason: Some(reason),
        failure,
        try_number: step.try_number,
        started_at: step.started_at,
        ended_at: now,
        usage: Usage { wall_us: now.millis_since(step.started_at).saturating_mul(1000), ..Usage::default() },
        limits: limits.unwrap_or_default(),
        effects: StepEffects::default(),
        outputs: serde_json::Map::new(),
        annotations: Vec::new(),
        summary: String::new(),
    }
}

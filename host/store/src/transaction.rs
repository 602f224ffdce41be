//! Writes: whole rows and events, collected and then written in one go.

use std::{collections::BTreeMap, sync::Arc};

use oxide_core::{
    event::Event,
    id::{AgentId, ApprovalId, AttemptId, JobIndex, RunId, StageIndex, StepIndex, UserId},
    protocol::LogChunk,
};

use crate::{
    AgentRow, ApprovalRow, AttemptRow, JobRow, RunStatus, StageRow, StepRow, StoreError, VoteRow, agent, approval,
    changes::Changes, job, log, outbox, run, sql::Connection, stage, step,
};

/// A transaction that writes. What was written is undone if it is dropped without [`Transaction::commit`].
pub struct Transaction {
    connection: Connection,
    changes: Changes,
    has_events: bool,
}

/// Rows as they are to be, each in its newest form only, and events and log lines in their order.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    agents: BTreeMap<AgentId, AgentRow>,
    approvals: BTreeMap<ApprovalId, ApprovalRow>,
    votes: BTreeMap<(ApprovalId, UserId), VoteRow>,
    runs: BTreeMap<RunId, RunStatus>,
    stages: BTreeMap<(RunId, StageIndex), StageRow>,
    jobs: BTreeMap<(RunId, JobIndex), JobRow>,
    attempts: BTreeMap<AttemptId, AttemptRow>,
    steps: BTreeMap<(AttemptId, StepIndex), StepRow>,
    logs: Vec<(AttemptId, LogChunk)>,
    events: Vec<Arc<Event>>,
}

impl WriteBatch {
    /// Is there nothing to write?
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
            && self.approvals.is_empty()
            && self.votes.is_empty()
            && self.runs.is_empty()
            && self.stages.is_empty()
            && self.jobs.is_empty()
            && self.attempts.is_empty()
            && self.steps.is_empty()
            && self.logs.is_empty()
            && self.events.is_empty()
    }

    /// An agent as it is to be stored.
    pub fn agent(&mut self, row: AgentRow) {
        self.agents.insert(row.id, row);
    }

    /// An approval as it is to be stored.
    pub fn approval(&mut self, row: ApprovalRow) {
        self.approvals.insert(row.id, row);
    }

    /// The answer of a user to an approval; the first one of each user stays.
    pub fn approval_vote(&mut self, row: VoteRow) {
        self.votes.entry((row.approval, row.user)).or_insert(row);
    }

    /// The changing part of a run as it is to be stored.
    pub fn run(&mut self, id: RunId, status: RunStatus) {
        self.runs.insert(id, status);
    }

    /// A stage as it is to be stored.
    pub fn stage(&mut self, row: StageRow) {
        self.stages.insert((row.run, row.stage), row);
    }

    /// A job as it is to be stored.
    pub fn job(&mut self, row: JobRow) {
        self.jobs.insert((row.run, row.job), row);
    }

    /// An attempt as it is to be stored.
    pub fn attempt(&mut self, row: AttemptRow) {
        self.attempts.insert(row.id, row);
    }

    /// A step as it is to be stored.
    pub fn step(&mut self, row: StepRow) {
        self.steps.insert((row.attempt, row.step), row);
    }

    /// Lines that are to be added to the log of a step.
    pub fn log(&mut self, attempt: AttemptId, chunk: LogChunk) {
        self.logs.push((attempt, chunk));
    }

    /// An event that is to be told once the batch is stored.
    pub fn event(&mut self, event: Event) {
        self.events.push(Arc::new(event));
    }

    /// The events, in order.
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }
}

impl Transaction {
    pub(crate) fn new(connection: Connection, changes: Changes) -> Transaction {
        Transaction { connection, changes, has_events: false }
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Writes everything that the batch holds. Returns the number of its first event; 0 if it has none. A batch with events is
    /// the last thing that a transaction writes: from then on others that write events wait for its end.
    ///
    /// # Errors
    /// The store cannot be written, or a row belongs to a run that is not stored.
    pub async fn write(&mut self, batch: &WriteBatch) -> Result<u64, StoreError> {
        let connection = &mut self.connection;
        agent::write(connection, &batch.agents.values().collect::<Vec<_>>()).await?;
        run::write(connection, batch.runs.iter()).await?;
        approval::write(connection, &batch.approvals.values().collect::<Vec<_>>()).await?;
        approval::write_votes(connection, &batch.votes.values().collect::<Vec<_>>()).await?;
        stage::write(connection, &batch.stages.values().collect::<Vec<_>>()).await?;
        job::write(connection, &batch.jobs.values().collect::<Vec<_>>()).await?;
        job::write_attempts(connection, &batch.attempts.values().collect::<Vec<_>>()).await?;
        step::write(connection, &batch.steps.values().collect::<Vec<_>>()).await?;
        log::write(connection, &batch.logs).await?;
        self.has_events |= !batch.events.is_empty();
        outbox::write(connection, &batch.events).await
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// The store cannot be written, a statement had failed before, or the writer leads no more; then nothing of it is stored.
    /// If a connection breaks just then it may be stored all the same.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.connection.commit().await?;
        if self.has_events {
            self.changes.tell();
        }
        Ok(())
    }
}

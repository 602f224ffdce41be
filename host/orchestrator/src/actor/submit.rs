//! New runs: of people, of retries, of schedules; and when they may begin.

use oxide_core::{id::RunId, run::RunEvent};
use oxide_store::{Store, StoreError, Transaction};

use super::Actor;
use crate::{
    NewRun, OrchestratorError,
    active_run::ActiveRun,
    command::{Fire, Fired},
    concurrency::GroupKey,
    turn::Turn,
};

/// A retry of a retry of a retry …: artifacts are looked for in no more of them.
const RETRIES: usize = 20;

impl Actor {
    /// Stores a run and lets it begin, if its group lets it.
    pub(super) async fn submit(&mut self, turn: &mut Turn, run: NewRun) -> Result<u64, OrchestratorError> {
        if let Some(known) = self.runs.get(&run.id) {
            return Ok(known.number);
        }
        let owner = self.parts.owner;
        let now = turn.now();
        let retries = retries_of(self.parts.writer.store(), run.origin.retry_of).await?;
        let transaction = self.transaction(turn).await?;
        let number = transaction.insert_run(&run, owner, now).await.map_err(|error| spoil(turn, error))?;
        let id = run.id;
        let run = ActiveRun::create(run, number, retries, self.parts.decide, (now, &mut turn.batch));
        let membership = run.membership();
        self.runs.insert(id, run);
        let Some((key, member)) = membership else {
            self.apply(turn, id, RunEvent::Start);
            return Ok(number);
        };
        let entered = self.groups.enter(key.clone(), member);
        for older in entered.superseded {
            let reason = format!("superseded by run #{number} of the group `{}`", key.name);
            self.apply(turn, older, RunEvent::CancelRequested { reason });
        }
        if entered.begins {
            self.apply(turn, id, RunEvent::Start);
        } else {
            self.say_why_runs_wait(turn, &key);
        }
        Ok(number)
    }

    /// A time of a schedule has come: stores the next one and the run together.
    pub(super) async fn fire(&mut self, turn: &mut Turn, fire: Fire) -> Result<Fired, OrchestratorError> {
        let Fire { schedule, next, run } = fire;
        let transaction = self.transaction(turn).await?;
        let advanced = transaction.advance_schedule(&schedule, next).await;
        if !advanced.map_err(|error| spoil(turn, error))? {
            return Ok(Fired::Before);
        }
        match run {
            Some(run) => Ok(Fired::Stored(Some(self.submit(turn, run).await?))),
            None => Ok(Fired::Stored(None)),
        }
    }

    /// A run has ended: others of its group may begin.
    pub(super) fn leave_group(&mut self, turn: &mut Turn, id: RunId) {
        let Some(key) = self.groups.group_of(id).cloned() else { return };
        for next in self.groups.leave(id) {
            self.apply(turn, next, RunEvent::Start);
        }
        self.say_why_runs_wait(turn, &key);
    }

    pub(super) fn say_why_runs_wait(&mut self, turn: &mut Turn, key: &GroupKey) {
        for (waiting, reason) in self.groups.reasons(key) {
            self.apply(turn, waiting, RunEvent::Held { reason });
        }
    }

    /// The transaction of the turn, open.
    pub(super) async fn transaction<'a>(&self, turn: &'a mut Turn) -> Result<&'a mut Transaction, OrchestratorError> {
        if let Some(failed) = &turn.failed {
            return Err(failed.as_ref().into());
        }
        if turn.transaction.is_none() {
            match self.parts.writer.begin().await {
                Ok(transaction) => turn.transaction = Some(transaction),
                Err(error) => return Err(spoil(turn, error)),
            }
        }
        Ok(turn.transaction.as_mut().expect("it was begun just above"))
    }
}

/// Nothing of the turn can be stored any more.
fn spoil(turn: &mut Turn, error: StoreError) -> OrchestratorError {
    let told = (&error).into();
    turn.failed = Some(error.into());
    told
}

/// The run that a run repeats, the one that that one repeats, and so on.
pub(super) async fn retries_of(store: &Store, mut retried: Option<RunId>) -> Result<Vec<RunId>, StoreError> {
    let mut retries = Vec::new();
    while let Some(id) = retried.filter(|id| !retries.contains(id) && retries.len() < RETRIES) {
        retries.push(id);
        retried = store.run(id).await?.and_then(|run| run.origin.retry_of);
    }
    Ok(retries)
}

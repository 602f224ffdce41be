//! Reads everything from the store: at the start, at a take-over, and when a transaction failed.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use oxide_core::{
    id::RunId,
    protocol::Cancellation,
    run::{RunEvent, STOP_GRACE_MS},
    time::Timestamp,
};
use oxide_store::StoreError;

use super::{Actor, submit::retries_of};
use crate::{active_run::ActiveRun, clock::Moment, concurrency::Groups, turn::Turn};

impl Actor {
    /// Takes over the runs of this owner as they are stored. Agents are not thought lost before they had a full period of
    /// silence from now on; what they work on goes on.
    pub(crate) async fn load(&mut self) -> Result<(), StoreError> {
        let mut transaction = self.parts.writer.begin().await?;
        let rows = transaction.open_runs(self.parts.owner).await?;
        let mut runs = HashMap::new();
        for row in &rows {
            let mut run = ActiveRun::load(&mut transaction, row, self.parts.decide).await?;
            run.set_retries(retries_of(self.parts.writer.store(), row.origin.retry_of).await?);
            // Runs that were here keep their own time.
            if let Some(known) = self.runs.get(&row.id) {
                run.keep_time_of(known);
            }
            runs.insert(row.id, run);
        }
        drop(transaction);
        let agents = self.parts.writer.store().agents().await?;
        let moment = self.watch.look();
        if moment.jump_ms != 0 {
            runs.values_mut().for_each(|run| run.stay_behind(moment.jump_ms));
        }
        self.runs = runs;
        self.queue.clear();
        self.deadlines.clear();
        self.agents.forget_attempts_and_plugins();
        self.agents.keep_only(&agents.iter().map(|agent| agent.id).collect());
        for agent in agents {
            self.agents.restore(agent, moment.steady);
        }
        self.agents.forgive(moment.steady);
        let mut groups = Groups::default();
        for row in &rows {
            self.restore(row.id, moment, &mut groups);
        }
        self.groups = groups;
        self.was_loaded = true;
        self.tell_queue();
        self.dismiss_stale_waits();
        Ok(())
    }

    fn restore(&mut self, id: RunId, moment: Moment, groups: &mut Groups) {
        let Some(run) = self.runs.get(&id) else { return };
        let now = run.time(moment.now);
        if let Some((key, member)) = run.membership() {
            match run.machine.has_begun() {
                true => groups.restore(key, member),
                false => groups.restore_waiting(key, member),
            }
        }
        let plan = run.machine.plan();
        let state = run.machine.state();
        for (job, number) in run.machine.queued() {
            let since = run.attempts.get(&(job, number)).map_or(now, |attempt| attempt.row.queued_at);
            self.queue.push(run.attempt_id(job, number), run.need(job), run.origin.priority, since);
        }
        // Deadlines need not be exact to be looked at: what has not passed is looked at again later.
        let mut from = |start: Option<Timestamp>, millis: u64| {
            let left = start.unwrap_or(now).plus_millis(millis).millis_since(now);
            let at = moment.steady.saturating_add(Duration::from_millis(left));
            self.deadlines.push(Reverse((at, id)));
        };
        from(state.started_at, plan.timeout_ms);
        for (stage, state) in plan.stages.iter().zip(&state.stages) {
            from(state.started_at, stage.timeout_ms);
            if let (Some(approval), Some(asked)) = (&stage.approval, state.approval_requested_at) {
                from(Some(asked), approval.timeout_ms);
            }
        }
        for (job, attempt) in run.machine.running() {
            let state = &state.jobs[job.index()];
            from(state.started_at, plan.job(job).timeout_ms);
            let id = run.attempt_id(job, attempt);
            let cancellation = state.stop.as_ref().map(|stop| {
                from(Some(stop.at), STOP_GRACE_MS);
                Cancellation { attempt: id, status: stop.status, reason: stop.reason.clone(), at_once: false }
            });
            if let Some(agent) = state.agent {
                self.agents.restore_attempt(agent, id, cancellation, moment.steady);
            }
        }
    }

    /// Lets runs begin whose group has room: others of it may have ended while nobody looked.
    pub(super) fn begin_restored(&mut self, turn: &mut Turn) {
        if std::mem::take(&mut self.was_loaded) {
            for run in self.groups.begin_restored() {
                self.apply(turn, run, RunEvent::Start);
            }
        }
    }

    /// Who waits for a run that is not here any more is answered as if it had just asked.
    fn dismiss_stale_waits(&mut self) {
        let runs = &self.runs;
        self.waiting.retain(|run, answers| {
            if runs.contains_key(run) {
                return true;
            }
            for (_, answer) in answers.drain(..) {
                let _ = answer.send(Ok(crate::Reply::Run(None)));
            }
            false
        });
    }
}

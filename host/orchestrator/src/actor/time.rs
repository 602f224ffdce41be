//! What follows because time has passed: deadlines, silence, and what is written now and then.

use std::{cmp::Reverse, iter, time::Duration};

use oxide_core::{
    event::{Event, EventKind},
    run::RunEvent,
    time::Timestamp,
};
use tokio::time::Instant;

use super::{Actor, DEAF};
use crate::{
    OrchestratorError, Reply,
    agents::silence::{self, Lost},
    turn::Turn,
};

/// How often the heartbeats of agents are written, all together.
const BEATS: Duration = Duration::from_secs(5);
/// How often it is looked why attempts wait.
const REASONS: Duration = Duration::from_secs(1);
/// How many attempts are told in one turn that they wait for another reason.
const REASONS_PER_TURN: usize = 250;
/// How often old events are forgotten, and from before how many milliseconds: seven days.
const PRUNING: Duration = Duration::from_secs(60 * 60);
const EVENTS_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

impl Actor {
    /// Notices that the wall clock was set, and that this process stood still.
    pub(super) fn look_at_clocks(&mut self, turn: &Turn) {
        if turn.moment.jump_ms != 0 {
            let seconds = turn.moment.jump_ms / 1000;
            tracing::warn!(seconds, "the clock was set; runs that go on keep their own time");
            for run in self.runs.values_mut() {
                run.stay_behind(turn.moment.jump_ms);
            }
        }
        if self.last_turn.elapsed() >= DEAF {
            self.agents.forgive(turn.moment.steady);
        }
    }

    pub(super) fn look_at_time(&mut self, turn: &mut Turn) {
        while let Some(Reverse((at, id))) = self.deadlines.peek().copied() {
            if at > turn.moment.steady {
                break;
            }
            self.deadlines.pop();
            self.apply(turn, id, RunEvent::TimerFired);
            self.settle(turn);
        }
        for Lost { agent, attempts } in self.agents.lost(turn.moment.steady) {
            let name = self.agents.name(agent);
            let reason = silence::reason(&name);
            if let Some(agent) = self.agents.get(agent) {
                turn.batch.agent(agent.row());
            }
            let unloaded = self.agents.unload(agent, &reason);
            let kind = EventKind::AgentDisconnected { agent, name, reason: reason.clone() };
            for kind in iter::once(kind).chain(unloaded) {
                turn.batch.event(Event::of_server(turn.now(), kind));
            }
            for attempt in attempts {
                self.lose(turn, attempt, reason.clone());
            }
        }
        if turn.moment.steady >= self.next_beats {
            self.next_beats = turn.moment.steady + BEATS;
            self.write_beats(turn);
        }
        self.give_up_waiting();
    }

    /// Forgets old events, if nobody else does: at the start, and then every hour.
    pub(super) async fn forget_old_events(&mut self, turn: &mut Turn) {
        if !self.parts.forgets_events || turn.moment.steady < self.next_pruning || turn.failed.is_some() {
            return;
        }
        self.next_pruning = turn.moment.steady + PRUNING;
        let before = Timestamp(turn.now().0.saturating_sub(EVENTS_KEPT_MS));
        if let Ok(transaction) = self.transaction(turn).await
            && let Err(error) = transaction.prune_events(before).await
        {
            turn.failed = Some(error.into());
        }
    }

    /// Writes and tells which agents were heard of.
    fn write_beats(&mut self, turn: &mut Turn) {
        for id in self.agents.take_beats() {
            let Some(agent) = self.agents.get(id) else { continue };
            let row = agent.row();
            let (status, metrics) = (row.status, row.metrics);
            turn.batch.agent(row);
            let kind = EventKind::AgentHeartbeat { agent: id, status, attempts: agent.attempts().collect(), metrics };
            turn.batch.event(Event::of_server(turn.now(), kind));
        }
    }

    /// Answers those who wait for the end of a run and have waited long enough.
    fn give_up_waiting(&mut self) {
        let now = Instant::now();
        self.waiting.retain(|_, answers| {
            for (_, answer) in answers.extract_if(.., |(until, answer)| *until <= now || answer.is_closed()) {
                let _ = answer.send(Ok::<_, OrchestratorError>(Reply::Run(None)));
            }
            !answers.is_empty()
        });
    }

    /// Writes down why attempts wait: at once for those that have just come, now and then for the others.
    pub(super) fn explain(&mut self, turn: &mut Turn) {
        for attempt in std::mem::take(&mut turn.effects.unexplained) {
            if let Some(reason) = self.queue.reason(attempt)
                && let Some(run) = self.runs.get_mut(&attempt.run)
            {
                run.say_why_it_waits(attempt, Some(reason), &mut turn.batch);
            }
        }
        if self.queue.is_empty() {
            return;
        }
        if turn.moment.steady >= self.next_reasons {
            self.next_reasons = turn.moment.steady + REASONS;
            self.queue.look_at_reasons();
        }
        if self.queue.has_changed_reasons() {
            for (attempt, reason) in self.queue.changed_reasons(REASONS_PER_TURN) {
                if let Some(run) = self.runs.get_mut(&attempt.run) {
                    run.say_why_it_waits(attempt, Some(reason), &mut turn.batch);
                }
            }
        }
    }
}

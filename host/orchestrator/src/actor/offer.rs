//! Brings queue, groups, deadlines and agents in line with what the machines decided, and gives jobs away.

use std::{cmp::Reverse, time::Duration};

use super::Actor;
use crate::turn::{Leased, Turn};

impl Actor {
    pub(super) fn settle(&mut self, turn: &mut Turn) {
        // The end of a run lets others begin, which may end at once, too.
        loop {
            self.settle_once(turn);
            let finished: Vec<_> = std::mem::take(&mut turn.effects.finished_runs);
            if finished.is_empty() {
                return;
            }
            for summary in finished {
                self.runs.remove(&summary.id);
                self.leave_group(turn, summary.id);
                turn.finished.push(summary);
            }
        }
    }

    fn settle_once(&mut self, turn: &mut Turn) {
        for id in std::mem::take(&mut turn.effects.queued) {
            let Some(run) = self.runs.get(&id.run) else { continue };
            let Some(attempt) = run.attempts.get(&(id.job, id.number)) else { continue };
            self.queue.push(id, run.need(id.job), run.origin.priority, attempt.row.queued_at);
            turn.effects.unexplained.push(id);
        }
        for (millis, run) in turn.effects.deadlines.drain(..) {
            let at = turn.moment.steady.saturating_add(Duration::from_millis(millis));
            self.deadlines.push(Reverse((at, run)));
        }
        for (agent, cancellation) in turn.effects.cancellations.drain(..) {
            self.agents.cancel(agent, cancellation);
        }
        for ended in turn.effects.ended.drain(..) {
            match ended.agent {
                Some(agent) => self.agents.forget_attempt(agent, ended.id),
                None => {
                    self.queue.remove(ended.id);
                }
            }
        }
        self.tell_queue();
    }

    /// Lets the queue know what has changed of agents.
    pub(super) fn tell_queue(&mut self) {
        for (id, worker) in self.agents.take_changed() {
            match worker {
                Some(worker) => self.queue.put_worker(id, worker),
                None => self.queue.remove_worker(id),
            }
        }
    }

    /// Gives queued attempts to agents that wait. Agents that can do little else choose first, then those with the most room.
    pub(super) fn offer_jobs(&mut self, turn: &mut Turn) {
        if self.queue.is_empty() || turn.failed.is_some() {
            return;
        }
        let mut waiting: Vec<_> = self.agents.waiting_for_jobs(turn.moment.steady).collect();
        waiting.sort_by_cached_key(|id| {
            let taken = self.queue.worker(*id).map_or(0, |worker| worker.taken);
            (self.queue.choice(*id), taken, *id)
        });
        for agent in waiting {
            let Some(id) = self.queue.next_for(agent) else { continue };
            let Some(run) = self.runs.get_mut(&id.run) else {
                self.queue.remove(id);
                continue;
            };
            let Some(answer) = self.agents.take_request(agent, id, turn.moment.steady) else { continue };
            self.queue.remove(id);
            let lease = run.lease(turn.now(), (id.job, id.number), agent, &mut turn.batch, &mut turn.effects);
            turn.leases.push(Leased { answer, lease: Box::new(lease), agent });
            self.tell_queue();
        }
    }
}

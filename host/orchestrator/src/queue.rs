//! The queue of attempts that wait for an agent: by priority, then by age. Plain code.
//!
//! Attempts that need the same labels and capabilities stand in one line; each agent knows the lines that it fits. What an
//! agent gets next is the best of the heads of its lines, however many attempts wait. Why the attempts of a line wait is one
//! sentence for the whole line. It is looked at from time to time and changes only if it was found changed twice in a row:
//! agents that are busy now and free a moment later do not make every waiting attempt be written again and again.

mod reason;

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use oxide_core::{
    id::{AgentId, AttemptId},
    protocol::AgentCapability,
    time::Timestamp,
};

/// What a job needs of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Need {
    pub labels: BTreeSet<String>,
    pub capabilities: BTreeSet<AgentCapability>,
}

/// An agent, as far as the queue cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Worker {
    pub name: String,
    pub labels: BTreeSet<String>,
    pub capabilities: BTreeSet<AgentCapability>,
    pub slots: usize,
    /// How many of the slots are in use.
    pub taken: usize,
    /// It takes no more jobs.
    pub drains: bool,
    /// It was not heard of for too long.
    pub silent: bool,
}

/// Before whom an attempt stands: a higher priority first, then what has waited longer, then what came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: Reverse<i64>,
    since: Timestamp,
    number: u64,
}

#[derive(Default)]
pub(crate) struct Queue {
    lines: Vec<Line>,
    by_need: HashMap<Need, usize>,
    places: HashMap<AttemptId, (usize, Place)>,
    workers: BTreeMap<AgentId, Known>,
    /// How many attempts were ever added.
    added: u64,
}

struct Known {
    worker: Worker,
    /// The lines that it fits.
    lines: Vec<usize>,
}

/// Attempts that need the same.
struct Line {
    need: Need,
    waiting: BTreeMap<Place, AttemptId>,
    fitting: BTreeSet<AgentId>,
    /// Why they wait. None before the first of them had to.
    reason: Option<String>,
    /// What was found when it was looked at last, if that was something else.
    seen: Option<String>,
    /// Attempts that wait for this reason, and that were not told so yet.
    untold: Vec<Place>,
}

impl Worker {
    fn fits(&self, need: &Need) -> bool {
        need.labels.is_subset(&self.labels) && need.capabilities.is_subset(&self.capabilities)
    }

    pub(crate) fn can_take(&self) -> bool {
        !self.drains && !self.silent && self.taken < self.slots
    }
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Makes an agent known, or what has changed of it.
    pub(crate) fn put_worker(&mut self, id: AgentId, worker: Worker) {
        if let Some(known) = self.workers.get_mut(&id)
            && known.worker.labels == worker.labels
            && known.worker.capabilities == worker.capabilities
        {
            known.worker = worker;
            return;
        }
        self.remove_worker(id);
        let fits = |(_, line): &(usize, &mut Line)| worker.fits(&line.need);
        let lines = self.lines.iter_mut().enumerate().filter(fits).map(|(index, line)| {
            line.fitting.insert(id);
            index
        });
        let lines = lines.collect();
        self.workers.insert(id, Known { worker, lines });
    }

    pub(crate) fn remove_worker(&mut self, id: AgentId) {
        for line in self.workers.remove(&id).into_iter().flat_map(|known| known.lines) {
            self.lines[line].fitting.remove(&id);
        }
    }

    pub(crate) fn worker(&self, id: AgentId) -> Option<&Worker> {
        self.workers.get(&id).map(|known| &known.worker)
    }

    #[cfg(test)]
    pub(crate) fn worker_mut(&mut self, id: AgentId) -> Option<&mut Worker> {
        self.workers.get_mut(&id).map(|known| &mut known.worker)
    }

    /// Adds an attempt that has waited since then.
    pub(crate) fn push(&mut self, attempt: AttemptId, need: Need, priority: i64, since: Timestamp) {
        let line = self.line(need);
        self.added += 1;
        let place = Place { priority: Reverse(priority), since, number: self.added };
        if self.places.insert(attempt, (line, place)).is_none() {
            self.lines[line].waiting.insert(place, attempt);
        }
    }

    /// Takes an attempt out, if it is in.
    pub(crate) fn remove(&mut self, attempt: AttemptId) -> bool {
        let Some((line, place)) = self.places.remove(&attempt) else { return false };
        let line = &mut self.lines[line];
        line.waiting.remove(&place);
        if line.waiting.is_empty() {
            (line.reason, line.seen) = (None, None);
            line.untold.clear();
        }
        true
    }

    /// Forgets the attempts, not the agents.
    pub(crate) fn clear(&mut self) {
        let attempts: Vec<_> = self.places.keys().copied().collect();
        for attempt in attempts {
            self.remove(attempt);
        }
    }

    /// What an agent is to do next. It stays in the queue until it is taken out.
    pub(crate) fn next_for(&self, id: AgentId) -> Option<AttemptId> {
        let known = self.workers.get(&id).filter(|known| known.worker.can_take())?;
        let heads = known.lines.iter().filter_map(|line| self.lines[*line].waiting.first_key_value());
        heads.min_by_key(|(place, _)| **place).map(|(_, attempt)| *attempt)
    }

    /// How many lines an agent fits: who fits few is asked first, so that others are left for what only they can do.
    pub(crate) fn choice(&self, id: AgentId) -> usize {
        self.workers.get(&id).map_or(0, |known| known.lines.len())
    }

    fn line(&mut self, need: Need) -> usize {
        if let Some(line) = self.by_need.get(&need) {
            return *line;
        }
        let index = self.lines.len();
        let mut fitting = BTreeSet::new();
        for (id, known) in &mut self.workers {
            if known.worker.fits(&need) {
                known.lines.push(index);
                fitting.insert(*id);
            }
        }
        self.by_need.insert(need.clone(), index);
        let (waiting, untold) = (BTreeMap::new(), Vec::new());
        self.lines.push(Line { need, waiting, fitting, reason: None, seen: None, untold });
        index
    }
}

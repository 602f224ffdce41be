//! Why attempts wait, in a sentence.

use std::collections::BTreeMap;

use oxide_core::{id::AttemptId, protocol::AgentCapability};

use super::{Known, Line, Need, Queue, Worker};
use crate::AGENT_SILENCE_MS;

impl Queue {
    /// Why an attempt waits, once it is known that it has to.
    pub(crate) fn reason(&mut self, attempt: AttemptId) -> Option<String> {
        let (line, _) = *self.places.get(&attempt)?;
        if self.lines[line].reason.is_none() {
            let reason = self.find_reason(&self.lines[line]);
            self.lines[line].reason = Some(reason);
        }
        self.lines[line].reason.clone()
    }

    /// Looks again at why attempts wait. What has changed is told by [`Queue::changed_reasons`].
    pub(crate) fn look_at_reasons(&mut self) {
        for index in 0..self.lines.len() {
            if self.lines[index].waiting.is_empty() {
                continue;
            }
            let found = self.find_reason(&self.lines[index]);
            let line = &mut self.lines[index];
            if line.reason.as_ref() == Some(&found) {
                line.seen = None;
            } else if line.reason.is_none() || line.seen.as_ref() == Some(&found) {
                (line.reason, line.seen) = (Some(found), None);
                line.untold = line.waiting.keys().rev().copied().collect();
            } else {
                line.seen = Some(found);
            }
        }
    }

    /// Attempts that wait for another reason than they were told, at most so many; the first in their line first.
    pub(crate) fn changed_reasons(&mut self, most: usize) -> Vec<(AttemptId, String)> {
        let mut changed = Vec::new();
        for line in &mut self.lines {
            while changed.len() < most {
                let Some(place) = line.untold.pop() else { break };
                if let (Some(attempt), Some(reason)) = (line.waiting.get(&place), &line.reason) {
                    changed.push((*attempt, reason.clone()));
                }
            }
        }
        changed
    }

    /// Is there something that [`Queue::changed_reasons`] would tell?
    pub(crate) fn has_changed_reasons(&self) -> bool {
        self.lines.iter().any(|line| !line.untold.is_empty())
    }

    /// The places of all who wait, best first.
    #[cfg(test)]
    pub(super) fn order(&self) -> Vec<AttemptId> {
        let places: BTreeMap<super::Place, AttemptId> =
            self.lines.iter().flat_map(|line| &line.waiting).map(|(place, attempt)| (*place, *attempt)).collect();
        places.into_values().collect()
    }

    fn find_reason(&self, line: &Line) -> String {
        let fitting: Vec<&Worker> = line.fitting.iter().filter_map(|id| self.worker(*id)).collect();
        if fitting.is_empty() {
            let mut reason = format!("no agent{}; agents: {}", wanted(&line.need), self.those_there_are());
            let runs_on_its_machine = |known: &Known| known.worker.capabilities.contains(&AgentCapability::Host);
            if line.need.capabilities.contains(&AgentCapability::Host)
                && !self.workers.values().any(runs_on_its_machine)
            {
                reason.push_str(
                    "; none runs commands on its own machine: set `agent.host_jobs = true` for that of the server, start one \
                     elsewhere with `oxide agent`, or use a container",
                );
            }
            return reason;
        }
        let heard: Vec<_> = fitting.iter().copied().filter(|worker| !worker.silent).collect();
        let takers: Vec<_> = heard.iter().copied().filter(|worker| !worker.drains).collect();
        if heard.is_empty() {
            let seconds = AGENT_SILENCE_MS / 1000;
            return match fitting.as_slice() {
                [one] => format!("agent `{}` was not heard of for {seconds} s", one.name),
                several => format!("none of the {} fitting agents was heard of for {seconds} s", several.len()),
            };
        }
        if takers.is_empty() {
            return match heard.as_slice() {
                [one] => format!("agent `{}` drains", one.name),
                several => format!("all {} fitting agents drain", several.len()),
            };
        }
        let free = takers.iter().any(|worker| worker.taken < worker.slots);
        match (takers.as_slice(), free) {
            ([one], false) => format!("agent `{}` is busy", one.name),
            ([one], true) => format!("agent `{}` has not asked for it yet", one.name),
            (several, false) => format!("all {} fitting agents are busy", several.len()),
            (several, true) => format!("none of {} fitting agents has asked for it yet", several.len()),
        }
    }

    /// The agents that are heard of, by what they offer: `[linux] (2) and [linux, gpu] docker`.
    fn those_there_are(&self) -> String {
        let mut alike: BTreeMap<String, usize> = BTreeMap::new();
        for Known { worker, .. } in self.workers.values().filter(|known| !known.worker.silent) {
            let labels: Vec<_> = worker.labels.iter().map(String::as_str).collect();
            let mut words = vec![format!("[{}]", labels.join(", "))];
            words.extend(of_note(&worker.capabilities));
            *alike.entry(words.join(" ")).or_default() += 1;
        }
        if alike.is_empty() {
            return "there is none".to_owned();
        }
        let kinds = alike.into_iter().map(|(kind, count)| if count > 1 { format!("{kind} ({count})") } else { kind });
        kinds.collect::<Vec<_>>().join(" and ")
    }
}

/// ` with labels [gpu] and docker`
fn wanted(need: &Need) -> String {
    let labels: Vec<_> = need.labels.iter().map(String::as_str).collect();
    let mut words = Vec::new();
    if !labels.is_empty() {
        words.push(format!("labels [{}]", labels.join(", ")));
    }
    words.extend(of_note(&need.capabilities));
    if words.is_empty() { String::new() } else { format!(" with {}", words.join(" and ")) }
}

/// Capabilities by name. Nearly everybody has `host`, and who misses it is told so in a sentence.
fn of_note<'a>(capabilities: impl IntoIterator<Item = &'a AgentCapability>) -> Vec<String> {
    let noted = capabilities.into_iter().filter(|capability| **capability != AgentCapability::Host);
    noted.map(|capability| capability.as_str().to_owned()).collect()
}

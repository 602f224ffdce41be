//! When agents were heard of, who is silent, and of which attempts nobody speaks.

use std::time::Duration;

use oxide_core::{
    id::{AgentId, AttemptId},
    protocol::Heartbeat,
};
use tokio::time::Instant;

use super::{Agent, Agents};
use crate::{AGENT_SILENCE_MS, clock::Moment};

/// A silent agent gets this much more: what it said may wait to be heard.
const WAKE_UP: Duration = Duration::from_secs(1);
/// How long an agent may be silent.
const SILENCE: Duration = Duration::from_millis(AGENT_SILENCE_MS);

/// What follows when an agent is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is not known.
    Stranger,
    Known,
    /// It was thought to be gone.
    Back,
}

/// An agent that was silent for too long.
pub(crate) struct Lost {
    pub agent: AgentId,
    pub attempts: Vec<AttemptId>,
}

impl Agents {
    /// The agent said something.
    pub(crate) fn heard(&mut self, id: AgentId, moment: Moment) -> Heard {
        let Some(agent) = self.known.get_mut(&id) else { return Heard::Stranger };
        agent.last_heard = moment.steady;
        agent.suspect_since = None;
        if agent.is_online {
            return Heard::Known;
        }
        agent.is_online = true;
        agent.row.last_heartbeat_at = Some(moment.now);
        self.changed.push(id);
        Heard::Back
    }

    /// A report or a completion of an attempt came.
    pub(crate) fn spoke_of(&mut self, id: AgentId, attempt: AttemptId, steady: Duration) {
        if let Some(held) = self.known.get_mut(&id).and_then(|agent| agent.attempts.get_mut(&attempt)) {
            held.spoken_of = steady;
        }
    }

    /// Takes in what a heartbeat says. Answers with attempts that the agent has not spoken of for so long that it cannot know
    /// of them: the answer that gave it the job did not arrive, or it has forgotten.
    pub(crate) fn take_heartbeat(&mut self, message: &Heartbeat, moment: Moment) -> Vec<AttemptId> {
        let Some(agent) = self.known.get_mut(&message.agent) else { return Vec::new() };
        agent.beats = true;
        agent.row.last_heartbeat_at = Some(moment.now);
        if message.metrics.is_some() {
            agent.row.metrics = message.metrics;
        }
        for named in &message.attempts {
            if let Some(held) = agent.attempts.get_mut(named) {
                held.spoken_of = moment.steady;
            }
        }
        let unknown = agent.attempts.iter().filter(|(_, held)| moment.steady.saturating_sub(held.spoken_of) >= SILENCE);
        unknown.map(|(id, _)| *id).collect()
    }

    /// Agents that were heard since this was asked last: to be written and told together.
    pub(crate) fn take_beats(&mut self) -> Vec<AgentId> {
        let beats = |(id, agent): (&AgentId, &mut Agent)| std::mem::take(&mut agent.beats).then_some(*id);
        self.known.iter_mut().filter_map(beats).collect()
    }

    /// Agents that were silent for too long. They have nothing any more.
    pub(crate) fn lost(&mut self, steady: Duration) -> Vec<Lost> {
        let mut lost = Vec::new();
        for (id, agent) in &mut self.known {
            let is_known_to_be_gone = !agent.is_online && agent.attempts.is_empty();
            if is_known_to_be_gone || steady.saturating_sub(agent.last_heard) < SILENCE {
                continue;
            }
            let since = *agent.suspect_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= WAKE_UP {
                agent.is_online = false;
                agent.let_go();
                let attempts = std::mem::take(&mut agent.attempts).into_keys().collect();
                self.changed.push(*id);
                lost.push(Lost { agent: *id, attempts });
            }
        }
        lost
    }

    /// Nobody could be heard: everybody gets a full period of silence again.
    pub(crate) fn forgive(&mut self, steady: Duration) {
        for agent in self.known.values_mut() {
            agent.last_heard = steady;
            agent.suspect_since = None;
            for held in agent.attempts.values_mut() {
                held.spoken_of = steady;
            }
        }
    }
}

/// What is said of an agent that was silent for too long.
pub(crate) fn reason(name: &str) -> String {
    format!("agent `{name}` was not heard of for {} s", AGENT_SILENCE_MS / 1000)
}

/// What is said of an attempt that its agent does not speak of.
pub(crate) fn unspoken(name: &str) -> String {
    format!("agent `{name}` does not know of it: the answer that gave it the job was lost, or it has forgotten it")
}

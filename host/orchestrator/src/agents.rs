//! Agents: what they asked for and wait for, when they were last heard of, and what they are to stop.

use std::{collections::BTreeMap, time::Duration};

use oxide_core::{
    id::{AgentId, AttemptId},
    protocol::{Cancellation, Heartbeat, HeartbeatAnswer, Lease, Register},
    time::Timestamp,
};
use tokio::time::Instant;

use crate::{AGENT_SILENCE_MS, command::Answer};

/// How long `lease` waits for a job.
const LEASE_WAIT: Duration = Duration::from_secs(30);
/// How long `heartbeat` waits for something to say.
const HEARTBEAT_WAIT: Duration = Duration::from_secs(10);
/// A silent agent gets this much more: after the machine has slept, everybody looks silent for a moment.
const WAKE_UP: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Agents {
    known: BTreeMap<AgentId, Agent>,
}

pub(crate) struct Agent {
    pub name: String,
    pub labels: Vec<String>,
    last_heard: Timestamp,
    silent_since: Option<Instant>,
    /// Attempts that it has, each with what it is to be told.
    attempts: BTreeMap<AttemptId, Option<Cancellation>>,
    /// There is something that it was not told yet.
    untold: bool,
    lease: Option<Waiting<Option<Box<Lease>>>>,
    heartbeat: Option<Waiting<HeartbeatAnswer>>,
}

struct Waiting<T> {
    answer: Answer<T>,
    until: Instant,
}

impl Agents {
    pub(crate) fn register(&mut self, message: Register, now: Timestamp) {
        let agent = self.known.entry(message.agent).or_insert_with(|| Agent {
            name: String::new(),
            labels: Vec::new(),
            last_heard: now,
            silent_since: None,
            attempts: BTreeMap::new(),
            untold: false,
            lease: None,
            heartbeat: None,
        });
        agent.name = message.name;
        agent.labels = message.labels;
        self.heard(message.agent, now);
    }

    /// The agent said something. False if it is not known.
    pub(crate) fn heard(&mut self, id: AgentId, now: Timestamp) -> bool {
        let Some(agent) = self.known.get_mut(&id) else { return false };
        agent.last_heard = now;
        agent.silent_since = None;
        true
    }

    pub(crate) fn get(&self, id: AgentId) -> Option<&Agent> {
        self.known.get(&id)
    }

    /// The labels of the agents that are heard of.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &[String]> {
        self.known.values().filter(|agent| agent.silent_since.is_none()).map(|agent| agent.labels.as_slice())
    }

    /// Holds a request for a job. An older one of the same agent is answered with nothing.
    pub(crate) fn wait_for_job(&mut self, id: AgentId, answer: Answer<Option<Box<Lease>>>) {
        let Some(agent) = self.known.get_mut(&id) else { return };
        let waiting = Waiting { answer, until: Instant::now() + LEASE_WAIT };
        if let Some(older) = agent.lease.replace(waiting) {
            let _ = older.answer.send(Ok(None));
        }
    }

    /// The agents that wait for a job.
    pub(crate) fn waiting_for_jobs(&self) -> Vec<AgentId> {
        let waits = |agent: &Agent| agent.lease.as_ref().is_some_and(|lease| !lease.answer.is_closed());
        self.known.iter().filter(|(_, agent)| waits(agent)).map(|(id, _)| *id).collect()
    }

    /// Takes the request that is to be answered with a job.
    pub(crate) fn take_request(&mut self, id: AgentId, attempt: AttemptId) -> Option<Answer<Option<Box<Lease>>>> {
        let agent = self.known.get_mut(&id)?;
        let lease = agent.lease.take()?;
        agent.attempts.insert(attempt, None);
        Some(lease.answer)
    }

    /// An attempt that an agent has, as it was stored.
    pub(crate) fn restore_attempt(&mut self, id: AgentId, attempt: AttemptId, cancellation: Option<Cancellation>) {
        if let Some(agent) = self.known.get_mut(&id) {
            agent.untold |= cancellation.is_some();
            agent.attempts.insert(attempt, cancellation);
        }
    }

    pub(crate) fn forget_attempt(&mut self, id: AgentId, attempt: AttemptId) {
        if let Some(agent) = self.known.get_mut(&id) {
            agent.attempts.remove(&attempt);
        }
    }

    /// Tells the agent to stop an attempt, with its next heartbeat or the one that waits.
    pub(crate) fn cancel(&mut self, id: AgentId, cancellation: Cancellation) {
        if let Some(agent) = self.known.get_mut(&id)
            && let Some(known) = agent.attempts.get_mut(&cancellation.attempt)
        {
            *known = Some(cancellation);
            agent.untold = true;
        }
    }

    /// Holds a heartbeat until there is something to say. `stale` are attempts that it names and no longer has.
    pub(crate) fn heartbeat(&mut self, message: &Heartbeat, stale: Vec<Cancellation>, answer: Answer<HeartbeatAnswer>) {
        let Some(agent) = self.known.get_mut(&message.agent) else { return };
        if !stale.is_empty() {
            let mut cancel = stale;
            cancel.extend(agent.standing());
            agent.untold = false;
            let _ = answer.send(Ok(HeartbeatAnswer { cancel, drain: false }));
            return;
        }
        let waiting = Waiting { answer, until: Instant::now() + HEARTBEAT_WAIT };
        if let Some(older) = agent.heartbeat.replace(waiting) {
            let _ = older.answer.send(Ok(HeartbeatAnswer::default()));
        }
    }

    /// Answers requests that waited long enough, and heartbeats that there is something to say to.
    pub(crate) fn answer_waiting(&mut self) {
        let now = Instant::now();
        for agent in self.known.values_mut() {
            if let Some(lease) = agent.lease.take_if(|lease| lease.until <= now) {
                let _ = lease.answer.send(Ok(None));
            }
            let untold = agent.untold;
            if let Some(heartbeat) = agent.heartbeat.take_if(|heartbeat| untold || heartbeat.until <= now) {
                let answer = HeartbeatAnswer { cancel: agent.standing(), drain: false };
                // An answer that nobody took is said again with the next heartbeat.
                agent.untold = heartbeat.answer.send(Ok(answer)).is_err() && untold;
            }
        }
    }

    /// Tells all who wait to take no more.
    pub(crate) fn drain(&mut self) {
        for agent in self.known.values_mut() {
            if let Some(lease) = agent.lease.take() {
                let _ = lease.answer.send(Ok(None));
            }
            if let Some(heartbeat) = agent.heartbeat.take() {
                let answer = HeartbeatAnswer { cancel: agent.standing(), drain: true };
                let _ = heartbeat.answer.send(Ok(answer));
            }
        }
    }

    /// The attempts of agents that were silent for too long, with the name of the agent.
    pub(crate) fn lost(&mut self, now: Timestamp) -> Vec<(AttemptId, String)> {
        let mut lost = Vec::new();
        for agent in self.known.values_mut() {
            if now.millis_since(agent.last_heard) < AGENT_SILENCE_MS {
                continue;
            }
            let since = *agent.silent_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= WAKE_UP {
                // An agent that comes back and asks for a job is one again.
                let name = &agent.name;
                lost.extend(std::mem::take(&mut agent.attempts).into_keys().map(|attempt| (attempt, name.clone())));
                agent.lease.take_if(|lease| lease.answer.is_closed());
            }
        }
        lost
    }

    /// Does anything wait here for time to pass?
    pub(crate) fn is_idle(&self) -> bool {
        self.known.values().all(|a| a.lease.is_none() && a.heartbeat.is_none() && a.attempts.is_empty())
    }
}

impl Agent {
    fn standing(&self) -> Vec<Cancellation> {
        self.attempts.values().flatten().cloned().collect()
    }

    /// Has it all labels that a job asks for?
    pub(crate) fn fits(&self, runs_on: &[String]) -> bool {
        fits(&self.labels, runs_on)
    }
}

pub(crate) fn fits(labels: &[String], runs_on: &[String]) -> bool {
    runs_on.iter().all(|wanted| labels.contains(wanted))
}

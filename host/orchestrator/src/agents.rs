//! Agents: what they asked for and wait for, when they were last heard of, and what they are to stop.
//!
//! Silence is measured by the steady clock. Who cannot hear must not call others silent: after a start, a take-over, trouble
//! with the store, or a while in which this process stood still, everybody gets a full period of silence again.

pub(crate) mod silence;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use oxide_core::{
    event::{AgentStatus, EventKind},
    id::{AgentId, AttemptId},
    plan::PluginPin,
    protocol::{Cancellation, Heartbeat, HeartbeatAnswer, Register},
    time::Timestamp,
};
use oxide_store::AgentRow;
use tokio::time::Instant;

use crate::{OrchestratorError, Reply, clock::Moment, command::Answer, queue::Worker};

/// How long `lease` waits for a job.
const LEASE_WAIT: Duration = Duration::from_secs(30);
/// How long `heartbeat` waits for something to say.
const HEARTBEAT_WAIT: Duration = Duration::from_secs(10);
/// A living agent is heard of at least this often: a heartbeat follows the answer to the one before.
const FRESH: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(crate) struct Agents {
    known: BTreeMap<AgentId, Agent>,
    /// Agents that may not speak any more, and why.
    refused: HashMap<AgentId, String>,
    /// Agents of which something has changed that the queue does not know yet.
    changed: Vec<AgentId>,
}

pub(crate) struct Agent {
    row: AgentRow,
    /// It is heard of.
    is_online: bool,
    last_heard: Duration,
    /// When it was found that it was silent for too long.
    suspect_since: Option<Instant>,
    /// Attempts that it has.
    attempts: BTreeMap<AttemptId, Held>,
    /// The plugins that its program holds ready: what they are called in pipelines, by digest. What it held when this server began
    /// to lead, or when a turn could not be stored, is not known before it is used again.
    plugins: BTreeMap<String, String>,
    /// There is something that it was not told yet.
    untold: bool,
    /// It was heard since its row was written last.
    beats: bool,
    lease: Option<Waiting>,
    heartbeat: Option<Waiting>,
}

/// An attempt that an agent has.
struct Held {
    /// What the agent is to be told.
    cancellation: Option<Cancellation>,
    /// When the agent got it, or spoke of it last.
    spoken_of: Duration,
}

/// An agent that was removed.
pub(crate) struct Removed {
    pub row: AgentRow,
    /// The attempts that it had.
    pub attempts: Vec<AttemptId>,
    /// What it waits for.
    pub requests: Vec<Answer<Reply>>,
}

struct Waiting {
    answer: Answer<Reply>,
    until: Instant,
}

impl Waiting {
    fn until(answer: Answer<Reply>, wait: Duration) -> Waiting {
        Waiting { answer, until: Instant::now() + wait }
    }

    fn say(self, reply: Reply) -> bool {
        self.answer.send(Ok(reply)).is_ok()
    }
}

impl Agents {
    /// An agent says who it is: for the first time, after its program was started again, or because it was not understood. What it
    /// asked for before may have been asked by a program that is dead: nothing is given away to that. Whether it drains is not
    /// for itself to say.
    pub(crate) fn register(&mut self, message: Register, moment: Moment) -> &Agent {
        let Register { agent: id, name, mut labels, slots, capabilities, version } = message;
        labels.sort();
        labels.dedup();
        let before = self.known.get(&id).map(|agent| &agent.row);
        let metrics = before.and_then(|row| row.metrics);
        let draining = before.is_some_and(|row| row.draining);
        let row = AgentRow {
            id,
            name,
            labels,
            slots,
            capabilities,
            version,
            status: AgentStatus::Idle,
            last_heartbeat_at: Some(moment.now),
            metrics,
            draining,
            registered_at: moment.now,
            deregistered_at: None,
        };
        let agent = self.put(row, moment.steady);
        agent.is_online = true;
        agent.untold = agent.row.draining || agent.attempts.values().any(|held| held.cancellation.is_some());
        agent.let_go();
        agent
    }

    /// An agent as it was stored. It is given time to be heard of.
    pub(crate) fn restore(&mut self, row: AgentRow, steady: Duration) {
        if let Some(at) = row.deregistered_at {
            self.refused.entry(row.id).or_insert_with(|| format!("the agent was removed on {}", at.to_rfc3339()));
            return;
        }
        let is_online = row.status != AgentStatus::Offline;
        let is_new = !self.known.contains_key(&row.id);
        let agent = self.put(row, steady);
        if is_new {
            agent.is_online = is_online;
        }
    }

    fn put(&mut self, row: AgentRow, steady: Duration) -> &mut Agent {
        let id = row.id;
        self.changed.push(id);
        let agent = self.known.entry(id).or_insert_with(|| Agent {
            row: row.clone(),
            is_online: false,
            last_heard: steady,
            suspect_since: None,
            attempts: BTreeMap::new(),
            plugins: BTreeMap::new(),
            untold: false,
            beats: false,
            lease: None,
            heartbeat: None,
        });
        agent.row = row;
        agent.last_heard = steady;
        agent.suspect_since = None;
        agent
    }

    pub(crate) fn get(&self, id: AgentId) -> Option<&Agent> {
        self.known.get(&id)
    }

    pub(crate) fn name(&self, id: AgentId) -> String {
        self.known.get(&id).map_or_else(|| id.to_string(), |agent| agent.row.name.clone())
    }

    /// Why the agent may not speak, if it may not.
    pub(crate) fn refusal(&self, id: AgentId) -> Option<&str> {
        self.refused.get(&id).map(String::as_str)
    }

    /// What the queue is to know anew: an agent, or that there is none of this id.
    pub(crate) fn take_changed(&mut self) -> Vec<(AgentId, Option<Worker>)> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed.into_iter().map(|id| (id, self.known.get(&id).map(Agent::worker))).collect()
    }

    /// Holds a request for a job. An older one of the same agent is answered with nothing.
    pub(crate) fn wait_for_job(&mut self, id: AgentId, answer: Answer<Reply>) {
        let Some(agent) = self.known.get_mut(&id) else { return };
        if let Some(older) = agent.lease.replace(Waiting::until(answer, LEASE_WAIT)) {
            older.say(Reply::Lease(None));
        }
    }

    /// The agents that wait for a job. One that was silent for longer than living ones are may be dead, though its request is
    /// still there: whoever carries it need not know.
    pub(crate) fn waiting_for_jobs(&self, steady: Duration) -> impl Iterator<Item = AgentId> + '_ {
        let waits = move |agent: &Agent| {
            let lives = steady.saturating_sub(agent.last_heard) < FRESH;
            lives && agent.lease.as_ref().is_some_and(|lease| !lease.answer.is_closed())
        };
        self.known.iter().filter(move |(_, agent)| waits(agent)).map(|(id, _)| *id)
    }

    /// Takes the request that is to be answered with a job.
    pub(crate) fn take_request(&mut self, id: AgentId, attempt: AttemptId, steady: Duration) -> Option<Answer<Reply>> {
        let agent = self.known.get_mut(&id)?;
        let lease = agent.lease.take()?;
        agent.attempts.insert(attempt, Held { cancellation: None, spoken_of: steady });
        self.changed.push(id);
        Some(lease.answer)
    }

    /// An attempt that an agent has, as it was stored.
    pub(crate) fn restore_attempt(
        &mut self,
        id: AgentId,
        attempt: AttemptId,
        cancellation: Option<Cancellation>,
        steady: Duration,
    ) {
        if let Some(agent) = self.known.get_mut(&id) {
            agent.untold |= cancellation.is_some();
            agent.attempts.insert(attempt, Held { cancellation, spoken_of: steady });
            self.changed.push(id);
        }
    }

    /// Knows those agents that are stored and not removed: what was registered or removed and is not stored was not.
    pub(crate) fn keep_only(&mut self, stored: &HashSet<AgentId>) {
        self.refused.retain(|id, _| !stored.contains(id));
        let changed = &mut self.changed;
        self.known.retain(|id, agent| {
            let is_stored = stored.contains(id);
            if !is_stored {
                agent.refuse(&OrchestratorError::UnknownAgent);
                changed.push(*id);
            }
            is_stored
        });
    }

    /// Forgets what agents have: attempts are read from the store again, and plugins are told when they are used next.
    pub(crate) fn forget_attempts_and_plugins(&mut self) {
        for (id, agent) in &mut self.known {
            agent.attempts.clear();
            agent.plugins.clear();
            self.changed.push(*id);
        }
    }

    pub(crate) fn forget_attempt(&mut self, id: AgentId, attempt: AttemptId) {
        if let Some(agent) = self.known.get_mut(&id) {
            agent.attempts.remove(&attempt);
            self.changed.push(id);
        }
    }

    /// Tells the agent to stop an attempt, with its next heartbeat or the one that waits.
    pub(crate) fn cancel(&mut self, id: AgentId, cancellation: Cancellation) {
        if let Some(agent) = self.known.get_mut(&id)
            && let Some(held) = agent.attempts.get_mut(&cancellation.attempt)
        {
            held.cancellation = Some(cancellation);
            agent.untold = true;
        }
    }

    /// Gives an agent no more jobs, or jobs again. None if there is no such agent.
    pub(crate) fn drain(&mut self, id: AgentId, drain: bool) -> Option<AgentRow> {
        let agent = self.known.get_mut(&id)?;
        agent.row.draining = drain;
        agent.untold = true;
        self.changed.push(id);
        Some(agent.row())
    }

    /// An agent has called a plugin. Tells whether that is news.
    pub(crate) fn loads(&mut self, id: AgentId, plugin: &PluginPin) -> bool {
        let Some(agent) = self.known.get_mut(&id) else { return false };
        if agent.plugins.contains_key(&plugin.digest) {
            return false;
        }
        agent.plugins.insert(plugin.digest.clone(), plugin.reference.clone());
        true
    }

    /// An agent is gone, and with it the plugins that it held ready: what there is to tell.
    pub(crate) fn unload(&mut self, id: AgentId, reason: &str) -> Vec<EventKind> {
        let plugins = self.known.get_mut(&id).map(|agent| std::mem::take(&mut agent.plugins)).unwrap_or_default();
        let unloaded = |(digest, reference)| {
            let (agent, reason) = (Some(id), reason.to_owned());
            EventKind::PluginUnloaded { digest, reference, agent, reason }
        };
        plugins.into_iter().map(unloaded).collect()
    }

    /// Forgets an agent for good. What it waits for is to be refused once that is stored: the word ends its program.
    pub(crate) fn deregister(&mut self, id: AgentId, reason: &str, now: Timestamp) -> Option<Removed> {
        let mut agent = self.known.remove(&id)?;
        self.changed.push(id);
        self.refused.insert(id, reason.to_owned());
        agent.row.deregistered_at = Some(now);
        agent.is_online = false;
        let row = agent.row();
        let requests = agent.lease.into_iter().chain(agent.heartbeat).map(|waiting| waiting.answer).collect();
        Some(Removed { row, attempts: agent.attempts.into_keys().collect(), requests })
    }

    /// Holds a heartbeat until there is something to say. `stale` are attempts that it names and no longer has.
    pub(crate) fn heartbeat(&mut self, message: &Heartbeat, stale: Vec<Cancellation>, answer: Answer<Reply>) {
        let Some(agent) = self.known.get_mut(&message.agent) else { return };
        let waiting = Waiting::until(answer, HEARTBEAT_WAIT);
        if !stale.is_empty() {
            let mut reply = agent.heartbeat_answer();
            reply.cancel.splice(0..0, stale);
            agent.untold = false;
            waiting.say(Reply::Heartbeat(reply));
            return;
        }
        if let Some(older) = agent.heartbeat.replace(waiting) {
            older.say(Reply::Heartbeat(HeartbeatAnswer::default()));
        }
    }

    /// Answers requests that waited long enough, and heartbeats that there is something to say to.
    pub(crate) fn answer_waiting(&mut self) {
        let now = Instant::now();
        for agent in self.known.values_mut() {
            if let Some(lease) = agent.lease.take_if(|lease| lease.until <= now) {
                lease.say(Reply::Lease(None));
            }
            let untold = agent.untold;
            if let Some(heartbeat) = agent.heartbeat.take_if(|heartbeat| untold || heartbeat.until <= now) {
                // An answer that nobody took is said again with the next heartbeat.
                let answer = agent.heartbeat_answer();
                agent.untold = !heartbeat.say(Reply::Heartbeat(answer)) && untold;
            }
        }
    }

    /// Lets go of all who wait: they ask again.
    pub(crate) fn dismiss(&mut self) {
        self.known.values_mut().for_each(Agent::let_go);
    }

    /// Does nothing here wait for time to pass?
    pub(crate) fn is_idle(&self) -> bool {
        self.known.values().all(|agent| {
            let waits = agent.lease.is_some() || agent.heartbeat.is_some() || agent.beats;
            !waits && agent.attempts.is_empty() && !agent.is_online
        })
    }
}

impl Agent {
    /// As it is to be stored.
    pub(crate) fn row(&self) -> AgentRow {
        AgentRow { status: self.status(), ..self.row.clone() }
    }

    /// What it does, in one word.
    pub(crate) fn status(&self) -> AgentStatus {
        match (self.is_online, self.row.draining) {
            (false, _) => AgentStatus::Offline,
            (true, true) => AgentStatus::Draining,
            (true, false) if self.attempts.is_empty() => AgentStatus::Idle,
            (true, false) => AgentStatus::Busy,
        }
    }

    pub(crate) fn attempts(&self) -> impl Iterator<Item = AttemptId> + '_ {
        self.attempts.keys().copied()
    }

    /// Answers what it waits for with nothing.
    fn let_go(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.say(Reply::Lease(None));
        }
        if let Some(heartbeat) = self.heartbeat.take() {
            let answer = self.heartbeat_answer();
            heartbeat.say(Reply::Heartbeat(answer));
        }
    }

    /// Answers what it waits for with an error.
    fn refuse(&mut self, error: &OrchestratorError) {
        for waiting in self.lease.take().into_iter().chain(self.heartbeat.take()) {
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }

    fn worker(&self) -> Worker {
        Worker {
            name: self.row.name.clone(),
            labels: self.row.labels.iter().cloned().collect(),
            capabilities: self.row.capabilities.iter().copied().collect(),
            slots: self.row.slots.max(1) as usize,
            taken: self.attempts.len(),
            drains: self.row.draining,
            silent: !self.is_online,
        }
    }

    fn heartbeat_answer(&self) -> HeartbeatAnswer {
        let cancel = self.attempts.values().filter_map(|held| held.cancellation.clone()).collect();
        HeartbeatAnswer { cancel, drain: self.row.draining }
    }
}

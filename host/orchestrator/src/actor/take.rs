//! What is asked, call by call.

use std::{iter, time::Duration};

use oxide_core::{
    event::{Event, EventKind},
    id::{AgentId, AttemptId, RunId},
    outcome::Status,
    protocol::{Cancellation, Heartbeat, Register},
    run::RunEvent,
};
use tokio::time::Instant;

use super::Actor;
use crate::{
    Call, OrchestratorError, Reply, Vote,
    agents::{Agent, Removed, silence},
    command::{Answer, Command, Undelivered},
    turn::{Asked, Deferred, Turn},
};

/// How long `wait` waits for the end of a run.
const RUN_WAIT: Duration = Duration::from_secs(30);

impl Actor {
    pub(super) async fn take(&mut self, turn: &mut Turn, command: Command) {
        match command {
            Command::Call(call, answer) => self.answer(turn, call, answer).await,
            Command::Undelivered { attempt, agent, why } => {
                let name = self.agents.name(agent);
                let reason = match why {
                    Undelivered::Gone => format!("agent `{name}` went away before it took the job"),
                    Undelivered::Secrets(cause) => format!("the secrets of the job could not be read: {cause}"),
                };
                self.lose(turn, attempt, reason);
            }
            Command::Fire(fire, answer) => {
                let fired = self.fire(turn, *fire).await;
                turn.answers.push(Deferred::Fire(answer, fired));
            }
            Command::Shutdown(answer) => self.shutdown.push(answer),
        }
        self.settle(turn);
    }

    async fn answer(&mut self, turn: &mut Turn, call: Call, answer: Answer<Reply>) {
        let asked = call.clone();
        let reply = match call {
            Call::Submit(run) => self.submit(turn, *run).await.map(|number| Reply::Submitted { number }),
            Call::Cancel { run, reason } => self.end(turn, run, RunEvent::CancelRequested { reason }),
            Call::Kill { run, reason } => self.end(turn, run, RunEvent::KillRequested { reason }),
            Call::Wait { run } if self.runs.contains_key(&run) => {
                let until = Instant::now() + RUN_WAIT;
                return self.waiting.entry(run).or_default().push((until, answer));
            }
            Call::Wait { run } => Err(OrchestratorError::NotOurs(run)),
            Call::Vote(vote) => self.vote(turn, vote),
            Call::Register(message) => self.register(turn, message).await,
            Call::Lease { agent } => match self.admit(turn, agent) {
                Ok(()) => return self.agents.wait_for_job(agent, answer),
                Err(error) => Err(error),
            },
            Call::Heartbeat(message) => match self.admit(turn, message.agent) {
                Ok(()) => return self.heartbeat(turn, &message, answer),
                Err(error) => Err(error),
            },
            Call::Report(report) => self
                .admit_known(turn, report.agent)
                .and_then(|()| self.take_report(turn, report))
                .map(Reply::Acknowledged),
            Call::Complete(complete) => self
                .admit_known(turn, complete.agent)
                .map(|()| Reply::Acknowledged(self.take_completion(turn, complete))),
            Call::DrainAgent { agent, drain } => self.drain_agent(turn, agent, drain).await,
            Call::DeregisterAgent { agent, reason } => self.deregister_agent(turn, agent, &reason).await,
            // The handle has made a `Submit` of it.
            Call::Retry(_) => Err(OrchestratorError::Misunderstood { call: "retry".into() }),
        };
        turn.answers.push(Deferred::Call(Box::new(Asked { call: asked, answer }), reply));
    }

    fn end(&mut self, turn: &mut Turn, run: RunId, event: RunEvent) -> Result<Reply, OrchestratorError> {
        if self.apply(turn, run, event) { Ok(Reply::Done) } else { Err(OrchestratorError::NotOurs(run)) }
    }

    fn vote(&mut self, turn: &mut Turn, vote: Vote) -> Result<Reply, OrchestratorError> {
        let run = self.runs.get_mut(&vote.run).ok_or(OrchestratorError::NoSuchApproval(vote.approval))?;
        run.vote(turn.now(), vote, &mut turn.batch, &mut turn.effects).map(Reply::Voted)
    }

    /// Reads an agent that joined since the store was read last.
    async fn meet(&mut self, id: AgentId, steady: Duration) -> Result<(), OrchestratorError> {
        if self.agents.get(id).is_none()
            && self.agents.refusal(id).is_none()
            && let Some(row) = self.parts.writer.store().agent(id).await?
        {
            self.agents.restore(row, steady);
        }
        Ok(())
    }

    async fn register(&mut self, turn: &mut Turn, message: Register) -> Result<Reply, OrchestratorError> {
        self.meet(message.agent, turn.moment.steady).await?;
        self.not_refused(message.agent)?;
        let agent = self.agents.register(message, turn.moment);
        turn.batch.agent(agent.row());
        turn.batch.event(Event::of_server(turn.now(), registered(agent)));
        Ok(Reply::Done)
    }

    fn heartbeat(&mut self, turn: &mut Turn, message: &Heartbeat, answer: Answer<Reply>) {
        for attempt in self.agents.take_heartbeat(message, turn.moment) {
            let reason = silence::unspoken(&self.agents.name(message.agent));
            self.lose(turn, attempt, reason);
        }
        self.settle(turn);
        let stale = self.stale_attempts(message);
        self.agents.heartbeat(message, stale, answer);
    }

    /// Attempts that an agent works on although they were given up. Attempts that it completed are none of these: it may
    /// still be cleaning up after them.
    fn stale_attempts(&self, message: &Heartbeat) -> Vec<Cancellation> {
        let is_stale = |id: &&AttemptId| {
            let held = self.runs.get(&id.run).and_then(|run| run.machine.holder(id.job, id.number));
            held != Some(message.agent) && !self.completed.knows(**id, message.agent)
        };
        let cancellation = |id: &AttemptId| Cancellation {
            attempt: *id,
            status: Status::Cancelled,
            reason: "the attempt was given up: its agent had not been heard of".to_owned(),
            at_once: false,
        };
        message.attempts.iter().filter(is_stale).map(cancellation).collect()
    }

    async fn drain_agent(&mut self, turn: &mut Turn, agent: AgentId, drain: bool) -> Result<Reply, OrchestratorError> {
        self.meet(agent, turn.moment.steady).await?;
        let row = self.agents.drain(agent, drain).ok_or(OrchestratorError::NoSuchAgent(agent))?;
        turn.batch.agent(row);
        Ok(Reply::Done)
    }

    async fn deregister_agent(
        &mut self,
        turn: &mut Turn,
        agent: AgentId,
        reason: &str,
    ) -> Result<Reply, OrchestratorError> {
        self.meet(agent, turn.moment.steady).await?;
        if self.agents.refusal(agent).is_some() {
            return Ok(Reply::Done);
        }
        let unloaded = self.agents.unload(agent, reason);
        let Removed { row, attempts, requests } =
            self.agents.deregister(agent, reason, turn.now()).ok_or(OrchestratorError::NoSuchAgent(agent))?;
        let refused = OrchestratorError::Refused { reason: reason.to_owned() };
        turn.refusals.extend(requests.into_iter().map(|answer| (answer, refused.clone())));
        let name = row.name.clone();
        turn.batch.agent(row);
        let kind = EventKind::AgentDisconnected { agent, name: name.clone(), reason: reason.to_owned() };
        for kind in iter::once(kind).chain(unloaded) {
            turn.batch.event(Event::of_server(turn.now(), kind));
        }
        for attempt in attempts {
            self.lose(turn, attempt, format!("agent `{name}` is gone: {reason}"));
        }
        Ok(Reply::Done)
    }

    /// Lets an agent speak that has registered and is not refused.
    fn admit(&mut self, turn: &mut Turn, agent: AgentId) -> Result<(), OrchestratorError> {
        self.not_refused(agent)?;
        match self.agents.heard(agent, turn.moment) {
            silence::Heard::Stranger => return Err(OrchestratorError::UnknownAgent),
            silence::Heard::Known => {}
            silence::Heard::Back => {
                if let Some(agent) = self.agents.get(agent) {
                    turn.batch.agent(agent.row());
                    turn.batch.event(Event::of_server(turn.now(), registered(agent)));
                }
            }
        }
        Ok(())
    }

    /// The same for what a stranger may send, too: it is answered that it has no such attempt.
    fn admit_known(&mut self, turn: &mut Turn, agent: AgentId) -> Result<(), OrchestratorError> {
        match self.admit(turn, agent) {
            Err(OrchestratorError::UnknownAgent) => Ok(()),
            admitted => admitted,
        }
    }

    fn not_refused(&self, agent: AgentId) -> Result<(), OrchestratorError> {
        match self.agents.refusal(agent) {
            Some(reason) => Err(OrchestratorError::Refused { reason: reason.to_owned() }),
            None => Ok(()),
        }
    }

    /// Gives an attempt up.
    pub(super) fn lose(&mut self, turn: &mut Turn, id: AttemptId, reason: String) {
        self.apply(turn, id.run, RunEvent::AttemptLost { job: id.job, attempt: id.number, reason });
    }
}

/// What is told when an agent comes, or comes back.
pub(super) fn registered(agent: &Agent) -> EventKind {
    let row = agent.row();
    EventKind::AgentRegistered {
        agent: row.id,
        name: row.name,
        labels: row.labels,
        capabilities: row.capabilities,
        slots: row.slots,
        version: row.version,
    }
}

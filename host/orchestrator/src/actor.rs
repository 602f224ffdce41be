//! The task that owns all runs: takes what waits, applies it, writes one transaction, then answers.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use oxide_bus::Bus;
use oxide_core::{
    id::{AttemptId, RunId},
    outcome::Status,
    protocol::{Cancellation, Heartbeat, Register},
    run::{DecideCondition, RunEvent, STOP_GRACE_MS},
    time::Timestamp,
};
use oxide_store::{AgentRow, OwnerId, Store, StoreError};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    Clock, NewRun, OrchestratorError, RunSummary,
    active_run::ActiveRun,
    agents::{self, Agents},
    command::{Answer, Command},
    publish::Written,
    report::Completed,
    turn::{Committed, Leased, Turn},
};

/// How much one transaction takes at most.
const COMMANDS_PER_TURN: usize = 256;
const BYTES_PER_TURN: usize = 8 << 20;
/// How often time is looked at while something waits for it.
const TICK: Duration = Duration::from_millis(250);

pub(crate) struct Actor {
    store: Store,
    owner: OwnerId,
    clock: Clock,
    decide: DecideCondition,
    publisher: mpsc::Sender<Written>,
    pub(crate) runs: HashMap<RunId, ActiveRun>,
    pub(crate) agents: Agents,
    pub(crate) completed: Completed,
    queue: VecDeque<AttemptId>,
    /// Attempts or agents came or went since it was last said why attempts wait.
    unexplained: bool,
    deadlines: BinaryHeap<Reverse<(Timestamp, RunId)>>,
    waiting: HashMap<RunId, Vec<Answer<Option<RunSummary>>>>,
    shutdown: Vec<Answer<()>>,
}

impl Actor {
    pub(crate) fn new(
        store: Store,
        owner: OwnerId,
        clock: Clock,
        decide: DecideCondition,
        publisher: mpsc::Sender<Written>,
    ) -> Actor {
        Actor {
            store,
            owner,
            clock,
            decide,
            publisher,
            runs: HashMap::new(),
            agents: Agents::default(),
            completed: Completed::default(),
            queue: VecDeque::new(),
            unexplained: true,
            deadlines: BinaryHeap::new(),
            waiting: HashMap::new(),
            shutdown: Vec::new(),
        }
    }

    /// Takes over the runs of this owner as they are stored: at the start, and when a transaction failed.
    pub(crate) async fn load(&mut self) -> Result<(), StoreError> {
        let now = (self.clock)();
        let mut transaction = self.store.begin().await?;
        let rows = transaction.open_runs(self.owner).await?;
        let mut runs = HashMap::new();
        for row in &rows {
            runs.insert(row.id, ActiveRun::load(&mut transaction, row, self.decide).await?);
        }
        drop(transaction);
        if !runs.is_empty() {
            for agent in self.store.agents().await? {
                if self.agents.get(agent.id).is_none() {
                    let AgentRow { id: agent, name, labels, slots, .. } = agent;
                    let (capabilities, version) = (Vec::new(), String::new());
                    self.agents.register(Register { agent, name, labels, slots, capabilities, version }, now);
                }
            }
        }
        self.runs = runs;
        self.queue.clear();
        self.unexplained = true;
        self.deadlines.clear();
        for row in &rows {
            self.restore(row.id, now);
        }
        Ok(())
    }

    fn restore(&mut self, id: RunId, now: Timestamp) {
        let Some(run) = self.runs.get(&id) else { return };
        let plan = run.machine.plan();
        let state = run.machine.state();
        self.queue.extend(run.machine.queued().map(|(job, attempt)| run.attempt_id(job, attempt)));
        // Deadlines need not be exact to be looked at: what has not passed is looked at again later.
        let mut from = |start: Option<Timestamp>, millis: u64| {
            self.deadlines.push(Reverse((start.unwrap_or(now).plus_millis(millis), id)));
        };
        from(state.started_at, plan.timeout_ms);
        for (stage, state) in plan.stages.iter().zip(&state.stages) {
            from(state.started_at, stage.timeout_ms);
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
                self.agents.restore_attempt(agent, id, cancellation);
            }
        }
    }

    /// Runs until it is shut down, or nobody is left who could speak to it.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, publisher: JoinHandle<()>, bus: Bus) {
        while self.shutdown.is_empty() {
            let first = match self.pause() {
                Some(pause) => tokio::select! {
                    command = commands.recv() => match command { Some(command) => Some(command), None => return },
                    () = tokio::time::sleep(pause) => None,
                },
                None => match commands.recv().await {
                    Some(command) => Some(command),
                    None => return,
                },
            };
            self.turn(first, &mut commands).await;
        }
        // Take in what was sent before the end was known; what comes later is refused.
        commands.close();
        while let Some(command) = commands.recv().await {
            self.turn(Some(command), &mut commands).await;
        }
        self.agents.drain();
        for answer in self.waiting.drain().flat_map(|(_, answers)| answers) {
            let _ = answer.send(Err(OrchestratorError::Closed));
        }
        let answers = std::mem::take(&mut self.shutdown);
        let (store, owner, nothing_left) = (self.store.clone(), self.owner, self.runs.is_empty());
        drop(self);
        // The publisher ends when all that was written is published. A panic in it is no reason not to end.
        let _ = publisher.await;
        if nothing_left && let Ok(mut transaction) = store.begin().await {
            // An owner that stays known is harmless: it has no runs.
            let _ = transaction.remove_owner(owner).await;
            let _ = transaction.commit().await;
        }
        bus.close();
        for answer in answers {
            let _ = answer.send(Ok(()));
        }
    }

    /// How long to wait for a command before time is looked at; none if nothing waits for time.
    fn pause(&self) -> Option<Duration> {
        if self.runs.is_empty() && self.agents.is_idle() {
            return None;
        }
        let now = (self.clock)();
        let next = self.deadlines.peek().map(|Reverse((at, _))| Duration::from_millis(at.millis_since(now)));
        Some(next.unwrap_or(TICK).clamp(Duration::from_millis(1), TICK))
    }

    /// One turn: everything that waits, then time, then one transaction, then the answers.
    async fn turn(&mut self, first: Option<Command>, commands: &mut mpsc::Receiver<Command>) {
        let mut turn = Turn::new((self.clock)());
        let (mut count, mut bytes) = (0, 0);
        let mut next = first;
        while let Some(command) = next.take() {
            count += 1;
            bytes += command.weight();
            self.take(&mut turn, command).await;
            if count < COMMANDS_PER_TURN && bytes < BYTES_PER_TURN {
                next = commands.try_recv().ok();
            }
        }
        self.look_at_time(&mut turn);
        self.settle(&mut turn);
        self.offer_jobs(&mut turn);
        self.settle(&mut turn);
        self.write(turn).await;
        self.agents.answer_waiting();
    }

    async fn take(&mut self, turn: &mut Turn, command: Command) {
        let now = turn.now;
        match command {
            Command::Submit(run, answer) => {
                let number = self.submit(turn, *run).await;
                turn.answer(answer, number);
            }
            Command::End(id, event, answer) => {
                let known = self.runs.get_mut(&id).map(|run| {
                    run.apply(now, event, &mut turn.batch, &mut turn.effects);
                });
                turn.answer(answer, Ok(known.is_some()));
            }
            Command::Wait(id, answer) if self.runs.contains_key(&id) => {
                self.waiting.entry(id).or_default().push(answer);
            }
            Command::Wait(_, answer) => turn.answer(answer, Ok(None)),
            Command::Register(message, answer) => {
                let Register { agent: id, name, labels, slots, .. } = message.clone();
                turn.batch.agent(AgentRow { id, name, labels, slots, registered_at: now });
                self.agents.register(message, now);
                self.unexplained = true;
                turn.answer(answer, Ok(()));
            }
            Command::Lease(agent, answer) if self.agents.heard(agent, now) => self.agents.wait_for_job(agent, answer),
            Command::Lease(_, answer) => turn.answer(answer, Err(OrchestratorError::UnknownAgent)),
            Command::Heartbeat(message, answer) if self.agents.heard(message.agent, now) => {
                let stale = self.stale_attempts(&message);
                self.agents.heartbeat(&message, stale, answer);
            }
            Command::Heartbeat(_, answer) => turn.answer(answer, Err(OrchestratorError::UnknownAgent)),
            Command::Report(report, answer) => {
                let stored = self.take_report(turn, report);
                turn.answer(answer, stored);
            }
            Command::Complete(complete, answer) => {
                let stored = self.take_completion(turn, complete);
                turn.answer(answer, Ok(stored));
            }
            Command::Shutdown(answer) => self.shutdown.push(answer),
        }
        self.settle(turn);
    }

    async fn submit(&mut self, turn: &mut Turn, run: NewRun) -> Result<u64, OrchestratorError> {
        if turn.transaction.is_none() {
            turn.transaction = Some(self.store.begin().await?);
        }
        let transaction = turn.transaction.as_mut().expect("it was begun just above");
        let number = transaction.insert_run(&run, self.owner, turn.now).await?;
        let NewRun { id, plan, .. } = run;
        let into = (turn.now, &mut turn.batch, &mut turn.effects);
        self.runs.insert(id, ActiveRun::begin(id, number, plan, self.decide, into));
        Ok(number)
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

    fn look_at_time(&mut self, turn: &mut Turn) {
        while let Some(Reverse((at, id))) = self.deadlines.peek().copied() {
            if at > turn.now {
                break;
            }
            self.deadlines.pop();
            if let Some(run) = self.runs.get_mut(&id) {
                run.apply(turn.now, RunEvent::TimerFired, &mut turn.batch, &mut turn.effects);
            }
        }
        for (id, name) in self.agents.lost(turn.now) {
            let seconds = crate::AGENT_SILENCE_MS / 1000;
            let reason = format!("agent `{name}` was not heard of for {seconds} s");
            self.unexplained = true;
            self.lose(turn, id, reason);
        }
    }

    fn lose(&mut self, turn: &mut Turn, id: AttemptId, reason: String) {
        if let Some(run) = self.runs.get_mut(&id.run) {
            let event = RunEvent::AttemptLost { job: id.job, attempt: id.number, reason };
            run.apply(turn.now, event, &mut turn.batch, &mut turn.effects);
        }
    }

    /// Brings the queue, the deadlines and the agents in line with what the machines decided.
    fn settle(&mut self, turn: &mut Turn) {
        self.unexplained |= !turn.effects.queued.is_empty();
        self.queue.extend(turn.effects.queued.drain(..));
        for (at, run) in turn.effects.deadlines.drain(..) {
            self.deadlines.push(Reverse((at, run)));
        }
        for (agent, cancellation) in turn.effects.cancellations.drain(..) {
            self.agents.cancel(agent, cancellation);
        }
        for ended in turn.effects.ended.drain(..) {
            match ended.agent {
                Some(agent) => self.agents.forget_attempt(agent, ended.id),
                None => self.queue.retain(|queued| *queued != ended.id),
            }
        }
        for run in &turn.effects.finished_runs {
            self.runs.remove(&run.id);
        }
    }

    /// Gives queued attempts to agents that wait, oldest first.
    fn offer_jobs(&mut self, turn: &mut Turn) {
        if self.queue.is_empty() {
            return;
        }
        for agent in self.agents.waiting_for_jobs() {
            let Some(known) = self.agents.get(agent) else { continue };
            let fits = |id: &AttemptId| {
                let run = self.runs.get(&id.run);
                run.is_some_and(|run| known.fits(&run.machine.plan().job(id.job).runs_on))
            };
            let Some(position) = self.queue.iter().position(fits) else { continue };
            let Some(id) = self.queue.remove(position) else { continue };
            let Some(answer) = self.agents.take_request(agent, id) else { continue };
            let Some(run) = self.runs.get_mut(&id.run) else { continue };
            self.agents.heard(agent, turn.now);
            let lease = run.lease(turn.now, (id.job, id.number), agent, &mut turn.batch, &mut turn.effects);
            turn.leases.push(Leased { answer, lease: Box::new(lease), agent });
        }
        if std::mem::take(&mut self.unexplained) {
            self.explain_waiting(turn);
        }
    }

    /// Writes down why an attempt waits that no agent can take.
    fn explain_waiting(&mut self, turn: &mut Turn) {
        for id in &self.queue {
            let Some(run) = self.runs.get_mut(&id.run) else { continue };
            let wanted = &run.machine.plan().job(id.job).runs_on;
            let nobody = !self.agents.labels().any(|labels| agents::fits(labels, wanted));
            let reason = nobody.then(|| {
                let others: Vec<_> = self.agents.labels().map(|labels| format!("[{}]", labels.join(", "))).collect();
                let others = if others.is_empty() { "there is none".to_owned() } else { others.join(" and ") };
                format!("no agent with labels [{}]; agents: {others}", wanted.join(", "))
            });
            if let Some(attempt) = run.attempts.get_mut(&(id.job, id.number))
                && attempt.row.reason != reason
            {
                attempt.row.reason = reason;
                turn.batch.attempt(attempt.row.clone());
            }
        }
    }

    /// Writes the turn and says what follows from it.
    async fn write(&mut self, mut turn: Turn) {
        let committed = self.commit(&mut turn).await;
        for answer in turn.take_answers() {
            answer(&committed);
        }
        let leases = std::mem::take(&mut turn.leases);
        match committed {
            Ok(()) => {
                for run in turn.effects.finished_runs.drain(..) {
                    for answer in self.waiting.remove(&run.id).unwrap_or_default() {
                        let _ = answer.send(Ok(Some(run.clone())));
                    }
                }
                self.hand_out(leases, turn.now).await;
            }
            Err(cause) => {
                for leased in leases {
                    let _ = leased.answer.send(Err(cause.as_ref().into()));
                }
                // What the machines know is ahead of the store: go back to what is stored. Until that can be read there is
                // nothing else to do, and who asks meanwhile waits.
                while self.load().await.is_err() {
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    }

    async fn commit(&mut self, turn: &mut Turn) -> Committed {
        if turn.batch.is_empty() && turn.transaction.is_none() {
            return Ok(());
        }
        let mut transaction = match turn.transaction.take() {
            Some(transaction) => transaction,
            None => self.store.begin().await.map_err(Arc::new)?,
        };
        let first_seq = transaction.write(&turn.batch).await.map_err(Arc::new)?;
        transaction.commit().await.map_err(Arc::new)?;
        let events = turn.batch.events().to_vec();
        if !events.is_empty() {
            // It ends after this task only.
            let _ = self.publisher.send(Written { first_seq, events }).await;
        }
        Ok(())
    }

    /// Answers leases. One that nobody takes any more is a lost attempt.
    async fn hand_out(&mut self, leases: Vec<Leased>, now: Timestamp) {
        let mut turn = Turn::new(now);
        for Leased { answer, lease, agent } in leases {
            let id = lease.attempt;
            if answer.send(Ok(Some(lease))).is_err() {
                let name = self.agents.get(agent).map(|agent| agent.name.clone()).unwrap_or_default();
                self.lose(&mut turn, id, format!("agent `{name}` went away before it took the job"));
            }
        }
        self.settle(&mut turn);
        if !turn.batch.is_empty() {
            Box::pin(self.write(turn)).await;
        }
    }
}

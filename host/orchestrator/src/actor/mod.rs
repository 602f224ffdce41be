//! The task that owns all runs: takes what waits, applies it, writes one transaction, then answers.
//!
//! One file per part of a turn: what is asked (`take.rs`, `submit.rs`, `report.rs`), time (`time.rs`), giving jobs away (`offer.rs`), the
//! transaction and what follows from it (`write.rs`); and how everything is read from the store (`load.rs`).

mod load;
mod offer;
mod report;
mod submit;
mod take;
mod time;
mod write;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use oxide_core::{
    id::RunId,
    run::{DecideCondition, RunEvent},
};
use oxide_store::{OwnerId, Writer};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use self::report::Completed;
use crate::{
    Clock, OrchestratorError, Reply, SecretSource,
    active_run::ActiveRun,
    agents::Agents,
    clock::Watch,
    command::{Answer, Command},
    concurrency::Groups,
    queue::Queue,
    tail::Hints,
    turn::Turn,
};

/// How much one transaction takes at most.
const COMMANDS_PER_TURN: usize = 256;
const BYTES_PER_TURN: usize = 8 << 20;
/// How often time is looked at while something waits for it.
const TICK: Duration = Duration::from_millis(250);
/// How often it is made sure that this server still leads.
const CHECK: Duration = Duration::from_secs(1);
/// Longer pauses between two turns mean that nobody could be heard meanwhile.
const DEAF: Duration = Duration::from_secs(5);

/// What an actor is made of.
pub(crate) struct Parts {
    pub writer: Writer,
    pub owner: OwnerId,
    pub clock: Clock,
    pub decide: DecideCondition,
    pub secrets: Arc<dyn SecretSource>,
    pub hints: Hints,
    /// Forgets old events.
    pub forgets_events: bool,
    /// The way to the actor itself, for its helpers.
    pub commands: mpsc::WeakSender<Command>,
    /// Why the last turn could not be stored; none if it was.
    pub problem: watch::Sender<Option<String>>,
}

/// Why an actor ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to. Nothing is left if all its runs have ended.
    Shutdown { nothing_left: bool },
    /// Another server leads, or may lead by now.
    LeadershipLost,
    /// Nobody is left who could speak to it.
    Abandoned,
}

pub(crate) struct Actor {
    parts: Parts,
    watch: Watch,
    runs: HashMap<RunId, ActiveRun>,
    agents: Agents,
    completed: Completed,
    queue: Queue,
    groups: Groups,
    /// When runs want to be looked at, by the steady clock.
    deadlines: BinaryHeap<Reverse<(Duration, RunId)>>,
    /// Who waits for the end of a run, and until when.
    waiting: HashMap<RunId, Vec<(Instant, Answer<Reply>)>>,
    /// When, by the steady clock, the heartbeats of agents are written next, why attempts wait is
    /// looked at next, and old events are forgotten next.
    next_beats: Duration,
    next_reasons: Duration,
    next_pruning: Duration,
    last_turn: Instant,
    last_write: Instant,
    /// When the last turn failed that was no message's fault; none once one was stored, or nothing has failed for a while.
    failed_at: Option<Instant>,
    /// When it was tried last whether the store can be written.
    last_try: Instant,
    shutdown: Vec<Answer<()>>,
    /// Messages of a turn that could not be stored, to be taken one by one.
    apart: VecDeque<Command>,
    /// Everything was just read from the store.
    was_loaded: bool,
    /// This server leads no more.
    is_deposed: bool,
}

impl Actor {
    pub(crate) fn new(parts: Parts) -> Actor {
        Actor {
            watch: Watch::new(parts.clock.clone()),
            parts,
            runs: HashMap::new(),
            agents: Agents::default(),
            completed: Completed::default(),
            queue: Queue::default(),
            groups: Groups::default(),
            deadlines: BinaryHeap::new(),
            waiting: HashMap::new(),
            next_beats: Duration::ZERO,
            next_reasons: Duration::ZERO,
            next_pruning: Duration::ZERO,
            last_turn: Instant::now(),
            last_write: Instant::now(),
            failed_at: None,
            last_try: Instant::now(),
            shutdown: Vec::new(),
            apart: VecDeque::new(),
            was_loaded: false,
            is_deposed: false,
        }
    }

    /// Runs until it is shut down, leads no more, or nobody is left who could speak to it.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> (Ended, Vec<Answer<()>>) {
        while self.shutdown.is_empty() && !self.is_deposed {
            let first = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Some(command),
                    None => return (Ended::Abandoned, Vec::new()),
                },
                () = tokio::time::sleep(self.pause()) => None,
            };
            self.turn(first, &mut commands).await;
            self.check().await;
        }
        // Take in what was sent before the end was known; what comes later is refused.
        commands.close();
        while let Some(command) = commands.recv().await {
            if !self.is_deposed {
                self.turn(Some(command), &mut commands).await;
            } else if let Command::Shutdown(answer) = command {
                self.shutdown.push(answer);
            }
        }
        if self.is_deposed {
            // All who wait find nobody, and ask the next leader.
            return (Ended::LeadershipLost, std::mem::take(&mut self.shutdown));
        }
        self.agents.dismiss();
        for (_, answer) in self.waiting.drain().flat_map(|(_, answers)| answers) {
            let _ = answer.send(Err(OrchestratorError::Closed));
        }
        (Ended::Shutdown { nothing_left: self.runs.is_empty() }, std::mem::take(&mut self.shutdown))
    }

    /// How long to wait for a command before time is looked at.
    fn pause(&self) -> Duration {
        if self.runs.is_empty() && self.agents.is_idle() && self.waiting.is_empty() {
            return CHECK;
        }
        let steady = self.watch.steady();
        let next = self.deadlines.peek().map(|Reverse((at, _))| at.saturating_sub(steady));
        next.unwrap_or(TICK).clamp(Duration::from_millis(1), TICK)
    }

    /// Takes everything that waits, in one turn if it can be.
    async fn turn(&mut self, first: Option<Command>, commands: &mut mpsc::Receiver<Command>) {
        let turn = Turn::new(self.watch.look());
        self.take_turn(turn, first, || commands.try_recv().ok()).await;
        while !self.is_deposed
            && let Some(command) = self.apart.pop_front()
        {
            let turn = Turn { is_apart: true, ..Turn::new(self.watch.look()) };
            self.take_turn(turn, Some(command), || None).await;
        }
    }

    /// One turn: what is there, then time, then one transaction, then the answers.
    async fn take_turn(&mut self, mut turn: Turn, first: Option<Command>, mut more: impl FnMut() -> Option<Command>) {
        self.look_at_clocks(&turn);
        let (mut count, mut bytes) = (0, 0);
        let mut next = first;
        while let Some(command) = next.take() {
            count += command.count();
            bytes += command.weight();
            self.take(&mut turn, command).await;
            if count < COMMANDS_PER_TURN && bytes < BYTES_PER_TURN && turn.failed.is_none() {
                next = more();
            }
        }
        self.begin_restored(&mut turn);
        self.look_at_time(&mut turn);
        self.forget_old_events(&mut turn).await;
        self.settle(&mut turn);
        self.offer_jobs(&mut turn);
        self.settle(&mut turn);
        self.explain(&mut turn);
        self.write(turn).await;
        self.agents.answer_waiting();
        self.last_turn = Instant::now();
    }

    /// Makes sure that this server still leads, if nothing else has told it for a while.
    async fn check(&mut self) {
        if self.failed_at.is_some() && self.last_try.elapsed() >= CHECK {
            self.last_try = Instant::now();
            self.try_to_store().await;
        }
        if self.last_write.elapsed() < CHECK || self.is_deposed {
            return;
        }
        self.last_write = Instant::now();
        if let Err(error) = self.parts.writer.check().await {
            let cause = crate::error::Cause::of(&error).chain();
            tracing::warn!(cause, "this server leads no more");
            self.is_deposed = true;
        }
    }

    /// Lets a run that is executed here take in an event. Tells whether there is one.
    fn apply(&mut self, turn: &mut Turn, id: RunId, event: RunEvent) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        run.apply(turn.now(), event, &mut turn.batch, &mut turn.effects);
        true
    }
}

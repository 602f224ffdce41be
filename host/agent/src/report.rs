//! Carries what happens in one attempt to the orchestrator, in numbered batches and in order, and at last how it ended.
//!
//! Steps do not wait for a batch to be stored. While the orchestrator is slow or away, batches go to the disk, if the agent
//! has a [`Spool`](crate::spool); where there is none, or it is full, steps are slowed down. Nothing that was taken in is
//! lost before the orchestrator has it or says that nobody wants it.

use std::{io, sync::Arc, time::Duration};

use oxide_core::{
    cause::in_one_line,
    event::StepRecord,
    id::{AgentId, AttemptId},
    protocol::{Acknowledgement, Complete, LogChunk, OrchestratorLink, Report, StepChange, StepChangeKind},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    link::insist::{Unheard, insist},
    restart::lost,
    spool::{AttemptSpool, Message},
};

/// Changes that fill a report.
const CHANGES_MAX: usize = 256;
/// Bytes of log, before compression, or of records of steps that fill a report.
const BYTES_MAX: usize = 1 << 20;
/// How long a change waits for company.
const FLUSH_AFTER: Duration = Duration::from_millis(20);
/// How many changes and chunks may wait to be stored.
const WAITING_MAX: usize = 1024;
/// How many bytes of compressed log may wait to be stored.
const WAITING_LOG_BYTES_MAX: usize = 16 << 20;
/// How long a report may be on its way before it is kept on disk, so that the next one can be taken in.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a full disk is left alone.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Takes what happened in one attempt. Cloned freely; the last batch leaves when it is flushed or the last clone dropped.
#[derive(Clone)]
pub struct Reporter {
    sender: mpsc::Sender<Item>,
    log_budget: Arc<Semaphore>,
}

enum Item {
    Change(StepChange),
    Log(LogChunk, OwnedSemaphorePermit),
    Flush(oneshot::Sender<()>),
    Complete(Box<Complete>, oneshot::Sender<()>),
}

/// Why an attempt is not this agent's any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The orchestrator has given it up, or the agent, or has shut down: nobody wants to hear of it.
    Gone,
    /// What happens in it cannot be told any more: it must end, and that can be told.
    GivenUp,
}

/// Says so when the attempt is not this agent's any more.
pub type Lost = watch::Receiver<Option<Loss>>;

impl Reporter {
    /// Starts to carry reports of an attempt. Must be called within a tokio runtime.
    pub fn start(link: Arc<dyn OrchestratorLink>, agent: AgentId, attempt: AttemptId) -> (Reporter, Lost) {
        Reporter::start_with(link, agent, attempt, None)
    }

    /// The same with a place on disk for what does not get through.
    pub(crate) fn start_with(
        link: Arc<dyn OrchestratorLink>,
        agent: AgentId,
        attempt: AttemptId,
        spool: Option<AttemptSpool>,
    ) -> (Reporter, Lost) {
        let (sender, items) = mpsc::channel(WAITING_MAX);
        let (lost_sender, lost) = watch::channel(None);
        let carrier = Carrier {
            link,
            agent,
            attempt,
            number: 0,
            items,
            next: None,
            held: None,
            spool,
            sending: None,
            given_up_because: None,
            end: None,
            lost: lost_sender,
            waiters: Vec::new(),
            is_told_full: false,
        };
        tokio::spawn(carrier.run());
        (Reporter { sender, log_budget: Arc::new(Semaphore::new(WAITING_LOG_BYTES_MAX)) }, lost)
    }

    /// Tells of a change. Waits only while far too much waits to be stored.
    pub async fn change(&self, change: StepChange) {
        // The carrier lives as long as there is a sender.
        let _ = self.sender.send(Item::Change(change)).await;
    }

    /// Tells of log lines. Waits while too much waits to be stored.
    pub async fn log(&self, chunk: LogChunk) {
        let bytes = u32::try_from(chunk.body.len().min(WAITING_LOG_BYTES_MAX)).expect("16 MiB fit in 32 bits");
        let Ok(permit) = Arc::clone(&self.log_budget).acquire_many_owned(bytes).await else { return };
        let _ = self.sender.send(Item::Log(chunk, permit)).await;
    }

    /// Waits until everything told so far is stored, or the attempt is lost.
    pub async fn flush(&self) {
        let (sender, stored) = oneshot::channel();
        if self.sender.send(Item::Flush(sender)).await.is_ok() {
            let _ = stored.await;
        }
    }

    /// Tells how the attempt ended, after all else, and waits until that is stored or nobody wants to know it. Then nothing of
    /// the attempt is left in the spool. Nothing may be told afterwards.
    pub async fn complete(&self, complete: Complete) {
        let (sender, stored) = oneshot::channel();
        if self.sender.send(Item::Complete(Box::new(complete), sender)).await.is_ok() {
            let _ = stored.await;
        }
    }
}

/// What goes into one report.
#[derive(Default)]
struct Batch {
    changes: Vec<StepChange>,
    logs: Vec<LogChunk>,
    bytes: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Batch {
    /// Adds what can be part of a report. Gives the rest back.
    fn add(&mut self, item: Item) -> Option<Item> {
        match item {
            Item::Change(change) => {
                self.bytes += size_of(&change);
                self.changes.push(change);
            }
            Item::Log(chunk, permit) => {
                self.bytes += chunk.raw_bytes as usize;
                self.logs.push(chunk);
                self.permits.push(permit);
            }
            other => return Some(other),
        }
        None
    }

    fn is_full(&self) -> bool {
        self.changes.len() >= CHANGES_MAX || self.bytes >= BYTES_MAX
    }
}

/// About as many bytes as the change has on its way: only a record can be large.
fn size_of(change: &StepChange) -> usize {
    match &change.kind {
        StepChangeKind::Completed(record) => size_of_record(record),
        _ => 0,
    }
}

fn size_of_record(record: &StepRecord) -> usize {
    let outputs = match record.outputs.is_empty() {
        true => 0,
        false => serde_json::to_string(&record.outputs).map_or(0, |text| text.len()),
    };
    let annotations: usize = record.annotations.iter().map(|annotation| annotation.message.len() + 100).sum();
    let failure = record.failure.as_ref().map_or(0, |failure| failure.message.len() + failure.stderr_tail.len());
    outputs + annotations + failure + record.summary.len()
}

/// The newest message, as long as it is in memory alone.
struct Held {
    message: Message,
    /// Given back when the message is on disk or has got through.
    _permits: Vec<OwnedSemaphorePermit>,
    /// When it goes to the disk.
    to_disk_at: Instant,
}

/// Messages go this way: taken in one after the other ([`Carrier::take`]), held in memory, kept on disk if they do not get
/// through soon, and sent, the oldest first.
struct Carrier {
    link: Arc<dyn OrchestratorLink>,
    agent: AgentId,
    attempt: AttemptId,
    number: u64,
    items: mpsc::Receiver<Item>,
    /// What ended the last batch.
    next: Option<Item>,
    held: Option<Held>,
    spool: Option<AttemptSpool>,
    /// The oldest message, on its way.
    sending: Option<Sending>,
    /// Why nothing more of the attempt but its end can be told.
    given_up_because: Option<String>,
    /// The end of the attempt, once it was taken in. Nothing follows it.
    end: Option<Complete>,
    lost: watch::Sender<Option<Loss>>,
    /// Those who wait until everything got through.
    waiters: Vec<oneshot::Sender<()>>,
    is_told_full: bool,
}

type Sending = JoinHandle<Result<Acknowledgement, Undelivered>>;

/// What the carrier waits for.
enum Step {
    Sent(Result<Acknowledgement, Undelivered>),
    KeepOnDisk,
    Item(Option<Item>),
}

impl Carrier {
    async fn run(mut self) {
        loop {
            self.send_next();
            if self.sending.is_none() {
                for waiter in self.waiters.drain(..) {
                    // Whoever does not wait any more need not hear it.
                    let _ = waiter.send(());
                }
            }
            match self.next_step().await {
                Step::Sent(answer) => self.on_answer(answer),
                Step::KeepOnDisk => self.keep_on_disk(),
                Step::Item(Some(item)) => self.take(item).await,
                Step::Item(None) => break,
            }
        }
        // All reporters are gone; what was told counts.
        while let Some(task) = self.sending.take() {
            self.on_answer(answer_of(task.await));
            self.send_next();
        }
    }

    async fn next_step(&mut self) -> Step {
        let takes_more = self.held.is_none();
        if takes_more && let Some(item) = self.next.take() {
            return Step::Item(Some(item));
        }
        let to_disk_at = self.held.as_ref().filter(|_| self.spool.is_some()).map(|held| held.to_disk_at);
        tokio::select! {
            biased;
            sent = ended(&mut self.sending) => {
                self.sending = None;
                Step::Sent(sent)
            }
            () = tokio::time::sleep_until(to_disk_at.unwrap_or_else(Instant::now)), if to_disk_at.is_some() => {
                Step::KeepOnDisk
            }
            item = self.items.recv(), if takes_more => Step::Item(item),
        }
    }

    /// Puts the oldest message on its way, if none is.
    fn send_next(&mut self) {
        if self.sending.is_some() {
            return;
        }
        let link = Arc::clone(&self.link);
        if let Some(head) = self.spool.as_ref().and_then(AttemptSpool::head) {
            self.sending = Some(tokio::spawn(async move {
                match head.read() {
                    Ok(message) => deliver(&*link, &message).await,
                    Err(error) => Err(Undelivered::Unreadable(error)),
                }
            }));
        } else if let Some(held) = &self.held {
            let message = held.message.clone();
            self.sending = Some(tokio::spawn(async move { deliver(&*link, &message).await }));
        }
    }

    fn on_answer(&mut self, answer: Result<Acknowledgement, Undelivered>) {
        match answer {
            Ok(Acknowledgement::Stored | Acknowledgement::Duplicate) => self.forget_oldest(),
            Ok(Acknowledgement::Stale) => {
                tracing::info!(
                    "attempt {}: the server refused a report, for it is not this agent's any more; it is stopped",
                    self.attempt
                );
                self.lose(Loss::Gone);
                self.spool.take().into_iter().for_each(AttemptSpool::forget);
            }
            Err(Undelivered::Gone) => {
                self.lose(Loss::Gone);
                // What is on disk stays there: an agent that is wanted again can still tell it.
                self.spool = None;
            }
            Err(error) => self.give_up(error.to_string()),
        }
    }

    /// The oldest message got through.
    fn forget_oldest(&mut self) {
        match &mut self.spool {
            Some(spool) if !spool.is_empty() => spool.pop(),
            _ => self.held = None,
        }
        let nothing_waits = self.waiting() == 0;
        if self.end.is_some() && nothing_waits {
            self.spool.take().into_iter().for_each(AttemptSpool::forget);
        }
        if self.is_told_full && nothing_waits {
            self.is_told_full = false;
            tracing::info!("attempt {}: reports get through again", self.attempt);
        }
    }

    /// How many messages did not get through yet.
    fn waiting(&self) -> usize {
        self.spool.as_ref().map_or(0, AttemptSpool::len) + usize::from(self.held.is_some())
    }

    /// The oldest message will never get through.
    fn give_up(&mut self, reason: String) {
        tracing::error!("attempt {}: {reason}; it is given up", self.attempt);
        let is_the_end = self.end.is_some() && self.waiting() == 1;
        self.lose(Loss::GivenUp);
        match self.end.clone() {
            // It was the end that is not taken.
            Some(_) if is_the_end => self.spool.take().into_iter().for_each(AttemptSpool::forget),
            Some(end) => self.hold_end(Complete { outcome: lost(&reason), ..end }),
            None => self.given_up_because = Some(reason),
        }
    }

    /// Nothing more of what happened is told.
    fn lose(&mut self, loss: Loss) {
        self.held = None;
        if let Some(spool) = &mut self.spool
            && loss == Loss::GivenUp
        {
            spool.clear();
        }
        if *self.lost.borrow() != Some(Loss::Gone) {
            self.lost.send_replace(Some(loss));
        }
    }

    /// At once on disk: an agent that is killed now shall know that the job had ended.
    fn hold_end(&mut self, end: Complete) {
        self.end = Some(end.clone());
        self.hold(Message::Complete(end), Vec::new(), Duration::ZERO);
        self.keep_on_disk();
    }

    async fn take(&mut self, first: Item) {
        match first {
            Item::Flush(done) => self.waiters.push(done),
            Item::Complete(end, done) => {
                self.waiters.push(done);
                match self.given_up_because.take() {
                    _ if *self.lost.borrow() == Some(Loss::Gone) => {}
                    Some(reason) => self.hold_end(Complete { outcome: lost(&reason), ..*end }),
                    None => self.hold_end(*end),
                }
            }
            Item::Change(_) | Item::Log(..) => {
                let mut batch = Batch::default();
                self.next = batch.add(first);
                self.fill(&mut batch).await;
                if self.lost.borrow().is_none() {
                    let Batch { changes, logs, permits, .. } = batch;
                    self.number += 1;
                    let (agent, attempt, number) = (self.agent, self.attempt, self.number);
                    // Behind others that wait it cannot get through soon.
                    let patience = if self.sending.is_some() { Duration::ZERO } else { PATIENCE };
                    self.hold(Message::Report(Report { agent, attempt, number, changes, logs }), permits, patience);
                }
            }
        }
    }

    fn hold(&mut self, message: Message, permits: Vec<OwnedSemaphorePermit>, patience: Duration) {
        self.held = Some(Held { message, _permits: permits, to_disk_at: Instant::now() + patience });
    }

    async fn fill(&mut self, batch: &mut Batch) {
        let deadline = Instant::now() + FLUSH_AFTER;
        while !batch.is_full() && self.next.is_none() {
            match tokio::time::timeout_at(deadline, self.items.recv()).await {
                Ok(Some(item)) => self.next = batch.add(item),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn keep_on_disk(&mut self) {
        let (Some(spool), Some(held)) = (&mut self.spool, &mut self.held) else { return };
        match spool.append(&held.message) {
            Ok(()) => self.held = None,
            Err(error) => {
                held.to_disk_at = Instant::now() + FULL_PAUSE;
                if !self.is_told_full {
                    self.is_told_full = true;
                    let error = in_one_line(&error);
                    tracing::warn!(
                        "attempt {}: {error}; its job is slowed down until reports get through",
                        self.attempt
                    );
                }
            }
        }
    }
}

async fn ended(sending: &mut Option<Sending>) -> Result<Acknowledgement, Undelivered> {
    match sending {
        Some(task) => answer_of(task.await),
        None => std::future::pending().await,
    }
}

fn answer_of(
    ended: Result<Result<Acknowledgement, Undelivered>, tokio::task::JoinError>,
) -> Result<Acknowledgement, Undelivered> {
    // A task that broke off would do so again.
    ended.unwrap_or_else(|error| Err(Undelivered::Unreadable(io::Error::other(error))))
}

/// Why a message will not get through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    /// Nobody is there who would want it.
    #[error("nobody wants to know any more")]
    Gone,
    /// It is not taken as it is.
    #[error("the server does not take a report of it: {0}")]
    Rejected(String),
    /// The disk does not give it back.
    #[error("what was kept on disk of it cannot be read any more: {0}")]
    Unreadable(io::Error),
}

/// Says a message again and again until it gets through.
pub(crate) async fn deliver(link: &dyn OrchestratorLink, message: &Message) -> Result<Acknowledgement, Undelivered> {
    let answer = match message {
        Message::Report(report) => insist(|| link.report(report.clone())).await,
        Message::Complete(complete) => insist(|| link.complete(complete.clone())).await,
    };
    answer.map_err(|unheard| match unheard {
        Unheard::Closed | Unheard::Refused(_) => Undelivered::Gone,
        Unheard::Rejected(reason) => Undelivered::Rejected(reason),
    })
}

#[cfg(test)]
mod tests;

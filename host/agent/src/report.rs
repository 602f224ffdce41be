//! Carries what happens in one attempt to the orchestrator, in numbered batches.
//!
//! Steps do not wait for a batch to be stored; only a store that falls far behind slows them down. Order is kept.

use std::{sync::Arc, time::Duration};

use oxide_core::{
    id::{AgentId, AttemptId},
    protocol::{Acknowledgement, LinkError, LogChunk, OrchestratorLink, Report, StepChange},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::Instant,
};

/// Changes that fill a report.
const CHANGES_MAX: usize = 256;
/// Bytes of log, before compression, that fill a report.
const LOG_BYTES_MAX: usize = 1 << 20;
/// How long a change waits for company.
const FLUSH_AFTER: Duration = Duration::from_millis(20);
/// How many changes and chunks may wait to be stored.
const WAITING_MAX: usize = 1024;
/// How many bytes of compressed log may wait to be stored.
const WAITING_LOG_BYTES_MAX: usize = 16 << 20;
/// The longest pause before a message that did not get through is sent again.
const PAUSE_MAX: Duration = Duration::from_secs(1);

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
}

/// Turns true when the attempt is not this agent's any more: the orchestrator refused a report, or has shut down.
pub type Lost = watch::Receiver<bool>;

impl Reporter {
    /// Starts to carry reports of an attempt. Must be called within a tokio runtime.
    pub fn start(link: Arc<dyn OrchestratorLink>, agent: AgentId, attempt: AttemptId) -> (Reporter, Lost) {
        let (sender, items) = mpsc::channel(WAITING_MAX);
        let (lost_sender, lost) = watch::channel(false);
        let carrier = Carrier { link, agent, attempt, number: 0, items, lost: lost_sender };
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
}

/// What goes into one report.
#[derive(Default)]
struct Batch {
    changes: Vec<StepChange>,
    logs: Vec<LogChunk>,
    log_bytes: usize,
    permits: Vec<OwnedSemaphorePermit>,
    flushes: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn add(&mut self, item: Item) {
        match item {
            Item::Change(change) => self.changes.push(change),
            Item::Log(chunk, permit) => {
                self.log_bytes += chunk.raw_bytes as usize;
                self.logs.push(chunk);
                self.permits.push(permit);
            }
            Item::Flush(done) => self.flushes.push(done),
        }
    }

    fn is_full(&self) -> bool {
        self.changes.len() >= CHANGES_MAX || self.log_bytes >= LOG_BYTES_MAX || !self.flushes.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.logs.is_empty()
    }
}

struct Carrier {
    link: Arc<dyn OrchestratorLink>,
    agent: AgentId,
    attempt: AttemptId,
    number: u64,
    items: mpsc::Receiver<Item>,
    lost: watch::Sender<bool>,
}

impl Carrier {
    async fn run(mut self) {
        while let Some(first) = self.items.recv().await {
            let mut batch = Batch::default();
            batch.add(first);
            self.fill(&mut batch).await;
            if !batch.is_empty() && !*self.lost.borrow() {
                self.send(&mut batch).await;
            }
            for done in batch.flushes {
                let _ = done.send(());
            }
        }
    }

    async fn fill(&mut self, batch: &mut Batch) {
        let deadline = Instant::now() + FLUSH_AFTER;
        while !batch.is_full() {
            match tokio::time::timeout_at(deadline, self.items.recv()).await {
                Ok(Some(item)) => batch.add(item),
                Ok(None) | Err(_) => return,
            }
        }
    }

    async fn send(&mut self, batch: &mut Batch) {
        self.number += 1;
        let report = Report {
            agent: self.agent,
            attempt: self.attempt,
            number: self.number,
            changes: std::mem::take(&mut batch.changes),
            logs: std::mem::take(&mut batch.logs),
        };
        let link = &self.link;
        match insist(|| link.report(report.clone())).await {
            Ok(Acknowledgement::Stored | Acknowledgement::Duplicate) => {}
            Ok(Acknowledgement::Stale) | Err(Closed) => {
                self.lost.send_replace(true);
            }
        }
    }
}

/// The orchestrator has shut down: nobody will answer any more.
#[derive(Debug)]
pub(crate) struct Closed;

/// Sends a message again and again until it gets through.
pub(crate) async fn insist<T, F>(mut send: impl FnMut() -> F) -> Result<T, Closed>
where
    F: Future<Output = Result<T, LinkError>>,
{
    let mut pause = Duration::from_millis(20);
    loop {
        match send().await {
            Ok(answer) => return Ok(answer),
            Err(LinkError::Closed) => return Err(Closed),
            Err(LinkError::Unavailable(_)) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests;

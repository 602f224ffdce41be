//! The log of one call: counts and bounds what is written, and keeps the end of the plugin's own standard error.
//!
//! Everything that writes goes through here: the plugin's output, the `log` capability, processes, and the host itself.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{
    protocol::LogStream,
    secret::{MaskStream, Masker},
};
use tokio::sync::Notify;

use crate::environment::{LogLimitReached, LogSink};

/// So many bytes of the plugin's standard error are attached to a failure.
const STDERR_TAIL_BYTES: usize = 4 << 10;

/// A plugin that asks before it writes has one write waiting for each of its streams.
const QUEUE_WRITES_MAX: usize = 16;

/// The [`LogSink`] that one call and its processes write to.
pub(crate) struct StepLog {
    sink: Arc<dyn LogSink>,
    allowed: u64,
    written: AtomicU64,
    reached: AtomicBool,
    wake: Notify,
    /// What the plugin wrote without waiting. It comes before everything that is written later.
    queue: Mutex<VecDeque<(LogStream, Bytes)>>,
    /// Held while the queue is emptied, so that nothing overtakes.
    emptying: tokio::sync::Mutex<()>,
    stderr_tail: Mutex<Tail>,
    masker: Arc<Masker>,
    /// What each stream holds back because a secret may begin there.
    masked: Mutex<[MaskStream; 3]>,
}

/// The end of the plugin's own standard error, masked.
#[derive(Default)]
struct Tail {
    text: Vec<u8>,
    masked: MaskStream,
}

impl StepLog {
    pub fn new(sink: Arc<dyn LogSink>, allowed: u64, masker: Arc<Masker>) -> Self {
        StepLog {
            sink,
            allowed,
            written: AtomicU64::new(0),
            reached: AtomicBool::new(false),
            wake: Notify::new(),
            queue: Mutex::new(VecDeque::new()),
            emptying: tokio::sync::Mutex::new(()),
            stderr_tail: Mutex::default(),
            masker,
            masked: Mutex::default(),
        }
    }

    /// How many bytes may be written.
    pub fn allowed(&self) -> u64 {
        self.allowed
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Has the step written more than it may?
    pub fn is_limit_reached(&self) -> bool {
        self.reached.load(Relaxed)
    }

    /// Waits until the step has written more than it may, by whatever way.
    pub async fn limit_reached(&self) {
        loop {
            let wake = self.wake.notified();
            if self.is_limit_reached() {
                return;
            }
            wake.await;
        }
    }

    /// The end of what the plugin wrote to its standard error.
    pub fn stderr_tail(&self) -> String {
        let tail = lock(&self.stderr_tail);
        let mut text = tail.text.clone();
        text.extend(tail.masked.clone().end(&self.masker));
        let start = text.len().saturating_sub(STDERR_TAIL_BYTES);
        // A character that the cut has halved is left out.
        let start = (start..text.len()).find(|&at| text[at] & 0xC0 != 0x80).unwrap_or(text.len());
        String::from_utf8_lossy(&text[start..]).trim_end().to_owned()
    }

    /// Takes bytes of the plugin's own output and waits until they are in the log.
    pub async fn write_output(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        self.keep_stderr(stream, &bytes);
        self.write(stream, bytes).await
    }

    /// Takes bytes of the plugin's own output without waiting; [`StepLog::flush`] writes them. False if so much waits
    /// already that the plugin cannot have asked whether it may write.
    pub fn queue_output(&self, stream: LogStream, bytes: Bytes) -> bool {
        let mut queue = lock(&self.queue);
        if queue.len() >= QUEUE_WRITES_MAX {
            return false;
        }
        self.keep_stderr(stream, &bytes);
        queue.push_back((stream, bytes));
        true
    }

    /// Says something of the host's own where nobody can wait. What comes too fast is left out.
    pub fn note(&self, line: String) {
        self.queue_output(LogStream::Host, line.into());
    }

    /// Is there nothing that waits for [`StepLog::flush`]?
    pub fn is_flushed(&self) -> bool {
        lock(&self.queue).is_empty()
    }

    /// Writes what was queued.
    pub async fn flush(&self) -> Result<(), LogLimitReached> {
        if self.is_flushed() {
            return Ok(());
        }
        let _turn = self.emptying.lock().await;
        loop {
            // Taken out only when written: whoever is cancelled here loses nothing.
            let Some((stream, bytes)) = lock(&self.queue).front().cloned() else { return Ok(()) };
            let written = self.write_through(stream, bytes).await;
            lock(&self.queue).pop_front();
            written?;
        }
    }

    /// Writes what was held back: nothing follows any more.
    pub async fn end(&self) -> Result<(), LogLimitReached> {
        self.flush().await?;
        let held = std::mem::take(&mut *lock(&self.masked));
        for (mut masked, stream) in held.into_iter().zip([LogStream::Stdout, LogStream::Stderr, LogStream::Host]) {
            if masked.is_holding() {
                self.sink.write(stream, masked.end(&self.masker).into()).await?;
            }
        }
        Ok(())
    }

    async fn write_through(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        let length = bytes.len() as u64;
        let before = self.written.fetch_add(length, Relaxed);
        let room = self.allowed.saturating_sub(before);
        let result = if length <= room {
            self.write_masked(stream, bytes).await
        } else {
            let fits = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            if fits > 0 {
                // The error of the step is the same, whether the sink has room for the rest or not.
                self.write_masked(stream, bytes.slice(..fits)).await.ok();
            }
            Err(LogLimitReached { allowed: self.allowed })
        };
        if result.is_err() && !self.reached.swap(true, Relaxed) {
            self.wake.notify_waiters();
        }
        result
    }

    async fn write_masked(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        if self.masker.is_empty() {
            return self.sink.write(stream, bytes).await;
        }
        let slot = match stream {
            LogStream::Stdout => 0,
            LogStream::Stderr => 1,
            LogStream::Host => 2,
        };
        let masked = lock(&self.masked)[slot].push(&self.masker, &bytes);
        match masked.is_empty() {
            true => Ok(()),
            false => self.sink.write(stream, masked.into()).await,
        }
    }

    fn keep_stderr(&self, stream: LogStream, bytes: &[u8]) {
        if stream != LogStream::Stderr {
            return;
        }
        let tail = &mut *lock(&self.stderr_tail);
        // Masked before it is cut: half of a secret would not be recognised.
        tail.text.extend(tail.masked.push(&self.masker, bytes));
        // Moved only now and then, not for every line.
        if tail.text.len() > 4 * STDERR_TAIL_BYTES {
            let surplus = tail.text.len() - STDERR_TAIL_BYTES;
            tail.text.drain(..surplus);
        }
    }
}

#[async_trait]
impl LogSink for StepLog {
    async fn write(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        self.flush().await?;
        self.write_through(stream, bytes).await
    }
}

/// The data behind these locks is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryLog;

    #[tokio::test]
    async fn what_was_queued_comes_first() {
        let sink = Arc::new(MemoryLog::default());
        let log = StepLog::new(sink.clone(), 1000, Arc::default());
        assert!(log.queue_output(LogStream::Stdout, "one ".into()));
        assert!(log.queue_output(LogStream::Stderr, "two ".into()));
        assert!(!log.is_flushed());
        log.write(LogStream::Host, "three".into()).await.unwrap();
        assert_eq!(sink.text(), "one two three");
        assert_eq!((log.written(), log.is_flushed()), (13, true));
        assert_eq!(log.stderr_tail(), "two");
    }

    #[test]
    fn a_queue_that_nobody_empties_is_bounded() {
        let log = StepLog::new(Arc::new(MemoryLog::default()), u64::MAX, Arc::default());
        let taken = (0..100).filter(|_| log.queue_output(LogStream::Stdout, "x".into())).count();
        assert_eq!(taken, QUEUE_WRITES_MAX);
    }

    #[tokio::test]
    async fn what_fits_is_kept_and_the_rest_is_an_error() {
        let sink = Arc::new(MemoryLog::default());
        let log = StepLog::new(sink.clone(), 5, Arc::default());
        log.write(LogStream::Stdout, "abc".into()).await.unwrap();
        let error = log.write(LogStream::Stdout, "defg".into()).await.unwrap_err();
        assert_eq!(error, LogLimitReached { allowed: 5 });
        assert_eq!(sink.text(), "abcde");
        log.limit_reached().await;
    }

    #[tokio::test]
    async fn the_tail_is_the_last_4_kib_and_whole_characters() {
        let log = StepLog::new(Arc::new(MemoryLog::default()), u64::MAX, Arc::default());
        for _ in 0..10_000 {
            log.write_output(LogStream::Stderr, "äö\n".into()).await.unwrap();
        }
        let tail = log.stderr_tail();
        assert!(tail.len() <= STDERR_TAIL_BYTES && tail.len() > STDERR_TAIL_BYTES - 8, "{}", tail.len());
        assert!(!tail.contains('\u{fffd}'), "no halved character");
        assert!(tail.ends_with("äö"));
    }

    #[tokio::test]
    async fn a_secret_never_reaches_the_log_however_it_is_written() {
        let masker = Arc::new(Masker::new(&[oxide_core::secret::SecretValue::new("hunter22").unwrap()]));
        let sink = Arc::new(MemoryLog::default());
        let log = StepLog::new(sink.clone(), 1000, masker);
        log.write(LogStream::Stdout, "it is hun".into()).await.unwrap();
        assert!(log.queue_output(LogStream::Stderr, "or hunter22".into()));
        log.write(LogStream::Stdout, "ter22, hunte".into()).await.unwrap();
        log.end().await.unwrap();
        assert_eq!(sink.text(), "it is or ******, hunte");
        assert_eq!(log.stderr_tail(), "or ***");
    }
}

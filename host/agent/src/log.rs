//! The log of one step: what arrives in pieces of any size leaves as numbered, compressed chunks of whole lines.
//!
//! A [`LogWriter`] is the [`LogSink`] that the runtime and the environments write to; chunks go to the
//! [`Reporter`](crate::report::Reporter). A line is never copied on its own: bytes are scanned for the last line break
//! and moved in bulk.

use std::{
    cell::RefCell,
    mem,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{
    id::StepIndex,
    limit::LimitKind,
    outcome::{Failure, FailureCause},
    protocol::{LogChunk, LogMark, LogStream},
    quantity,
    time::Timestamp,
};
use oxide_runtime::environment::{LogLimitReached, LogSink};
use tokio::sync::Mutex;

use crate::{Clock, report::Reporter};

/// Bytes of lines that make a chunk.
const CHUNK_BYTES: usize = 256 << 10;
/// A line that reaches this length is split, at most a chunk later.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Stands at the end of what was split, so that nobody takes it for a line of its own.
const CUT: &[u8] = " … [line cut at 1 MiB, it goes on below]".as_bytes();
/// How long a line waits for company at most, so that a log can be watched.
const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// Writes the log of one step of one attempt. Cloned freely.
#[derive(Clone)]
pub struct LogWriter {
    shared: Arc<Shared>,
}

struct Shared {
    buffer: Mutex<Buffer>,
    reporter: Reporter,
    clock: Clock,
}

impl LogWriter {
    /// The log of a step that may hold `limit` bytes.
    pub fn new(step: StepIndex, limit: u64, reporter: Reporter, clock: Clock) -> Self {
        LogWriter { shared: Arc::new(Shared { buffer: Mutex::new(Buffer::new(step, limit)), reporter, clock }) }
    }

    /// Writes a line of the host's own.
    pub async fn host_line(&self, text: &str) {
        let mut line = Vec::with_capacity(text.len() + 1);
        line.extend_from_slice(text.as_bytes());
        line.push(b'\n');
        // A full log has said so already.
        let _ = self.write(LogStream::Host, line.into()).await;
    }

    /// Passes on what is left, unfinished last lines too. Later writes are still taken.
    pub async fn finish(&self) {
        let mut buffer = self.shared.buffer.lock().await;
        let now = (self.shared.clock)();
        buffer.end_partial_lines(now);
        self.shared.pass_on(&mut buffer).await;
    }

    /// Says at which try what follows was written, and gives that try the whole limit again.
    pub async fn begin_try(&self, number: u32, of: u32) {
        {
            let mut buffer = self.shared.buffer.lock().await;
            let now = (self.shared.clock)();
            buffer.end_partial_lines(now);
            (buffer.taken, buffer.closed) = (0, false);
        }
        self.host_line(&format!("try {number} of {of}")).await;
    }

    /// Says in the log that it is full, if a failure was that: whoever measures the limit may have kept the rest away.
    pub async fn close_if_full(&self, failure: &Failure) {
        let is_log_limit = matches!(failure.cause, FailureCause::Limit { limit: LimitKind::Log, .. });
        let mut buffer = self.shared.buffer.lock().await;
        if is_log_limit && !buffer.closed {
            let now = (self.shared.clock)();
            buffer.close(now);
            self.shared.pass_on(&mut buffer).await;
        }
    }

    /// How many bytes were written and kept.
    pub async fn bytes_written(&self) -> u64 {
        self.shared.buffer.lock().await.taken
    }
}

#[async_trait]
impl LogSink for LogWriter {
    async fn write(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        // The lock is held while a chunk waits to be passed on: that is what slows the writer down.
        let mut buffer = self.shared.buffer.lock().await;
        let allowed = buffer.limit;
        if buffer.closed {
            return Err(LogLimitReached { allowed });
        }
        let room = usize::try_from(allowed - buffer.taken).unwrap_or(usize::MAX);
        let now = (self.shared.clock)();
        let mut rest = &bytes[..bytes.len().min(room)];
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(CHUNK_BYTES));
            buffer.add(stream, piece, now);
            rest = more;
            if buffer.lines.len() >= CHUNK_BYTES {
                self.shared.pass_on(&mut buffer).await;
            }
        }
        if bytes.len() > room {
            buffer.close(now);
            self.shared.pass_on(&mut buffer).await;
            return Err(LogLimitReached { allowed });
        }
        if !buffer.lines.is_empty() && !buffer.flush_planned {
            buffer.flush_planned = true;
            tokio::spawn(flush_later(Arc::downgrade(&self.shared)));
        }
        Ok(())
    }
}

async fn flush_later(shared: Weak<Shared>) {
    tokio::time::sleep(FLUSH_AFTER).await;
    let Some(shared) = shared.upgrade() else { return };
    let mut buffer = shared.buffer.lock().await;
    buffer.flush_planned = false;
    shared.pass_on(&mut buffer).await;
}

impl Shared {
    async fn pass_on(&self, buffer: &mut Buffer) {
        if let Some(chunk) = buffer.take_chunk() {
            self.reporter.log(chunk).await;
        }
    }
}

/// Whole lines that wait to become a chunk, and the beginnings of lines.
struct Buffer {
    step: StepIndex,
    limit: u64,
    /// Bytes taken so far; never more than `limit`.
    taken: u64,
    closed: bool,
    flush_planned: bool,
    next_line: u64,
    lines: Vec<u8>,
    line_count: u32,
    marks: Vec<LogMark>,
    /// The unfinished line of each stream.
    partial: [Vec<u8>; 3],
}

const STREAMS: [LogStream; 3] = [LogStream::Stdout, LogStream::Stderr, LogStream::Host];

fn slot(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
        LogStream::Host => 2,
    }
}

impl Buffer {
    fn new(step: StepIndex, limit: u64) -> Self {
        Buffer {
            step,
            limit,
            taken: 0,
            closed: false,
            flush_planned: false,
            next_line: 1,
            lines: Vec::new(),
            line_count: 0,
            marks: Vec::new(),
            partial: Default::default(),
        }
    }

    /// Adds at most [`CHUNK_BYTES`].
    fn add(&mut self, stream: LogStream, bytes: &[u8], now: Timestamp) {
        self.taken += bytes.len() as u64;
        let whole = match memchr::memrchr(b'\n', bytes) {
            Some(last_break) => &bytes[..=last_break],
            None => &[],
        };
        if !whole.is_empty() {
            self.mark(stream, now);
            let begun = mem::take(&mut self.partial[slot(stream)]);
            self.lines.extend_from_slice(&begun);
            self.lines.extend_from_slice(whole);
            self.count(memchr::memchr_iter(b'\n', whole).count());
            // Keeps the allocation for the next unfinished line.
            self.partial[slot(stream)] = begun;
            self.partial[slot(stream)].clear();
        }
        let partial = &mut self.partial[slot(stream)];
        partial.extend_from_slice(&bytes[whole.len()..]);
        if partial.len() >= LINE_BYTES_MAX {
            partial.extend_from_slice(CUT);
            self.end_partial_line(stream, now);
        }
    }

    fn count(&mut self, lines: usize) {
        self.line_count += u32::try_from(lines).expect("a chunk holds fewer than 2^32 bytes");
    }

    fn mark(&mut self, stream: LogStream, at: Timestamp) {
        if self.marks.last().is_none_or(|last| last.stream != stream || last.at != at) {
            self.marks.push(LogMark { line: self.line_count, at, stream });
        }
    }

    fn end_partial_line(&mut self, stream: LogStream, now: Timestamp) {
        if self.partial[slot(stream)].is_empty() {
            return;
        }
        self.mark(stream, now);
        let begun = mem::take(&mut self.partial[slot(stream)]);
        self.lines.extend_from_slice(&begun);
        self.lines.push(b'\n');
        self.count(1);
    }

    fn end_partial_lines(&mut self, now: Timestamp) {
        for stream in STREAMS {
            self.end_partial_line(stream, now);
        }
    }

    /// Says that the limit is reached and takes no more.
    fn close(&mut self, now: Timestamp) {
        self.closed = true;
        self.end_partial_lines(now);
        self.mark(LogStream::Host, now);
        let line = format!("log limit of {} reached; the rest was dropped\n", quantity::bytes(self.limit));
        self.lines.extend_from_slice(line.as_bytes());
        self.count(1);
    }

    fn take_chunk(&mut self) -> Option<LogChunk> {
        if self.lines.is_empty() {
            return None;
        }
        let body = compress(&self.lines);
        let chunk = LogChunk {
            step: self.step,
            first_line: self.next_line,
            line_count: self.line_count,
            raw_bytes: u32::try_from(self.lines.len()).expect("a chunk is only a little larger than 1 MiB"),
            marks: mem::take(&mut self.marks),
            body,
        };
        self.next_line += u64::from(self.line_count);
        self.line_count = 0;
        self.lines.clear();
        Some(chunk)
    }
}

/// One zstd frame. The compressor is kept by each thread, for it is far larger than a short log.
fn compress(lines: &[u8]) -> Bytes {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    let compressed = COMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = zstd::bulk::Compressor::new(1).ok();
        }
        kept.as_mut().and_then(|compressor| compressor.compress(lines).ok())
    });
    compressed.expect("zstd compresses from memory to memory, which fails only without memory").into()
}

#[cfg(test)]
mod tests;

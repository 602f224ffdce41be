//! What a process prints, on its way to the log or to the plugin that asked for it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use oxide_core::protocol::LogStream;
use oxide_runtime::environment::{LogSink, OutputTo};
use tokio::sync::mpsc;

/// Pieces that wait for a plugin that reads slowly.
const PIECES_WAITING_MAX: usize = 16;

/// Where the bytes of one stream of a process go.
pub(super) enum Outlet {
    /// To the log; nothing more once it is full, but the process can go on printing.
    Log { sink: Arc<dyn LogSink>, stream: LogStream, full: bool },
    /// To the plugin.
    Pipe(mpsc::Sender<Bytes>),
    /// Nowhere.
    Nowhere,
}

/// The other end of [`Outlet::Pipe`].
pub(super) struct PipedOutput {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Outlet {
    /// The outlet that a command asks for, and its other end if the plugin wants to read it.
    pub(super) fn new(to: OutputTo, stream: LogStream, log: &Arc<dyn LogSink>) -> (Outlet, Option<PipedOutput>) {
        match to {
            OutputTo::Log => (Outlet::Log { sink: Arc::clone(log), stream, full: false }, None),
            OutputTo::Discarded => (Outlet::Nowhere, None),
            OutputTo::Piped => {
                let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
                (Outlet::Pipe(sender), Some(PipedOutput { pieces, rest: Bytes::new() }))
            }
        }
    }

    /// Takes bytes. Waits while the other side is slow.
    pub(super) async fn take(&mut self, bytes: Bytes) {
        match self {
            Outlet::Log { full: true, .. } | Outlet::Nowhere => {}
            Outlet::Log { sink, stream, full } => *full = sink.write(*stream, bytes).await.is_err(),
            // A plugin that dropped its process does not want the rest.
            Outlet::Pipe(sender) => drop(sender.send(bytes).await),
        }
    }
}

impl PipedOutput {
    /// Waits for bytes, at most `length`; none at the end.
    pub(super) async fn read(&mut self, length: usize) -> Bytes {
        if self.rest.is_empty() {
            self.rest = self.pieces.recv().await.unwrap_or_default();
        }
        self.rest.split_to(self.rest.len().min(length))
    }
}

/// What of a command's output a plugin reads itself.
pub(super) struct Piped {
    pub(super) stdout: Option<PipedOutput>,
    pub(super) stderr: Option<PipedOutput>,
}

impl Piped {
    /// Waits for bytes of a stream, at most `length`; none at its end, and none of one that goes elsewhere.
    pub(super) async fn read(&mut self, stream: LogStream, length: usize) -> Bytes {
        let output = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
            LogStream::Host => return Bytes::new(),
        };
        match output {
            Some(output) => output.read(length).await,
            None => Bytes::new(),
        }
    }
}

/// A buffer that grows with the stream: most commands print little, a few very much.
pub(super) struct ReadBuffer {
    bytes: BytesMut,
    capacity: usize,
}

impl ReadBuffer {
    const SMALLEST: usize = 8 << 10;
    const LARGEST: usize = 256 << 10;

    pub(super) fn new() -> Self {
        ReadBuffer { bytes: BytesMut::new(), capacity: Self::SMALLEST }
    }

    /// Room for the next read.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        self.bytes.reserve(self.capacity);
        &mut self.bytes
    }

    /// What the last read brought; the next one is larger if it filled the room.
    pub(super) fn take(&mut self) -> Bytes {
        if self.bytes.len() >= self.capacity {
            self.capacity = Self::LARGEST;
        }
        self.bytes.split().freeze()
    }

    /// Has the stream shown to be a fast one?
    pub(super) fn is_large(&self) -> bool {
        self.capacity == Self::LARGEST
    }
}

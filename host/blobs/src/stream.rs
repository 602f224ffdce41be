//! Between the thread that packs or unpacks, which may wait, and the tasks that speak to the store, which may not.
//!
//! Both directions hold a bounded number of chunks; whoever is faster waits. When one side is gone the other ends.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes};
use oxide_core::quantity::hexadecimal;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many bytes a chunk has, the last one excepted.
pub(crate) const CHUNK_BYTES: usize = 8 << 20;

/// Chunks on their way between the two sides.
const WAITING: usize = 1;

/// Cuts what is written into chunks and hands them over.
pub(crate) struct ChunkSink {
    buffer: Vec<u8>,
    written: u64,
    bytes_max: u64,
    digest: Sha256,
    to: Sender<Bytes>,
}

/// The message of the error for a stream that is longer than it may be.
pub(crate) const TOO_LONG: &str = "more bytes than an entry may have";
/// The message of the error when nobody waits any more.
pub(crate) const STOPPED: &str = "nobody waits any more";

impl ChunkSink {
    /// The sink, and where its chunks arrive. It takes so many bytes at most.
    pub fn new(bytes_max: u64) -> (ChunkSink, Receiver<Bytes>) {
        let (to, from) = channel(WAITING);
        (ChunkSink { buffer: Vec::new(), written: 0, bytes_max, digest: Sha256::new(), to }, from)
    }

    /// Hands over the rest; answers with the digest of everything, as `sha256:` and 64 hexadecimal digits.
    pub fn finish(mut self) -> io::Result<String> {
        if !self.buffer.is_empty() {
            self.hand_over()?;
        }
        Ok(format!("sha256:{}", hexadecimal(&self.digest.finalize())))
    }

    /// Does nobody wait any more?
    pub fn is_closed(&self) -> bool {
        self.to.is_closed()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.digest.update(&self.buffer);
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        self.to.blocking_send(chunk).map_err(|_| io::Error::other(STOPPED))
    }
}

impl Write for ChunkSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(CHUNK_BYTES);
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.written += taken as u64;
        if self.written > self.bytes_max {
            return Err(io::Error::other(TOO_LONG));
        }
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK_BYTES {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads chunks as one stream.
pub(crate) struct ChunkSource {
    current: Bytes,
    from: Receiver<Bytes>,
}

impl ChunkSource {
    /// Where chunks are handed in, and the stream of them. Its end is that of the sender.
    pub fn new() -> (Sender<Bytes>, ChunkSource) {
        let (to, from) = channel(WAITING);
        (to, ChunkSource { current: Bytes::new(), from })
    }
}

impl Read for ChunkSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.from.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let taken = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}

//! Puts packed files into the store, chunk by chunk, and gets them back.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use oxide_core::{quantity::hexadecimal, time::Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::mpsc::Receiver,
    task::{JoinError, spawn_blocking},
};

use crate::{
    BlobError, Blobs, Contents, Pack, Unpack, name,
    record::Chunk,
    stream::{CHUNK_BYTES, ChunkSink, ChunkSource},
};

/// How many chunks travel at the same time.
const CHUNKS_AT_ONCE: usize = 3;

impl Blobs {
    /// Packs files and stores them. What was stored is listed nowhere yet.
    pub(crate) async fn store_files(&self, pack: Pack, now: Timestamp) -> Result<Contents, BlobError> {
        let (sink, chunks) = ChunkSink::new(self.limits.entry_bytes);
        let archive_bytes_max = self.limits.archive_bytes;
        let packing = spawn_blocking(move || pack.write(sink, archive_bytes_max));
        let stored = self.store_chunks(chunks, name::period(now)).await;
        // A store that refuses has closed the way for chunks, which ends the packing; its own error is the cause then.
        let packed = packing.await.map_err(broken)?;
        let (stored, packed) = (stored?, packed?);
        Ok(Contents {
            files: packed.files,
            size: packed.size,
            stored: stored.iter().map(|chunk| chunk.bytes).sum(),
            digest: packed.digest,
            archive_bytes: packed.archive_bytes,
            chunks: stored,
        })
    }

    async fn store_chunks(&self, chunks: Receiver<Bytes>, period: u32) -> Result<Vec<Chunk>, BlobError> {
        let arriving = futures_util::stream::unfold(chunks, |mut chunks| async {
            let chunk = chunks.recv().await?;
            Some((chunk, chunks))
        });
        arriving.map(|bytes| self.store_chunk(bytes, period)).buffered(CHUNKS_AT_ONCE).try_collect().await
    }

    async fn store_chunk(&self, bytes: Bytes, period: u32) -> Result<Chunk, BlobError> {
        let (bytes, sha256) = hashed(bytes).await?;
        let chunk = Chunk { sha256, period, bytes: bytes.len() as u64 };
        // The same bytes under the same name may be there already; what is there was written whole.
        self.create(&name::blob(&chunk.sha256, period), bytes, "store a chunk").await?;
        Ok(chunk)
    }

    /// Gets stored files and puts them into a directory. On an error, what was put there so far is removed.
    pub(crate) async fn restore_files(&self, contents: &Contents, unpack: Unpack) -> Result<(), BlobError> {
        let (to, source) = ChunkSource::new();
        let archive_bytes_max = contents.archive_bytes.min(self.limits.archive_bytes);
        let wanted = std::sync::Arc::new(());
        let still_wanted = std::sync::Arc::downgrade(&wanted);
        let unpacking =
            spawn_blocking(move || unpack.read(source, archive_bytes_max, &|| still_wanted.strong_count() > 0));
        let fetching = async {
            let chunks = futures_util::stream::iter(contents.chunks.clone());
            let mut chunks = chunks.map(|chunk| self.fetch_chunk(chunk)).buffered(CHUNKS_AT_ONCE);
            while let Some(chunk) = chunks.try_next().await? {
                if to.send(chunk).await.is_err() {
                    // The unpacking has ended with an error of its own.
                    break;
                }
            }
            drop(to);
            Ok(())
        };
        let fetched: Result<(), BlobError> = fetching.await;
        let unpacked = unpacking.await.map_err(broken)?;
        drop(wanted);
        // An archive that ends too early is what follows when a chunk could not be had.
        fetched?;
        unpacked
    }

    /// Files as they are stored, packed: a tar archive as zstd, in order.
    pub fn packed(
        self: std::sync::Arc<Self>,
        contents: Contents,
    ) -> impl Stream<Item = Result<Bytes, BlobError>> + Send {
        let chunks = futures_util::stream::iter(contents.chunks);
        let fetch = move |chunk| {
            let blobs = self.clone();
            async move { blobs.fetch_chunk(chunk).await }
        };
        chunks.map(fetch).buffered(CHUNKS_AT_ONCE)
    }

    /// A chunk whose bytes are those that were stored.
    async fn fetch_chunk(&self, chunk: Chunk) -> Result<Bytes, BlobError> {
        let name = name::blob(&chunk.sha256, chunk.period);
        let found = self.get(&name, CHUNK_BYTES as u64, "get a chunk").await?;
        let found = found.ok_or_else(|| BlobError::NotFound(format!("the chunk `{name}` is not there any more")))?;
        let (bytes, sha256) = hashed(found).await?;
        match sha256 == chunk.sha256 {
            true => Ok(bytes),
            false => {
                // Nobody can use it, and whoever stores the same bytes again would take it for them. If it stays, that is how
                // it was before.
                let _ = self.remove(vec![name.clone()]).await;
                Err(BlobError::Damaged(format!("the chunk `{name}` is damaged: its bytes have the digest {sha256}")))
            }
        }
    }
}

/// The digest of bytes, worked out where it keeps nobody waiting.
async fn hashed(bytes: Bytes) -> Result<(Bytes, String), BlobError> {
    spawn_blocking(move || {
        let digest = hexadecimal(&Sha256::digest(&bytes));
        (bytes, digest)
    })
    .await
    .map_err(broken)
}

fn broken(error: JoinError) -> BlobError {
    BlobError::Store { operation: "work", cause: error.into() }
}

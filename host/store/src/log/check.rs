//! Chunks of logs as they come in: what an agent says of one is looked at before it is stored.

use oxide_core::protocol::LogChunk;

use super::chunk::unpack;

/// Why a chunk cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChunk {
    /// A log begins with line 1.
    #[error("it begins at line 0")]
    LineZero,
    /// Nothing is in it, or what is said of it cannot be.
    #[error("it says that it has {lines} lines in {bytes} bytes")]
    Size {
        /// So many lines.
        lines: u32,
        /// So many bytes.
        bytes: u32,
    },
    /// It would need too much memory.
    #[error("it says that it has {bytes} bytes, and {} are the most", LogChunk::BYTES_MAX)]
    TooLarge {
        /// So many bytes.
        bytes: u32,
    },
    /// More marks than lines.
    #[error("it has {marks} marks for {lines} lines")]
    Marks {
        /// So many marks.
        marks: usize,
        /// So many lines.
        lines: u32,
    },
    /// No zstd frame, or one of more bytes than it says.
    #[error("it is no zstd frame of {bytes} bytes")]
    Frame {
        /// So many bytes were said.
        bytes: u32,
    },
    /// The text is another one than was said.
    #[error("{lines} lines in {bytes} bytes are in it, which is not what it says")]
    Content {
        /// So many line breaks.
        lines: usize,
        /// So many bytes.
        bytes: usize,
    },
    /// The last line has no line break.
    #[error("its last line has no line break")]
    Unfinished,
}

/// Makes sure that a chunk can be read as what it says it is. Takes no more memory than [`LogChunk::BYTES_MAX`] and some time:
/// large ones are for a thread that may wait.
///
/// # Errors
/// It cannot; see [`BadChunk`].
pub fn check_chunk(chunk: &LogChunk) -> Result<(), BadChunk> {
    let (lines, bytes) = (chunk.line_count, chunk.raw_bytes);
    if chunk.first_line == 0 {
        return Err(BadChunk::LineZero);
    }
    if lines == 0 || bytes < lines {
        return Err(BadChunk::Size { lines, bytes });
    }
    if bytes > LogChunk::BYTES_MAX {
        return Err(BadChunk::TooLarge { bytes });
    }
    if chunk.marks.len() > lines as usize {
        return Err(BadChunk::Marks { marks: chunk.marks.len(), lines });
    }
    // Empty blocks could make a small text long again.
    if chunk.body.len() > zstd::zstd_safe::compress_bound(bytes as usize) {
        return Err(BadChunk::Frame { bytes });
    }
    let text = unpack(chunk).ok_or(BadChunk::Frame { bytes })?;
    let found = text.iter().filter(|byte| **byte == b'\n').count();
    if text.len() != bytes as usize || found != lines as usize {
        return Err(BadChunk::Content { lines: found, bytes: text.len() });
    }
    if text.last() != Some(&b'\n') {
        return Err(BadChunk::Unfinished);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use oxide_core::{
        id::StepIndex,
        protocol::{LogMark, LogStream},
        time::Timestamp,
    };

    use super::*;

    fn chunk(text: &[u8]) -> LogChunk {
        LogChunk {
            step: StepIndex(0),
            first_line: 1,
            line_count: text.iter().filter(|byte| **byte == b'\n').count() as u32,
            raw_bytes: text.len() as u32,
            marks: vec![LogMark { line: 0, at: Timestamp(5), stream: LogStream::Stdout }],
            body: zstd::bulk::compress(text, 1).unwrap().into(),
        }
    }

    #[test]
    fn a_chunk_is_what_it_says() {
        for text in [&b"one\n"[..], b"\n", b"one\n\xff\x00\n\nfour\n", &[b'\n'; 3_000_000]] {
            assert_eq!(check_chunk(&chunk(text)), Ok(()), "{} bytes", text.len());
        }
        let good = chunk(b"one\ntwo\n");
        let with = |change: fn(&mut LogChunk)| {
            let mut bad = good.clone();
            change(&mut bad);
            check_chunk(&bad).unwrap_err()
        };
        assert_eq!(with(|chunk| chunk.first_line = 0), BadChunk::LineZero);
        assert_eq!(with(|chunk| chunk.line_count = 0), BadChunk::Size { lines: 0, bytes: 8 });
        assert_eq!(with(|chunk| chunk.line_count = u32::MAX), BadChunk::Size { lines: u32::MAX, bytes: 8 });
        assert_eq!(with(|chunk| chunk.raw_bytes = u32::MAX), BadChunk::TooLarge { bytes: u32::MAX });
        assert_eq!(with(|chunk| chunk.raw_bytes = 7), BadChunk::Frame { bytes: 7 });
        assert_eq!(with(|chunk| chunk.raw_bytes = 9), BadChunk::Content { lines: 2, bytes: 8 });
        assert_eq!(with(|chunk| chunk.line_count = 3), BadChunk::Content { lines: 2, bytes: 8 });
        assert_eq!(with(|chunk| chunk.marks = vec![chunk.marks[0]; 3]), BadChunk::Marks { marks: 3, lines: 2 });
        assert_eq!(with(|chunk| chunk.body = b"plain".as_slice().into()), BadChunk::Frame { bytes: 8 });
        assert_eq!(with(|chunk| chunk.body = chunk.body.slice(..chunk.body.len() - 1)), BadChunk::Frame { bytes: 8 });
        assert_eq!(with(|chunk| chunk.body = [&chunk.body[..], b"more"].concat().into()), BadChunk::Frame { bytes: 8 });
        assert_eq!(with(|chunk| chunk.body = vec![0; 100_000_000].into()), BadChunk::Frame { bytes: 8 });
        let unfinished = LogChunk { line_count: 1, ..chunk(b"one\ntwo") };
        assert_eq!(check_chunk(&unfinished), Err(BadChunk::Unfinished));
    }
}

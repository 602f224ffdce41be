//! What one message looks like in a file of the spool: `length, checksum, JSON`. A record that a killed process has written by
//! half is recognised, and so is one whose bytes have changed.

use std::{fs::File, io, os::unix::fs::FileExt};

use oxide_core::protocol::{Complete, Report};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes before the JSON: four of length, sixteen of checksum.
pub(super) const HEAD_BYTES: usize = 20;
/// A length beyond this is none that we wrote.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// A message that waits to get through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// What happened.
    Report(Report),
    /// The end of the attempt: nothing follows.
    Complete(Complete),
}

/// Where a record is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Of the whole record.
    pub(super) bytes: u64,
}

/// The bytes of a record.
pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut record = vec![0; HEAD_BYTES];
    serde_json::to_writer(&mut record, message).expect("messages are plain data, and memory takes them");
    let length = u32::try_from(record.len() - HEAD_BYTES).expect("a message is far smaller than 4 GiB");
    let sum = checksum(&record[HEAD_BYTES..]);
    record[..4].copy_from_slice(&length.to_le_bytes());
    record[4..HEAD_BYTES].copy_from_slice(&sum);
    record
}

/// Reads the record that begins at `offset`.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] where the file ends before the record does, [`io::ErrorKind::InvalidData`] if it is not what was
/// written.
pub(super) fn read(file: &File, offset: u64) -> io::Result<(Message, Place)> {
    let mut head = [0; HEAD_BYTES];
    file.read_exact_at(&mut head, offset)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length > RECORD_BYTES_MAX {
        return Err(damaged());
    }
    // A damaged length must not cost memory that the file does not have.
    let rest = file.metadata()?.len().saturating_sub(offset + HEAD_BYTES as u64);
    if (length as u64) > rest {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut json = vec![0; length];
    file.read_exact_at(&mut json, offset + HEAD_BYTES as u64)?;
    if checksum(&json) != head[4..] {
        return Err(damaged());
    }
    let message = serde_json::from_slice(&json).map_err(|_| damaged())?;
    Ok((message, Place { offset, bytes: (HEAD_BYTES + length) as u64 }))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the record is not what was written")
}

fn checksum(json: &[u8]) -> [u8; 16] {
    let mut sum = [0; 16];
    sum.copy_from_slice(&Sha256::digest(json)[..16]);
    sum
}

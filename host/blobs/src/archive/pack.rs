//! Writes files as one stream.

use std::{
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions};
use tar::{Builder, EntryType, Header};
use zstd::stream::write::Encoder;

use super::{
    MTIME,
    select::{Kind, select, unreadable},
};
use crate::{
    BlobError,
    stream::{ChunkSink, STOPPED, TOO_LONG},
};

/// Quick enough for a network of 1 Gbit/s on one processor, and most of what higher levels save.
const LEVEL: i32 = 3;

/// Files to pack.
#[derive(Clone, Debug)]
pub struct Pack {
    /// The directory that the paths are relative to.
    pub directory: Arc<Dir>,
    /// Paths and patterns; what each means is told by the contract.
    pub paths: Vec<String>,
}

/// What was packed.
pub(crate) struct Packed {
    pub files: u64,
    pub size: u64,
    pub archive_bytes: u64,
    pub digest: String,
}

impl Pack {
    /// Writes everything into the sink. Waits for disk and sink: call it where it may.
    pub(crate) fn write(&self, sink: ChunkSink, archive_bytes_max: u64) -> Result<Packed, BlobError> {
        let selected = select(&self.directory, &self.paths, &|| !sink.is_closed())?;
        let mut packed = Packed { files: 0, size: 0, archive_bytes: 0, digest: String::new() };
        let mut encoder = Encoder::new(sink, LEVEL).map_err(compressing)?;
        encoder.include_checksum(true).map_err(compressing)?;
        let mut archive = Builder::new(Counter { inner: encoder, count: 0, max: archive_bytes_max });
        for (path, kind) in selected {
            let written = self.append(&mut archive, &path, &kind).map_err(|error| failure(&path, error))?;
            packed.files += u64::from(kind != Kind::Directory);
            packed.size += written;
        }
        let counter = archive.into_inner().map_err(|error| failure(Path::new("."), error))?;
        packed.archive_bytes = counter.count;
        let sink = counter.inner.finish().map_err(|error| failure(Path::new("."), error))?;
        packed.digest = sink.finish().map_err(|error| failure(Path::new("."), error))?;
        Ok(packed)
    }

    fn append(&self, archive: &mut Builder<impl Write>, path: &Path, kind: &Kind) -> io::Result<u64> {
        match kind {
            Kind::File => {
                // A file may have become a pipe since: opening it must not wait, nor follow a link.
                let mut options = OpenOptions::new();
                let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
                cap_std::fs::OpenOptionsExt::custom_flags(options.read(true), flags.bits().cast_signed());
                let file = self.directory.open_with(path, &options)?;
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    return Err(io::Error::other("it was replaced while it was packed"));
                }
                let mut header = header(&metadata, EntryType::Regular);
                header.set_size(metadata.len());
                time(archive, &metadata)?;
                archive.append_data(&mut header, path, WholeFile { inner: file, left: metadata.len() })?;
                Ok(metadata.len())
            }
            Kind::Directory => {
                let metadata = self.directory.symlink_metadata(path)?;
                time(archive, &metadata)?;
                archive.append_data(&mut header(&metadata, EntryType::Directory), path, io::empty())?;
                Ok(0)
            }
            Kind::Link(target) => {
                let metadata = self.directory.symlink_metadata(path)?;
                time(archive, &metadata)?;
                archive.append_link(&mut header(&metadata, EntryType::Symlink), path, target)?;
                Ok(0)
            }
        }
    }
}

/// Without owners, so that the same files make the same bytes for everybody.
fn header(metadata: &Metadata, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(MetadataExt::mode(metadata) & 0o777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(MetadataExt::mtime(metadata)).unwrap_or(0));
    header
}

/// The fraction of a second, which the header has no place for.
fn time(archive: &mut Builder<impl Write>, metadata: &Metadata) -> io::Result<()> {
    let (seconds, nanos) = (MetadataExt::mtime(metadata), MetadataExt::mtime_nsec(metadata));
    if seconds < 0 || nanos == 0 {
        return Ok(());
    }
    let text = format!("{seconds}.{nanos:09}");
    archive.append_pax_extensions([(MTIME, text.as_bytes())])
}

/// Reads a file to the size that stands in its header: an archive whose sizes lie cannot be read again.
struct WholeFile<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for WholeFile<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        match self.inner.read(&mut buffer[..length])? {
            0 => Err(io::Error::other("it became shorter while it was packed")),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

/// Counts what is written.
struct Counter<W> {
    inner: W,
    count: u64,
    max: u64,
}

impl<W: Write> Write for Counter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.count += count as u64;
        match self.count > self.max {
            true => Err(io::Error::other(TOO_LONG)),
            false => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn compressing(cause: io::Error) -> BlobError {
    BlobError::Store { operation: "compress", cause: cause.into() }
}

fn failure(path: &Path, error: io::Error) -> BlobError {
    match error.to_string().as_str() {
        TOO_LONG => BlobError::Limit(
            "the files take more bytes than one entry may have; save fewer of them, or have the limit raised"
                .to_owned(),
        ),
        STOPPED => BlobError::Stopped,
        _ => unreadable(path, error),
    }
}

//! The build context as a tar archive: regular files, directories and links of one directory, without what
//! `.dockerignore` leaves out. Links are not followed, so nothing from outside gets in.

use std::{
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use cap_std::fs::{Dir, File, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::ignore::Ignored;

/// The file with the patterns.
pub(super) const IGNORE_FILE: &str = ".dockerignore";
/// The archive travels in pieces of so many bytes.
const PIECE_BYTES: usize = 256 << 10;

/// What was packed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Packs a directory and sends it. The Dockerfile and `.dockerignore` are always part of it, for the engine reads them.
///
/// # Errors
/// If something cannot be read, or with [`io::ErrorKind::BrokenPipe`] if nobody wants the archive any more.
pub(super) fn send(
    dir: &Dir,
    ignored: &Ignored,
    dockerfile: &str,
    to: mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<Packed> {
    let mut pieces = Pieces { piece: Vec::with_capacity(PIECE_BYTES), to };
    let packed = pack(dir, ignored, dockerfile, &mut pieces).and_then(|packed| pieces.flush().map(|()| packed));
    if let Err(error) = &packed {
        // The engine must not take a part for the whole.
        let _ = pieces.to.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
    }
    packed
}

fn pack(dir: &Dir, ignored: &Ignored, dockerfile: &str, out: &mut dyn Write) -> io::Result<Packed> {
    let dockerfile = clean(dockerfile);
    let is_needed = |path: &Path| path == dockerfile || path == Path::new(IGNORE_FILE);
    let mut archive = Builder::new(out);
    let mut packed = Packed::default();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let shown = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
        let entries = match dir.read_dir(shown) {
            // It may vanish while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(|error| about(shown, &error))?,
        };
        let mut names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
        // The same context gives the same archive.
        names.sort();
        for name in names {
            let path = directory.join(name);
            let left_out = ignored.leaves_out(&path.to_string_lossy()) && !is_needed(&path);
            let metadata = match dir.symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(|error| about(&path, &error))?,
            };
            if metadata.is_dir() {
                let holds_dockerfile = dockerfile.starts_with(&path);
                if left_out && !ignored.takes_something_back() && !holds_dockerfile {
                    continue;
                }
                if !left_out {
                    archive.append_data(&mut header(&metadata, EntryType::Directory, 0), &path, io::empty())?;
                }
                directories.push(path);
            } else if left_out {
                continue;
            } else if metadata.is_symlink() {
                let target = dir.read_link_contents(&path).map_err(|error| about(&path, &error))?;
                archive.append_link(&mut header(&metadata, EntryType::Symlink, 0), &path, target)?;
            } else if metadata.is_file() {
                let (file, metadata) = open(dir, &path)?;
                packed.files += 1;
                packed.bytes += metadata.len();
                let contents = Exactly { file, left: metadata.len(), path: &path };
                archive.append_data(&mut header(&metadata, EntryType::Regular, metadata.len()), &path, contents)?;
            }
            // Sockets, pipes and devices mean nothing in an image.
        }
    }
    archive.finish()?;
    Ok(packed)
}

/// A path as the walk comes to it: without `.` and `..`.
fn clean(path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn open(dir: &Dir, path: &Path) -> io::Result<(File, Metadata)> {
    let mut options = OpenOptions::new();
    // A pipe that has taken the place of the file must not make us wait.
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = dir.open_with(path, &options).map_err(|error| about(path, &error))?;
    let metadata = file.metadata().map_err(|error| about(path, &error))?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(io::Error::other(format!("`{}` changed while it was read", path.display()))),
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

fn header(metadata: &Metadata, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or_default());
    // Whose the files are on this machine is no matter of the image.
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// As many bytes of a file as its header says: fewer or more would spoil the archive.
struct Exactly<'a> {
    file: File,
    left: u64,
    path: &'a Path,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::other(format!("`{}` became shorter while it was read", self.path.display())));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Collects small writes into pieces.
struct Pieces {
    piece: Vec<u8>,
    to: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = if piece.is_empty() { Ok(()) } else { self.to.blocking_send(Ok(piece.into())) };
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;

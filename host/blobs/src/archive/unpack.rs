//! Puts the files of a stream into a directory. The stream is trusted with nothing.

use std::{
    collections::HashSet,
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use cap_std::{
    ambient_authority,
    fs::{Dir, File, OpenOptions, OpenOptionsExt as _, Permissions, PermissionsExt as _},
};
use rustix::fs::{AtFlags, Timespec, Timestamps};
use tar::{Archive, Entry, EntryType};
use zstd::stream::read::Decoder;

use super::{MTIME, path};
use crate::{BlobError, stream::ChunkSource};

/// A place for files.
#[derive(Clone, Debug)]
pub struct Unpack {
    /// The directory, which nothing leaves.
    pub directory: Arc<Dir>,
    /// Any user may read and write what is put there: commands may run as another user than we.
    pub open_to_all: bool,
}

impl Unpack {
    /// A directory of this machine by its path; it is made if it is not there.
    ///
    /// # Errors
    /// [`BlobError::File`] if it cannot be made or opened.
    pub fn into_directory(path: &Path) -> Result<Unpack, BlobError> {
        let failed = |operation| move |cause| BlobError::File { operation, path: path.display().to_string(), cause };
        std::fs::create_dir_all(path).map_err(failed("make the directory"))?;
        let directory = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed("open the directory"))?;
        Ok(Unpack { directory: Arc::new(directory), open_to_all: false })
    }

    /// Reads an archive of at most so many bytes. Waits for disk and source: call it where it may. On an error, the files
    /// and directories that were made so far are removed.
    pub(crate) fn read(
        &self,
        source: ChunkSource,
        archive_bytes_max: u64,
        wanted: &dyn Fn() -> bool,
    ) -> Result<(), BlobError> {
        let mut unpacking = Unpacking {
            top: &self.directory,
            open_to_all: self.open_to_all,
            real: HashSet::new(),
            made: Vec::new(),
            made_directories: Vec::new(),
            directories: Vec::new(),
            wanted,
        };
        let result = unpacking.everything(source, archive_bytes_max);
        if result.is_err() {
            for path in unpacking.made.iter().rev() {
                self.directory.remove_file(path).ok();
            }
            // Those that hold something else stay.
            for path in unpacking.made_directories.iter().rev() {
                self.directory.remove_dir(path).ok();
            }
        }
        result
    }
}

struct Unpacking<'a> {
    top: &'a Dir,
    open_to_all: bool,
    /// Directories that are known to be there and no links.
    real: HashSet<PathBuf>,
    /// Files and links so far.
    made: Vec<PathBuf>,
    /// Directories that were not there before, those above first.
    made_directories: Vec<PathBuf>,
    /// Directories with what is set when all is in them: a mode that may not allow writing, and the time.
    directories: Vec<(PathBuf, u32, Timespec)>,
    wanted: &'a dyn Fn() -> bool,
}

/// How many bytes are copied at a time. A part of a file that is all zero becomes a hole.
const COPY_BYTES: usize = 128 << 10;

impl Unpacking<'_> {
    fn everything(&mut self, source: ChunkSource, archive_bytes_max: u64) -> Result<(), BlobError> {
        let decoder = Decoder::new(source).map_err(damaged)?;
        let mut archive = Archive::new(decoder.take(archive_bytes_max));
        for entry in archive.entries().map_err(damaged)? {
            self.one(entry.map_err(damaged)?)?;
        }
        // Behind the last file: the checksum of the whole, and nothing else.
        let mut rest = archive.into_inner();
        io::copy(&mut rest, &mut io::sink()).map_err(damaged)?;
        let mut decoder = rest.into_inner();
        if decoder.read(&mut [0]).map_err(damaged)? != 0 {
            return Err(BlobError::Damaged("the archive is longer than its entry says".to_owned()));
        }
        for (path, mode, time) in std::mem::take(&mut self.directories).into_iter().rev() {
            let failed = |cause| unwritable(&path, cause);
            let directory = self.top.open_dir(&path).map_err(failed)?;
            // The handle of `cap-std` names the directory and does not open it: only relative calls work with it.
            rustix::fs::utimensat(&directory, ".", &times(time), AtFlags::empty())
                .map_err(|error| failed(error.into()))?;
            directory.set_permissions(".", Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(())
    }

    fn one(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), BlobError> {
        if !(self.wanted)() {
            return Err(BlobError::Stopped);
        }
        let written = entry.path().map_err(damaged)?.into_owned();
        let path = path::below(&written).map_err(|problem| refused(&written, problem))?;
        if path.as_os_str().is_empty() {
            return Err(refused(&written, "it is the top itself"));
        }
        self.real_directory(path.parent().unwrap_or(Path::new("")))?;
        let mode = entry.header().mode().map_err(damaged)? & 0o777;
        let time = time(&mut entry).map_err(damaged)?;
        match entry.header().entry_type() {
            EntryType::Regular => self.file(&path, mode, time, entry),
            EntryType::Directory => {
                self.real_directory(&path)?;
                let mode = if self.open_to_all { 0o777 } else { mode };
                self.directories.push((path, mode, time));
                Ok(())
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(damaged)?.map(|target| target.into_owned()).unwrap_or_default();
                path::check_link(&path, &target).map_err(|problem| refused(&written, problem))?;
                self.make_way(&path)?;
                let failed = |cause| unwritable(&path, cause);
                self.top.symlink_contents(&target, &path).map_err(failed)?;
                self.made.push(path.clone());
                // Not every file system knows times of links, and they matter little.
                if let Some(name) = path.file_name()
                    && let Ok(parent) = self.top.open_dir(Path::new(".").join(path.parent().unwrap_or(Path::new(""))))
                {
                    rustix::fs::utimensat(&parent, name, &times(time), AtFlags::SYMLINK_NOFOLLOW).ok();
                }
                Ok(())
            }
            EntryType::Link => Err(refused(&written, "it is a hard link")),
            _ => Err(refused(&written, "it is neither a file nor a directory nor a link")),
        }
    }

    fn file(
        &mut self,
        path: &Path,
        mode: u32,
        time: Timespec,
        mut entry: Entry<'_, impl Read>,
    ) -> Result<(), BlobError> {
        self.make_way(path)?;
        let failed = |cause| unwritable(path, cause);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = self.top.open_with(path, &options).map_err(failed)?;
        self.made.push(path.to_owned());
        let size = entry.size();
        self.copy(&mut entry, &mut file, size, path)?;
        let executable = if mode & 0o111 == 0 { 0 } else { 0o111 };
        let mode = if self.open_to_all { mode | 0o666 | executable } else { mode };
        file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        rustix::fs::futimens(&file, &times(time)).map_err(|error| failed(error.into()))
    }

    fn copy(&self, from: &mut impl Read, to: &mut File, size: u64, path: &Path) -> Result<(), BlobError> {
        let failed = |cause| unwritable(path, cause);
        let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(size).unwrap_or(COPY_BYTES)).max(1)];
        let mut left = size;
        let mut ends_in_hole = false;
        while left > 0 {
            if !(self.wanted)() {
                return Err(BlobError::Stopped);
            }
            let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let part = &mut buffer[..length];
            from.read_exact(part).map_err(damaged)?;
            ends_in_hole = length == COPY_BYTES && part.iter().all(|byte| *byte == 0);
            match ends_in_hole {
                true => to.seek(SeekFrom::Current(length as i64)).map(|_| ()).map_err(failed)?,
                false => to.write_all(part).map_err(failed)?,
            }
            left -= length as u64;
        }
        if ends_in_hole { to.set_len(size).map_err(failed) } else { Ok(()) }
    }

    /// Makes a directory and those above it. A link in the place of one is refused: nothing is written through links.
    fn real_directory(&mut self, path: &Path) -> Result<(), BlobError> {
        if path.as_os_str().is_empty() || self.real.contains(path) {
            return Ok(());
        }
        let mut above: Vec<&Path> = path.ancestors().filter(|above| !above.as_os_str().is_empty()).collect();
        above.reverse();
        for directory in above.into_iter().filter(|directory| !self.real.contains(*directory)).collect::<Vec<_>>() {
            let failed = |cause| unwritable(directory, cause);
            match self.top.symlink_metadata(directory) {
                Ok(metadata) if metadata.is_dir() => {
                    // What is put into it needs the right to write, which it may get back at the end.
                    let mode = metadata.permissions().mode();
                    if mode & 0o700 != 0o700 {
                        self.top
                            .set_permissions(directory, Permissions::from_mode(mode & 0o777 | 0o700))
                            .map_err(failed)?;
                    }
                }
                Ok(metadata) if metadata.is_symlink() => {
                    return Err(refused(path, "a link is in its way, and nothing is written through links"));
                }
                Ok(_) => return Err(refused(path, "a file is in the place of one of its directories")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.top.create_dir(directory).map_err(failed)?;
                    self.made_directories.push(directory.to_owned());
                    let mode = if self.open_to_all { 0o777 } else { 0o755 };
                    self.top.set_permissions(directory, Permissions::from_mode(mode)).map_err(failed)?;
                }
                Err(cause) => return Err(failed(cause)),
            }
            self.real.insert(directory.to_owned());
        }
        Ok(())
    }

    /// Removes the file or link that is in the place of a new one; a link itself, never what it leads to.
    fn make_way(&mut self, path: &Path) -> Result<(), BlobError> {
        match self.top.symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(refused(path, "a directory is in its place")),
            Ok(_) => self.top.remove_file(path).map_err(|cause| unwritable(path, cause)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(unwritable(path, cause)),
        }
    }
}

/// When the file was changed, to the nanosecond if the archive says so.
fn time(entry: &mut Entry<'_, impl Read>) -> io::Result<Timespec> {
    let seconds = i64::try_from(entry.header().mtime()?).unwrap_or(0);
    let mut time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions.flatten().filter(|extension| extension.key_bytes() == MTIME.as_bytes()) {
            let text = String::from_utf8_lossy(extension.value_bytes()).into_owned();
            if let Some((seconds, nanos)) = text.split_once('.')
                && let (Ok(seconds), Ok(nanos)) = (seconds.parse(), nanos.parse::<u32>())
                && nanos < 1_000_000_000
            {
                time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
            }
        }
    }
    Ok(time)
}

fn times(modified: Timespec) -> Timestamps {
    Timestamps { last_access: modified, last_modification: modified }
}

fn refused(path: &Path, problem: &str) -> BlobError {
    BlobError::Invalid(format!("`{}` cannot be put into the workspace: {problem}", path.display()))
}

fn unwritable(path: &Path, cause: io::Error) -> BlobError {
    BlobError::File { operation: "write", path: path.display().to_string(), cause }
}

fn damaged(error: io::Error) -> BlobError {
    BlobError::Damaged(format!("the archive cannot be read: {error}"))
}

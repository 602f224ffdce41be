//! Work on files below one directory. No path leads out of it: `cap-std` resolves each one step by step or asks the
//! kernel to do so (`openat2`), links included.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use cap_std::fs::{Dir, File, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};

use super::super::{
    CapabilityError,
    bindings::oxide::ci::workspace::{Entry, EntryKind},
};

/// The most that one read returns.
const READ_BYTES_MAX: u64 = 16 << 20;

/// The most entries that a list or a glob returns.
pub(super) const ENTRIES_MAX: usize = 100_000;

/// What an error of the file system means to a plugin.
pub(in crate::capability) fn refused(path: &str, error: &io::Error) -> CapabilityError {
    match error.kind() {
        io::ErrorKind::NotFound => CapabilityError::NotFound(format!("`{path}` does not exist")),
        io::ErrorKind::PermissionDenied if is_escape(error) => {
            CapabilityError::Denied(format!("`{path}` leads out of the directory that the step was given"))
        }
        io::ErrorKind::PermissionDenied => CapabilityError::Denied(format!("`{path}` may not be accessed")),
        io::ErrorKind::NotADirectory => CapabilityError::Invalid(format!("a part of `{path}` is not a directory")),
        io::ErrorKind::IsADirectory => CapabilityError::Invalid(format!("`{path}` is a directory")),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
            CapabilityError::Invalid(format!("`{}` is not a usable path", path.escape_debug()))
        }
        _ => CapabilityError::Other(format!("`{path}`: {error}")),
    }
}

/// Does the path leave the directory? `cap-std` has no other error of its own.
fn is_escape(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

fn check(path: &str) -> Result<(), CapabilityError> {
    if path.is_empty() {
        return Err(CapabilityError::Invalid("the path is empty; `.` is the directory itself".into()));
    }
    Ok(())
}

/// Opens a directory for work below it.
pub(super) fn open_directory(root: &Dir, path: &Path) -> Result<Dir, CapabilityError> {
    root.open_dir(path).map_err(|error| refused(&path.to_string_lossy(), &error))
}

/// The path of a directory without links.
pub(super) fn real_directory(dir: &Dir, path: &str) -> Result<PathBuf, CapabilityError> {
    check(path)?;
    let refuse = |error| refused(path, &error);
    let real = dir.canonicalize(path).map_err(refuse)?;
    dir.open_dir(&real).map_err(refuse)?;
    Ok(if real == Path::new(".") { PathBuf::new() } else { real })
}

/// Opens a regular file. Never waits, as a pipe would make it.
fn open_file(dir: &Dir, path: &str, options: &mut OpenOptions) -> Result<(File, Metadata), CapabilityError> {
    check(path)?;
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let refuse = |error| refused(path, &error);
    let file = dir.open_with(path, options).map_err(refuse)?;
    let metadata = file.metadata().map_err(refuse)?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false if metadata.is_dir() => Err(CapabilityError::Invalid(format!("`{path}` is a directory"))),
        false => Err(CapabilityError::Invalid(format!("`{path}` is not a regular file"))),
    }
}

pub(super) fn read(dir: &Dir, path: &str) -> Result<Vec<u8>, CapabilityError> {
    let (file, metadata) = open_file(dir, path, OpenOptions::new().read(true))?;
    let too_large = || CapabilityError::Limit(format!("`{path}` is larger than 16 MiB; read it in parts"));
    if metadata.len() > READ_BYTES_MAX {
        return Err(too_large());
    }
    let mut contents = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // The size may have changed since.
    file.take(READ_BYTES_MAX + 1).read_to_end(&mut contents).map_err(|error| refused(path, &error))?;
    if contents.len() as u64 > READ_BYTES_MAX { Err(too_large()) } else { Ok(contents) }
}

pub(super) fn read_range(dir: &Dir, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, CapabilityError> {
    let (mut file, metadata) = open_file(dir, path, OpenOptions::new().read(true))?;
    let length = u64::from(length).min(READ_BYTES_MAX).min(metadata.len().saturating_sub(offset));
    let mut contents = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    if length > 0 {
        let refuse = |error| refused(path, &error);
        file.seek(SeekFrom::Start(offset)).map_err(refuse)?;
        file.take(length).read_to_end(&mut contents).map_err(refuse)?;
    }
    Ok(contents)
}

/// Writes beside the file and renames, so that nobody reads half of it. A link is replaced, not followed.
pub(super) fn write(dir: &Dir, path: &str, contents: &[u8]) -> Result<(), CapabilityError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);

    check(path)?;
    let (parent, name) = parent_and_name(path)?;
    if !parent.is_empty() {
        create_directory(dir, parent)?;
    }
    let before = dir.symlink_metadata(path).ok();
    if before.as_ref().is_some_and(Metadata::is_dir) {
        return Err(CapabilityError::Invalid(format!("`{path}` is a directory")));
    }
    let unique = format!(".oxide-{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Relaxed));
    let temporary = Path::new(parent).join(if name.len() > 100 { unique } else { format!(".{name}{unique}") });
    let written = (|| {
        let mut file = dir.open_with(&temporary, OpenOptions::new().write(true).create_new(true))?;
        file.write_all(contents)?;
        if let Some(before) = before.filter(Metadata::is_file) {
            file.set_permissions(before.permissions())?;
        }
        drop(file);
        dir.rename(&temporary, dir, path)
    })();
    written.map_err(|error| {
        dir.remove_file(&temporary).ok();
        refused(path, &error)
    })
}

/// The directory and the name of a file that is to be written.
fn parent_and_name(path: &str) -> Result<(&str, &str), CapabilityError> {
    let whole = Path::new(path);
    match (whole.parent().and_then(Path::to_str), whole.file_name().and_then(|name| name.to_str())) {
        (Some(parent), Some(name)) if !path.ends_with('/') => Ok((parent, name)),
        _ => Err(CapabilityError::Invalid(format!("`{path}` does not name a file"))),
    }
}

pub(super) fn append(dir: &Dir, path: &str, contents: &[u8]) -> Result<(), CapabilityError> {
    check(path)?;
    let (mut file, _) = open_file(dir, path, OpenOptions::new().append(true).create(true))?;
    file.write_all(contents).map_err(|error| refused(path, &error))
}

/// Makes a directory and those above it.
pub(in crate::capability) fn create_directory(dir: &Dir, path: &str) -> Result<(), CapabilityError> {
    check(path)?;
    match dir.create_dir_all(path) {
        // Something is there: a directory, a link to one, or what is in the way.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match dir.open_dir(path) {
            Err(error) if is_escape(&error) => Err(refused(path, &error)),
            Err(_) => Err(CapabilityError::Invalid(format!("a part of `{path}` is there and is not a directory"))),
            Ok(_) => Ok(()),
        },
        result => result.map_err(|error| refused(path, &error)),
    }
}

pub(super) fn list(dir: &Dir, path: &str) -> Result<Vec<Entry>, CapabilityError> {
    check(path)?;
    let refuse = |error| refused(path, &error);
    let mut entries = Vec::new();
    for entry in dir.read_dir(path).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        // What has vanished in between is not listed.
        let Ok(metadata) = entry.metadata() else { continue };
        if entries.len() == ENTRIES_MAX {
            return Err(CapabilityError::Limit(format!("`{path}` holds more than {ENTRIES_MAX} entries")));
        }
        entries.push(described(join(path, &entry.file_name().to_string_lossy()), &metadata));
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

pub(super) fn stat(dir: &Dir, path: &str) -> Result<Entry, CapabilityError> {
    check(path)?;
    let metadata = dir.symlink_metadata(path).map_err(|error| refused(path, &error))?;
    Ok(described(path.to_owned(), &metadata))
}

pub(super) fn remove(dir: &Dir, path: &str) -> Result<(), CapabilityError> {
    check(path)?;
    if Path::new(path).file_name().is_none() {
        return Err(CapabilityError::Invalid(format!("`{path}` does not name what to remove")));
    }
    let refuse = |error| refused(path, &error);
    match dir.symlink_metadata(path).map_err(refuse)?.is_dir() {
        true => dir.remove_dir_all(path).map_err(refuse),
        false => dir.remove_file(path).map_err(refuse),
    }
}

/// The path of an entry, usable with the handle that was asked.
pub(super) fn join(directory: &str, name: &str) -> String {
    let directory = directory.trim_start_matches("./").trim_end_matches('/');
    match directory {
        "" | "." => name.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

pub(super) fn described(path: String, metadata: &Metadata) -> Entry {
    let file_type = metadata.file_type();
    let kind = if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Directory
    } else if file_type.is_symlink() {
        EntryKind::SymbolicLink
    } else {
        EntryKind::Other
    };
    let is_file = kind == EntryKind::File;
    let size = if is_file { metadata.len() } else { 0 };
    Entry { path, kind, size, executable: is_file && metadata.mode() & 0o100 != 0 }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;

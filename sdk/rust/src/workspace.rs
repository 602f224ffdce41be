//! The files of the job. Every step of a job sees the same ones.
//!
//! Paths are relative to the workspace, and none leads out of it. The functions here go from its top; [`root`] gives a
//! handle, from which [`Directory::open_read_only`] makes one that reaches less.

use std::cell::OnceCell;

use crate::{Error, bindings::oxide::ci::workspace, command::into_text};

pub use crate::bindings::oxide::ci::workspace::{Directory, Entry, EntryKind, root};

/// So many bytes are carried at once where a file is larger than what fits into one call.
const PART_BYTES: usize = 8 << 20;

thread_local! {
    /// Opened once: a plugin that touches a thousand files asks for the workspace once.
    static ROOT: OnceCell<Directory> = const { OnceCell::new() };
}

fn with_root<T>(act: impl FnOnce(&Directory) -> Result<T, Error>) -> Result<T, Error> {
    ROOT.with(|root| match root.get() {
        Some(root) => act(root),
        None => {
            let opened = workspace::root()?;
            act(root.get_or_init(|| opened))
        }
    })
}

/// Reads a whole file, of any size that fits into memory.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Denied`].
pub fn read(path: &str) -> Result<Vec<u8>, Error> {
    with_root(|root| match root.read(path) {
        Err(Error::Limit(_)) => in_parts(PART_BYTES, |offset| root.read_range(path, offset, PART_BYTES as u32)),
        read => read,
    })
}

/// Reads a whole file as text. What is not UTF-8 is replaced.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Denied`].
pub fn read_to_string(path: &str) -> Result<String, Error> {
    read(path).map(into_text)
}

/// Reads a whole file; none if it does not exist.
///
/// # Errors
/// [`Error::Denied`].
pub fn read_if_exists(path: &str) -> Result<Option<Vec<u8>>, Error> {
    match read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads at most `length` bytes from byte `offset` on. Fewer bytes mean the end of the file.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Denied`].
pub fn read_range(path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
    with_root(|root| root.read_range(path, offset, length))
}

/// Writes a whole file, in the place of what was there, and makes the directories above it.
///
/// # Errors
/// [`Error::Denied`].
pub fn write(path: &str, contents: impl AsRef<[u8]>) -> Result<(), Error> {
    with_root(|root| {
        let (first, rest) = contents.as_ref().split_at(contents.as_ref().len().min(PART_BYTES));
        root.write(path, first)?;
        rest.chunks(PART_BYTES).try_for_each(|part| root.append(path, part))
    })
}

/// Appends to a file, which is made if it is not there.
///
/// # Errors
/// [`Error::Denied`].
pub fn append(path: &str, contents: impl AsRef<[u8]>) -> Result<(), Error> {
    with_root(|root| contents.as_ref().chunks(PART_BYTES).try_for_each(|part| root.append(path, part)))
}

/// Does the path lead to anything?
///
/// # Errors
/// [`Error::Denied`].
pub fn exists(path: &str) -> Result<bool, Error> {
    match stat(path) {
        Ok(_) => Ok(true),
        Err(Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Tells what a path leads to, without following a link at its end.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Denied`].
pub fn stat(path: &str) -> Result<Entry, Error> {
    with_root(|root| root.stat(path))
}

/// Lists one directory, sorted by name; `.` is the top of the workspace.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Denied`].
pub fn list(path: &str) -> Result<Vec<Entry>, Error> {
    with_root(|root| root.list(path))
}

/// Finds the files that match a glob (`**` crosses directories), sorted by path.
///
/// # Errors
/// [`Error::Invalid`] for a glob that is none, [`Error::Limit`] for more than 100,000 files.
pub fn glob(pattern: &str) -> Result<Vec<Entry>, Error> {
    with_root(|root| root.glob(pattern))
}

/// Makes a directory and those above it. Nothing happens if it is there.
///
/// # Errors
/// [`Error::Denied`].
pub fn create_directory(path: &str) -> Result<(), Error> {
    with_root(|root| root.create_directory(path))
}

/// Removes a file, a link, or a directory with everything below it.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Denied`].
pub fn remove(path: &str) -> Result<(), Error> {
    with_root(|root| root.remove(path))
}

/// Puts together what is read part by part; a part that is not full is the last one.
fn in_parts(part_bytes: usize, mut read: impl FnMut(u64) -> Result<Vec<u8>, Error>) -> Result<Vec<u8>, Error> {
    let mut whole = Vec::new();
    loop {
        let part = read(whole.len() as u64)?;
        whole.extend_from_slice(&part);
        if part.len() < part_bytes {
            return Ok(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_up_to_the_one_that_is_not_full() {
        for size in [0, 1, 9, 10, 11, 20] {
            let file: Vec<u8> = (0..size).collect();
            let mut offsets = Vec::new();
            let whole = in_parts(10, |offset| {
                offsets.push(offset);
                let rest = &file[(offset as usize).min(file.len())..];
                Ok(rest[..rest.len().min(10)].to_vec())
            });
            assert_eq!(whole, Ok(file.clone()));
            assert_eq!(offsets.len(), file.len() / 10 + 1, "{size}");
        }
        assert_eq!(in_parts(10, |_| Err(Error::Other("gone".into()))), Err(Error::Other("gone".into())));
    }
}

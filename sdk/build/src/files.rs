//! Writing files so that nobody reads half of one, and only where something changes.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {verb} {}", path.display())]
pub struct FileError {
    /// `read`, `write` or `remove`.
    pub verb: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

impl FileError {
    /// For `map_err`: what was done with which file.
    pub fn of(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
        let path = path.to_owned();
        move |cause| FileError { verb, path, cause }
    }
}

/// The largest file of a project that is read: a manifest or WIT.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a file that somebody else wrote. Opening a pipe would wait for somebody who writes into it, and a device may have no
/// end: only regular files of at most 1 MiB are read.
///
/// # Errors
/// Also where it is no regular file, or larger.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    // Not every file tells its size before it is read.
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// The same for a text.
///
/// # Errors
/// Also where it is no UTF-8.
pub fn read_bounded_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_bounded(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// Writes a file as [`write`] does. One that would not change is left alone, so that tools that look at times do nothing.
pub fn write_if_changed(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    // What lies there may be a pipe or a device, which is not read.
    let may_be_same = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == contents.len() as u64);
    if may_be_same && fs::read(path).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    write(path, contents)
}

/// Writes a file with the folders that it needs. A reader never sees half of it: it is written beside, then renamed.
pub fn write(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.join(format!(".{name}.{}", std::process::id()));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&unfinished, contents))
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(FileError::of("write", path))
}

/// Makes a folder hold these files (paths with `/`) and no others.
pub fn mirror(folder: &Path, files: &BTreeMap<String, Cow<'_, [u8]>>) -> Result<(), FileError> {
    if folder.is_symlink() {
        let cause = io::Error::other("it is a symbolic link, and what it leads to would be replaced: remove it");
        return Err(FileError::of("write", folder)(cause));
    }
    for (path, contents) in files {
        write_if_changed(&folder.join(path), contents)?;
    }
    remove_others(folder, "", &|path| files.contains_key(path))
}

fn remove_others(folder: &Path, prefix: &str, belongs: &dyn Fn(&str) -> bool) -> Result<(), FileError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // What a language made of the files: it goes with its folder, not with ours.
        let is_made = name.ends_with("__pycache__") || name.ends_with("Cargo.lock");
        if is_made || belongs(&name) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_others(&path, &format!("{name}/"), belongs)?;
            if fs::read_dir(&path).is_ok_and(|mut left| left.next().is_none()) {
                fs::remove_dir(&path).map_err(FileError::of("remove", &path))?;
            }
        } else {
            fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_holds_what_it_should_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["old.txt", "deep/er/old.txt", "bindings/made.txt", "deep/new.txt"] {
            write_if_changed(&at(path), b"old").unwrap();
        }
        let files = ["new.txt", "deep/new.txt"].map(|path| (path.to_owned(), Cow::Borrowed(&b"new"[..]))).into();
        mirror(folder.path(), &files).unwrap();
        assert!(!at("old.txt").exists() && !at("deep/er").exists() && !at("bindings").exists());
        assert_eq!(fs::read(at("deep/new.txt")).unwrap(), b"new");
        let before = at("new.txt").metadata().unwrap().modified().unwrap();
        mirror(folder.path(), &files).unwrap();
        assert_eq!(at("new.txt").metadata().unwrap().modified().unwrap(), before, "it was written again");
    }

    #[test]
    fn what_a_link_leads_to_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mine")).unwrap();
        fs::write(folder.path().join("mine/notes.txt"), "mine").unwrap();
        let link = folder.path().join("oxide-sdk");
        std::os::unix::fs::symlink("mine", &link).unwrap();
        assert!(mirror(&link, &BTreeMap::new()).unwrap_err().to_string().ends_with("oxide-sdk"));
        assert!(folder.path().join("mine/notes.txt").exists());
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::os::unix::fs::symlink("/dev/zero", at("endless")).unwrap();
        fs::write(at("large"), vec![b' '; (1 << 20) + 1]).unwrap();
        fs::write(at("good"), vec![b' '; 1 << 20]).unwrap();
        assert_eq!(read_bounded(&at("endless")).unwrap_err().to_string(), "it is no regular file");
        assert_eq!(read_bounded(folder.path()).unwrap_err().to_string(), "it is no regular file");
        assert_eq!(read_bounded(&at("large")).unwrap_err().to_string(), "it is larger than 1 MiB");
        assert_eq!(read_bounded_text(&at("good")).unwrap().len(), 1 << 20);
        write_if_changed(&at("endless"), b"x").unwrap();
        assert_eq!(fs::read(at("endless")).unwrap(), b"x");
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = write_if_changed(&folder.path().join("file/below"), b"x").unwrap_err();
        assert!(error.to_string().starts_with("could not write ") && error.to_string().ends_with("file/below"));
    }
}

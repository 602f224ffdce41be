//! The lock of a project on the disk.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{LOCK_BYTES_MAX, LOCK_FILE, Lock, LockError};

/// The lock of a project cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// It cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Its text is no lock.
    #[error(transparent)]
    Text(#[from] LockError),
    /// It cannot be written.
    #[error("could not write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// Reads the lock of the project in this directory; without a file it is empty.
///
/// # Errors
/// See [`LockFileError`].
pub fn read(project: &Path) -> Result<Lock, LockFileError> {
    let path = project.join(LOCK_FILE);
    let read = || {
        // Opening a pipe would wait until somebody writes to it.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut text = String::new();
        let read = fs::File::open(&path)?.take(LOCK_BYTES_MAX + 1).read_to_string(&mut text)?;
        if read as u64 > LOCK_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {} MiB", LOCK_BYTES_MAX >> 20)));
        }
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Lock::parse(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lock::default()),
        Err(cause) => Err(LockFileError::Read { path, cause }),
    }
}

/// Writes the lock of the project in this directory, as a whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write(project: &Path, lock: &Lock) -> Result<(), LockFileError> {
    let path = project.join(LOCK_FILE);
    let beside = project.join(format!(".{LOCK_FILE}.{}", std::process::id()));
    let written = fs::write(&beside, lock.to_text()).and_then(|()| fs::rename(&beside, &path));
    written.map_err(|cause| {
        // What is half written is of no use to anybody.
        let _ = fs::remove_file(&beside);
        LockFileError::Write { path, cause }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_written_and_read_and_none_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), Lock::default());
        write(folder.path(), &Lock::default()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Lock::default());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(folder.path().join(LOCK_FILE), b"\xff").unwrap();
        assert!(matches!(read(folder.path()), Err(LockFileError::Read { .. })));
        assert!(matches!(write(Path::new("/dev/null"), &Lock::default()), Err(LockFileError::Write { .. })));
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let told = || oxide_core::cause::in_one_line(&read(folder.path()).unwrap_err());
        assert!(told().contains("oxide.lock: it is not a regular file"), "{}", told());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(told().contains("it is not a regular file"), "{}", told());
    }

    #[test]
    fn a_version_below_the_first_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for version in [0, -1] {
            fs::write(folder.path().join(LOCK_FILE), format!("version = {version}\n")).unwrap();
            let told = read(folder.path()).unwrap_err().to_string();
            assert!(told.contains(&format!("{version} is no version of its format: write `version = 1`")), "{told}");
        }
    }
}

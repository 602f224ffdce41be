//! The plugins of registries on this machine: blobs under their digests, in a directory for its owner only.
//!
//! Nothing is believed because it lies there: bytes are hashed when they are written, and again whenever they are read.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::oci::Digest;

/// What a process that died left is removed after this time.
const LEFT_OVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory with blobs.
#[derive(Clone, Debug)]
pub struct PluginStore {
    root: PathBuf,
}

/// A blob that is being written; it is not in the store until [`BlobWriter::finish`].
pub struct BlobWriter {
    store: PluginStore,
    file: NamedTempFile,
    hash: Sha256,
}

/// Why the store has no such bytes, or cannot take them.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// They are not there.
    #[error("{0} is not on this machine")]
    Missing(Digest),
    /// Other bytes are there.
    #[error("{} has changed on the disk (expected {expected}, found {found})", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The digest that it is named after.
        expected: Digest,
        /// The digest of what is there.
        found: Digest,
    },
    /// It is larger than is read.
    #[error("{} has more than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        bytes_max: u64,
    },
    /// It cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It cannot be written.
    #[error("could not write below {}", path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl StoreError {
    /// What to type or change.
    pub fn hint(&self) -> Option<String> {
        match self {
            StoreError::Write { path, .. } => Some(format!(
                "free space or rights below {}, or name another directory with `--data-dir`",
                path.display()
            )),
            _ => None,
        }
    }
}

impl PluginStore {
    /// The store in this directory, which is made when something is written.
    pub fn new(root: impl Into<PathBuf>) -> PluginStore {
        PluginStore { root: root.into() }
    }

    /// Where the bytes of a digest lie, if they are here.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Is there something under this digest? Whether it is right is known only to who loads it.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// The bytes of a digest.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::Changed`] if other bytes lie there.
    pub fn load(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let read = |path: &Path| {
            let mut bytes = Vec::new();
            File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => return Err(StoreError::Missing(digest.clone())),
            Err(cause) => return Err(StoreError::Read { path, cause }),
        };
        if bytes.len() as u64 > bytes_max {
            return Err(StoreError::TooLarge { path, bytes_max });
        }
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(StoreError::Changed { path, expected: digest.clone(), found }) }
    }

    /// Writes bytes under their digest.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.load(&digest, bytes.len() as u64).is_err() {
            let mut writer = self.writer()?;
            writer.write(bytes)?;
            writer.finish(&digest)?;
        }
        Ok(digest)
    }

    /// Begins to write a blob. Several may write the same one: all write the same bytes, and the last takes the place of the
    /// others at once.
    ///
    /// # Errors
    /// If no file can be made.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        let temporary = self.temporary();
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(self.blobs())?;
            DirBuilder::new().recursive(true).mode(0o700).create(&temporary)?;
            remove_left_over(&temporary);
            NamedTempFile::new_in(&temporary)
        };
        let file = make().map_err(|cause| self.unwritable(cause))?;
        Ok(BlobWriter { store: self.clone(), file, hash: Sha256::new() })
    }

    fn unwritable(&self, cause: io::Error) -> StoreError {
        StoreError::Write { path: self.root.clone(), cause }
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }
}

impl BlobWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|cause| self.store.unwritable(cause))
    }

    /// Puts what was written into the store, if it has this digest.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if it has another one, and then nothing is in the store.
    pub fn finish(self, expected: &Digest) -> Result<(), StoreError> {
        let found = Digest::from_hash(&self.hash.finalize());
        if found != *expected {
            let path = self.file.path().to_owned();
            return Err(StoreError::Changed { path, expected: expected.clone(), found });
        }
        let synced = self.file.as_file().sync_all();
        synced.map_err(|cause| self.store.unwritable(cause))?;
        let persisted = self.file.persist(self.store.path(expected));
        persisted.map(drop).map_err(|error| self.store.unwritable(error.error))
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Files of processes that were killed; whoever still writes has a younger one.
fn remove_left_over(temporary: &Path) {
    let now = SystemTime::now();
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > LEFT_OVER)) {
            // Somebody else may have been quicker.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn store() -> (tempfile::TempDir, PluginStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = PluginStore::new(folder.path().join("plugins"));
        (folder, store)
    }

    #[test]
    fn what_was_put_is_loaded_and_is_private() {
        let (_folder, store) = store();
        let digest = store.put(b"component").unwrap();
        assert_eq!(store.load(&digest, 100).unwrap(), b"component");
        assert_eq!(store.put(b"component").unwrap(), digest);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.path(&digest)), 0o600);
        assert_eq!(mode(&store.root), 0o700);
        assert!(matches!(store.load(&Digest::of(b"other"), 100), Err(StoreError::Missing(_))));
        assert!(matches!(store.load(&digest, 3), Err(StoreError::TooLarge { .. })));
    }

    #[test]
    fn a_changed_byte_is_found_and_what_is_written_again_is_whole() {
        let (_folder, store) = store();
        let digest = store.put(b"component").unwrap();
        fs::write(store.path(&digest), "componenT").unwrap();
        let told = store.load(&digest, 100).unwrap_err().to_string();
        let expected = format!("has changed on the disk (expected {digest}, found {})", Digest::of(b"componenT"));
        assert!(told.contains(&expected), "{told}");
        store.put(b"component").unwrap();
        assert_eq!(store.load(&digest, 100).unwrap(), b"component");
    }

    #[test]
    fn what_is_not_what_it_should_be_never_gets_into_the_store() {
        let (_folder, store) = store();
        let mut writer = store.writer().unwrap();
        writer.write(b"half of it").unwrap();
        let wanted = Digest::of(b"half of it and the rest");
        assert!(matches!(writer.finish(&wanted), Err(StoreError::Changed { .. })));
        assert!(!store.has(&wanted));
        assert_eq!(fs::read_dir(store.temporary()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_left_is_removed_a_day_later_and_what_is_being_written_is_not() {
        let (_folder, store) = store();
        let writer = store.writer().unwrap();
        let left = store.temporary().join("left");
        fs::write(&left, "x").unwrap();
        let yesterday = SystemTime::now() - 2 * LEFT_OVER;
        File::options().write(true).open(&left).unwrap().set_modified(yesterday).unwrap();
        drop(store.writer().unwrap());
        assert!(!left.exists() && writer.file.path().exists());
    }

    #[test]
    fn many_who_write_the_same_do_not_hinder_each_other() {
        let (_folder, store) = store();
        let bytes = vec![7; 1 << 20];
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| store.put(&bytes).unwrap());
            }
        });
        assert_eq!(store.load(&Digest::of(&bytes), 1 << 20).unwrap(), bytes);
    }
}

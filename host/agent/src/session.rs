//! A lock file that says that an agent lives: the kernel lets go of the lock when its process ends, however it ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use oxide_core::id::AgentId;
use rustix::fs::{FlockOperation, flock};

/// The life of one agent, as `<data>/sessions/<agent>.lock`. Ends when it is dropped or the process ends.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    /// Something could not be removed: the file stays, so that the next sweep tries again.
    leaves_something: AtomicBool,
    /// Holds the lock. Not inherited by commands, for the standard library opens files so.
    _file: File,
}

/// Why a session could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The lock file could not be made.
    #[error("could not make the lock file {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Another process lives under the same id.
    #[error("another process runs as agent {agent}: it holds {path}")]
    Taken {
        /// The agent.
        agent: AgentId,
        /// The lock file.
        path: PathBuf,
    },
}

/// Where the lock files are.
pub(crate) fn sessions_directory(data_dir: &Path) -> PathBuf {
    data_dir.join("sessions")
}

impl Session {
    /// Begins the session of an agent.
    ///
    /// # Errors
    /// If the file cannot be made, or another process lives under the same id.
    pub fn begin(data_dir: &Path, agent: AgentId) -> Result<Session, SessionError> {
        let directory = sessions_directory(data_dir);
        let path = directory.join(format!("{agent}.lock"));
        let failed = |cause| SessionError::Create { path: path.clone(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        // A sweep may take the file between its making and its locking, and remove it: then it is made again.
        for _ in 0..100 {
            let mut options = OpenOptions::new();
            let mut file =
                options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
            if try_lock(&file) && is_still_at(&file, &path) {
                file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
                return Ok(Session { path, leaves_something: AtomicBool::new(false), _file: file });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(SessionError::Taken { agent, path })
    }
}

impl Session {
    /// Something of the agent is still there, and the sweep after its end shall find it.
    pub(crate) fn leave_to_the_sweep(&self) {
        self.leaves_something.store(true, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.leaves_something.load(Ordering::Relaxed) {
            return;
        }
        // Removed while it is still locked, so that nobody takes it for the file of a dead agent.
        let _ = fs::remove_file(&self.path);
    }
}

/// The lock file of an agent that does not live any more. Holds the lock, so only one sweep has it at a time.
#[derive(Debug)]
pub(crate) struct Abandoned {
    path: PathBuf,
    file: File,
}

impl Abandoned {
    /// Takes the lock of a session, if nobody holds it.
    pub(crate) fn take(path: PathBuf) -> Option<Abandoned> {
        let file = File::open(&path).ok()?;
        (try_lock(&file) && is_still_at(&file, &path)).then_some(Abandoned { path, file })
    }

    /// The id that the process had.
    pub(crate) fn pid(&mut self) -> Option<u32> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    /// Removes the file: what the agent left is gone.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

fn try_lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// Is the locked file the one that others find under the path?
fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

//! A lock file that says that an agent lives: the kernel lets go of the lock when its process ends, however it ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use oxide_core::id::AgentId;
use rustix::fs::{FlockOperation, flock};

/// What stands before the address of Docker in a lock file.
const CONTAINERS: &str = "containers ";

/// The life of one agent, as `<data>/sessions/<agent>.lock`. Ends when it is dropped or the process ends.
///
/// The file holds the id of the process and, once there may be containers, a line that says at which address of Docker.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    /// Something could not be removed: the file stays, so that the next sweep tries again.
    leaves_something: AtomicBool,
    notes_containers: Mutex<bool>,
    /// Holds the lock. Not inherited by commands, for the standard library opens files so.
    file: File,
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

/// The lock file of an agent.
pub(crate) fn lock_file(data_dir: &Path, agent: AgentId) -> PathBuf {
    sessions_directory(data_dir).join(format!("{agent}.lock"))
}

impl Session {
    /// Begins the session of an agent.
    ///
    /// # Errors
    /// If the file cannot be made, or another process lives under the same id.
    pub fn begin(data_dir: &Path, agent: AgentId) -> Result<Session, SessionError> {
        let directory = sessions_directory(data_dir);
        let path = lock_file(data_dir, agent);
        let failed = |cause| SessionError::Create { path: path.clone(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        // A sweep may take the file between its making and its locking, and remove it: then it is made again.
        for _ in 0..100 {
            let mut options = OpenOptions::new();
            let mut file =
                options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
            if try_lock(&file) && is_still_at(&file, &path) {
                file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
                let (leaves_something, notes_containers) = (AtomicBool::new(false), Mutex::new(false));
                return Ok(Session { path, leaves_something, notes_containers, file });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(SessionError::Taken { agent, path })
    }
}

impl Session {
    /// Writes down, once, that there may be containers of the agent, and at which address of Docker: a sweep after the
    /// death of this process does not rest until it has asked there.
    ///
    /// # Errors
    /// If it cannot be written; then no container may be made.
    pub(crate) fn note_containers(&self, address: &str) -> io::Result<()> {
        let mut noted = self.notes_containers.lock().unwrap_or_else(PoisonError::into_inner);
        if !*noted {
            (&self.file).write_all(format!("{CONTAINERS}{address}\n").as_bytes())?;
            *noted = true;
        }
        Ok(())
    }

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

/// What the lock file of a dead agent says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Notes {
    /// The id that its process had.
    pub(crate) pid: Option<u32>,
    /// The address of Docker where it may have left containers; none if it never made one.
    pub(crate) containers_at: Option<String>,
}

impl Notes {
    fn read(text: &str) -> Notes {
        Notes {
            pid: text.lines().next().and_then(|line| line.trim().parse().ok()),
            containers_at: text.lines().find_map(|line| line.strip_prefix(CONTAINERS).map(str::to_owned)),
        }
    }
}

impl Abandoned {
    /// Takes the lock of a session, if nobody holds it.
    pub(crate) fn take(path: PathBuf) -> Option<Abandoned> {
        let file = File::open(&path).ok()?;
        (try_lock(&file) && is_still_at(&file, &path)).then_some(Abandoned { path, file })
    }

    /// What it says; nothing if it cannot be read.
    pub(crate) fn notes(&mut self) -> Notes {
        let mut text = String::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_string(&mut text));
        read.map(|_| Notes::read(&text)).unwrap_or_default()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
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

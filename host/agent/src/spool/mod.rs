//! What an agent keeps on disk while its server is away: `<data>/spool/<agent>/<run>-<job>-<attempt>/000001.records`.
//!
//! The directory of an attempt is there from its lease until its end is acknowledged, so an agent that was killed knows
//! which attempts it had ([`left`]). Reports go into it only when they do not get through at once; the end of an attempt
//! always does. Records are in order and numbered as they were; what was acknowledged is removed a file at a time.
//!
//! Nothing is synced to the disk: a killed process loses nothing that it wrote. A machine that loses power may.

mod budget;
pub(crate) mod left;
mod record;

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use oxide_core::id::{AgentId, AttemptId};

use budget::{Budget, Share};
use record::Place;

pub(crate) use record::Message;

/// What all spools of an agent may take together if nobody says otherwise: 1 GiB.
pub const SPOOL_BYTES_MAX: u64 = 1 << 30;

/// The largest file. What was acknowledged is given back a file at a time.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The spools of one agent.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    root: PathBuf,
    budget: Arc<Budget>,
}

/// The spool of one attempt.
#[derive(Debug)]
pub(crate) struct AttemptSpool {
    directory: PathBuf,
    budget: Arc<Budget>,
    files: VecDeque<RecordFile>,
    /// What waits, oldest first.
    waiting: VecDeque<Waiting>,
    next_file: u32,
}

/// One file of records.
#[derive(Debug)]
struct RecordFile {
    number: u32,
    path: PathBuf,
    file: Arc<File>,
    /// How long it is as far as it is good.
    bytes: u64,
    share: Share,
    /// Nothing may be added: something stands at its end that is no record.
    is_closed: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    file: u32,
    place: Place,
}

/// A message on the disk that is the next to be sent.
#[derive(Debug)]
pub(crate) struct Head {
    file: Arc<File>,
    place: Place,
}

/// Why a message could not be kept on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// It would be too much.
    #[error("the spool has reached its limit of {bytes_max} bytes")]
    Full { bytes_max: u64 },
    /// The disk is full, say.
    #[error("could not write to {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

impl Spool {
    /// The spools of an agent. Nothing is made yet.
    pub(crate) fn of(data_dir: &Path, agent: AgentId, bytes_max: u64) -> Spool {
        Spool { root: data_dir.join("spool").join(agent.to_string()), budget: Arc::new(Budget::new(bytes_max)) }
    }

    /// The spool of an attempt that begins. From now on a killed agent knows that it had it.
    ///
    /// # Errors
    /// If the directory cannot be made; then a later message tries again.
    pub(crate) fn begin(&self, attempt: AttemptId) -> (AttemptSpool, Result<(), SpoolError>) {
        let directory = self.root.join(directory_name(attempt));
        let spool = AttemptSpool {
            directory,
            budget: Arc::clone(&self.budget),
            files: VecDeque::new(),
            waiting: VecDeque::new(),
            next_file: 1,
        };
        let made = spool.make_directory();
        (spool, made)
    }
}

fn directory_name(attempt: AttemptId) -> String {
    format!("{}-{}-{}", attempt.run, attempt.job, attempt.number)
}

impl AttemptSpool {
    fn make_directory(&self) -> Result<(), SpoolError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|cause| SpoolError::Write { path: self.directory.clone(), cause })
    }

    /// Does nothing wait here?
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many messages wait here.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a message behind all others.
    ///
    /// # Errors
    /// If it is too much, or cannot be written. Then it is as if nobody had tried.
    pub(crate) fn append(&mut self, message: &Message) -> Result<(), SpoolError> {
        let record = record::encode(message);
        let bytes = record.len() as u64;
        let file_bytes_max = (self.budget.bytes_max() / 8).min(FILE_BYTES_MAX);
        let takes = |file: &RecordFile| !file.is_closed && (file.bytes == 0 || file.bytes + bytes <= file_bytes_max);
        if !self.files.back().is_some_and(takes) {
            self.add_file()?;
        }
        let bytes_max = self.budget.bytes_max();
        let last = self.files.back_mut().expect("there is one that takes it");
        if !last.share.grow(bytes) {
            return Err(SpoolError::Full { bytes_max });
        }
        if let Err(cause) = (&*last.file).write_all(&record) {
            last.share.shrink(bytes);
            // What was written of it must not stand before the next one.
            last.is_closed = last.file.set_len(last.bytes).is_err();
            return Err(SpoolError::Write { path: last.path.clone(), cause });
        }
        self.waiting.push_back(Waiting { file: last.number, place: Place { offset: last.bytes, bytes } });
        last.bytes += bytes;
        Ok(())
    }

    fn add_file(&mut self) -> Result<(), SpoolError> {
        self.make_directory()?;
        let number = self.next_file;
        let path = self.directory.join(format!("{number:06}.{EXTENSION}"));
        let opened = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(|cause| SpoolError::Write { path: path.clone(), cause })?;
        self.next_file += 1;
        let share = Share::none_of(&self.budget);
        self.files.push_back(RecordFile { number, path, file: Arc::new(file), bytes: 0, share, is_closed: false });
        Ok(())
    }

    /// The message that has waited longest.
    pub(crate) fn head(&self) -> Option<Head> {
        let next = self.waiting.front()?;
        let file =
            self.files.iter().find(|file| file.number == next.file).expect("a file stays while records wait in it");
        Some(Head { file: Arc::clone(&file.file), place: next.place })
    }

    /// The message that has waited longest got through, or nobody wants it.
    pub(crate) fn pop(&mut self) {
        self.waiting.pop_front();
        let still_needed = self.waiting.front().map(|next| next.file);
        while let Some(first) = self.files.front()
            && still_needed.is_none_or(|needed| first.number < needed)
        {
            // If it stays, it goes with the directory; a later process sends it once more, which does no harm.
            let _ = fs::remove_file(&first.path);
            self.files.pop_front();
        }
    }

    /// Nobody wants what waits.
    pub(crate) fn clear(&mut self) {
        while !self.waiting.is_empty() {
            self.pop();
        }
    }

    /// The end of the attempt is acknowledged, or nobody wants to know of it: nothing of it is to be known here.
    pub(crate) fn forget(self) {
        // If it stays, the next process finds out once more that nobody wants it.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// How the files of records end.
const EXTENSION: &str = "records";

impl Head {
    /// Reads the message.
    ///
    /// # Errors
    /// If the disk does not give it back as it was.
    pub(crate) fn read(&self) -> io::Result<Message> {
        record::read(&self.file, self.place.offset).map(|(message, _)| message)
    }
}

#[cfg(test)]
mod tests;

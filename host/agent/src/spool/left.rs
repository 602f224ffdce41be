//! What an earlier process of the same agent left: attempts that it had when it was killed, and messages of them that did not
//! get through.

use std::{fs, fs::File, io, path::PathBuf};

use oxide_core::id::AttemptId;

use super::{EXTENSION, Spool, record, record::Message};

/// An attempt that an earlier process had.
#[derive(Debug, PartialEq)]
pub(crate) struct LeftAttempt {
    /// Which.
    pub(crate) attempt: AttemptId,
    directory: PathBuf,
    /// Its files of records, oldest first.
    files: Vec<PathBuf>,
}

/// The messages of an attempt, oldest first, one at a time from the disk.
pub(crate) struct Messages {
    files: std::vec::IntoIter<PathBuf>,
    present: Option<(PathBuf, File, u64)>,
    last_report: Option<u64>,
    /// What was found at the end of the file before.
    damage: Option<Damage>,
    is_over: bool,
}

/// What is there instead of the next message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    /// A record is half or changed.
    #[error("{} is damaged at byte {offset}", path.display())]
    Record {
        path: PathBuf,
        offset: u64,
        #[source]
        cause: io::Error,
    },
    /// A report is missing.
    #[error("report {wanted} is missing in {}: report {found} follows", path.display())]
    Gap { path: PathBuf, wanted: u64, found: u64 },
}

impl Spool {
    /// The attempts that earlier processes of this agent had, oldest first. What is no directory of an attempt is left alone.
    pub(crate) fn left(&self) -> Vec<LeftAttempt> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let read = entries.flatten().filter_map(|entry| {
            let attempt = parse_name(entry.file_name().to_str()?)?;
            let directory = entry.path();
            let mut files: Vec<PathBuf> = fs::read_dir(&directory)
                .ok()?
                .flatten()
                .map(|file| file.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
                .collect();
            files.sort();
            Some(LeftAttempt { attempt, directory, files })
        });
        let mut left: Vec<_> = read.collect();
        left.sort_by_key(|left| left.attempt);
        left
    }
}

/// `<run>-<job>-<attempt>`; the run has dashes of its own.
fn parse_name(name: &str) -> Option<AttemptId> {
    let (rest, number) = name.rsplit_once('-')?;
    let (run, job) = rest.rsplit_once('-')?;
    Some(AttemptId {
        run: run.parse().ok()?,
        job: oxide_core::id::JobIndex(job.parse().ok()?),
        number: number.parse().ok()?,
    })
}

impl LeftAttempt {
    /// What was not acknowledged, as far as this machine knows: some of it may have got through.
    pub(crate) fn messages(&self) -> Messages {
        let files = self.files.clone().into_iter();
        Messages { files, present: None, last_report: None, damage: None, is_over: false }
    }

    /// Nobody wants to know of it any more.
    pub(crate) fn forget(self) {
        // If it stays, the next process finds out once more that nobody wants it.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Iterator for Messages {
    type Item = Result<Message, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.read_next();
        // Nothing can follow a damaged record: reports are numbered without gaps.
        self.is_over = !matches!(next, Some(Ok(Message::Report(_))));
        next
    }
}

impl Messages {
    fn read_next(&mut self) -> Option<Result<Message, Damage>> {
        loop {
            let Some((path, file, offset)) = &mut self.present else {
                let Some(path) = self.files.next() else { return self.damage.take().map(Err) };
                match File::open(&path) {
                    Ok(file) => self.present = Some((path, file, 0)),
                    Err(cause) => return Some(Err(Damage::Record { path, offset: 0, cause })),
                }
                continue;
            };
            let is_at_end = file.metadata().is_ok_and(|metadata| metadata.len() == *offset);
            if is_at_end {
                self.present = None;
                continue;
            }
            let (message, place) = match record::read(file, *offset) {
                Ok(read) => read,
                Err(cause) => {
                    // What could not be written whole was written again into the next file, if there is one.
                    self.damage = Some(Damage::Record { path: path.clone(), offset: *offset, cause });
                    self.present = None;
                    continue;
                }
            };
            *offset += place.bytes;
            if let Message::Report(report) = &message {
                let (wanted, found) = (self.last_report.map_or(report.number, |last| last + 1), report.number);
                if found != wanted {
                    let gap = Damage::Gap { path: path.clone(), wanted, found };
                    return Some(Err(self.damage.take().unwrap_or(gap)));
                }
                self.last_report = Some(found);
            }
            self.damage = None;
            return Some(Ok(message));
        }
    }
}

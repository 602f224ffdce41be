//! Uploads of blobs: bytes are staged in a file and become a blob when their digest is the promised one.
//!
//! The file is the truth. An upload that was begun before the process was killed goes on: its digest is computed again from
//! the file. Bytes are written and hashed a megabyte at a time, in tasks of their own, so that a client that goes away in the
//! middle leaves file and digest in step.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    ops::Range,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::{Arc, Mutex as PlainMutex},
    time::{Duration, SystemTime},
};

use axum::{body::Body, http::header};
use futures_util::StreamExt as _;
use oxide_blobs::Objects;
use oxide_core::quantity::{self, hexadecimal};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
    time::timeout,
};

use super::{names, refusal::Refusal, route::Name};
use crate::oci::Digest;

/// How long an upload may lie still before it is given up.
pub(super) const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an upload may lie still that never got a byte.
const ABANDONED_EMPTY: Duration = Duration::from_secs(10 * 60);
/// How long an upload lies still before another one may take its place, if there are too many.
const REPLACEABLE: Duration = Duration::from_secs(60);
/// How many uploads there may be at once.
const UPLOADS_MAX: usize = 1_000;
/// How many bytes are collected before they are written.
const PIECE_BYTES: usize = 1 << 20;
/// How long a client may keep an upload waiting for the next byte.
const SILENCE: Duration = Duration::from_secs(60);

/// The uploads that are under way.
pub(super) struct Uploads {
    directory: PathBuf,
    blob_bytes_max: u64,
    open: Arc<PlainMutex<HashMap<String, Slot>>>,
}

/// An upload, and when it was begun or added to.
struct Slot {
    upload: Arc<Mutex<Upload>>,
    touched: SystemTime,
}

impl Slot {
    fn new(upload: Upload, touched: SystemTime) -> Slot {
        Slot { upload: Arc::new(Mutex::new(upload)), touched }
    }
}

/// What is known of an upload beside its file.
enum Upload {
    /// Nothing: the file was written by an earlier process, or a write failed half-way.
    Unread,
    /// So many bytes came, and this is their digest until now.
    Open { received: u64, hasher: Sha256 },
    /// It became a blob, or was given up.
    Ended,
}

impl Uploads {
    /// Uploads in this directory, which is made.
    pub fn new(directory: PathBuf, blob_bytes_max: u64) -> io::Result<Uploads> {
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        // Those of an earlier process count.
        let mut open = HashMap::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let Some(id) = entry.file_name().into_string().ok().filter(|name| is_id(name)) else { continue };
            // One that another process has just ended is gone.
            let Ok(touched) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
            open.insert(id, Slot::new(Upload::Unread, touched));
        }
        Ok(Uploads { directory, blob_bytes_max, open: Arc::new(PlainMutex::new(open)) })
    }

    /// A file beside the uploads that is locked: shared by whoever serves, exclusively by whoever collects.
    pub fn lock_file(&self) -> io::Result<File> {
        let path = self.directory.join("lock");
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
    }

    /// Begins an upload to a repository; answers with its id.
    pub async fn begin(&self, name: &Name) -> Result<String, Refusal> {
        let random: [u8; 16] = crate::random::bytes().map_err(|error| Refusal::internal("begin an upload", error))?;
        let id = format!("{}-{}", hexadecimal(&random), mark_of(name));
        let path = self.directory.join(&id);
        if let Some(dropped) = self.take_place(&id, SystemTime::now())? {
            let dropped = self.directory.join(dropped);
            blocking(move || fs::remove_file(dropped)).await.ok();
        }
        let made = blocking(move || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)).await;
        if let Err(error) = made {
            self.open.lock().expect("nobody panics here").remove(&id);
            return Err(Refusal::internal("begin an upload", error));
        }
        Ok(id)
    }

    /// Makes place for a new upload; answers with the one that had to go, if one had to.
    fn take_place(&self, id: &str, now: SystemTime) -> Result<Option<String>, Refusal> {
        let mut open = self.open.lock().expect("nobody panics here");
        let mut dropped = None;
        if open.len() >= UPLOADS_MAX {
            let stillness = |slot: &Slot| now.duration_since(slot.touched).unwrap_or_default();
            let mut still: Vec<_> = open.iter().filter(|(_, slot)| stillness(slot) >= REPLACEABLE).collect();
            still.sort_by_key(|(_, slot)| slot.touched);
            dropped = still.into_iter().find_map(|(id, slot)| {
                // Whoever is being added to is locked.
                *slot.upload.try_lock().ok()? = Upload::Ended;
                Some(id.clone())
            });
            let Some(dropped) = &dropped else {
                let message = format!("{UPLOADS_MAX} uploads are under way, none of them still for a minute");
                return Err(Refusal::too_many(message).with(header::RETRY_AFTER, "60"));
            };
            open.remove(dropped);
        }
        let upload = Upload::Open { received: 0, hasher: Sha256::new() };
        open.insert(id.to_owned(), Slot::new(upload, now));
        Ok(dropped)
    }

    /// How many bytes came until now.
    pub async fn received(&self, name: &Name, id: &str) -> Result<u64, Refusal> {
        match &*self.find(name, id).await? {
            Upload::Open { received, .. } => Ok(*received),
            Upload::Unread | Upload::Ended => Err(Refusal::upload_unknown()),
        }
    }

    /// Adds bytes; answers with how many there are now. `part` is what the client says it sends.
    pub async fn append(&self, name: &Name, id: &str, body: Body, part: Option<Range<u64>>) -> Result<u64, Refusal> {
        let upload = self.find(name, id).await?;
        if let (Upload::Open { received, .. }, Some(part)) = (&*upload, &part)
            && *received != part.start
        {
            return Err(Refusal::out_of_order(format!("{received} bytes came until now: send what follows them")));
        }
        let expected = part.map(|part| part.end - part.start);
        let (path, bytes_max) = (self.directory.join(id), self.blob_bytes_max);
        // The client may go away, and with it this future: what was begun ends in order all the same.
        let (open, id) = (Arc::clone(&self.open), id.to_owned());
        let written = tokio::spawn(async move {
            let mut upload = upload;
            let written = write_all(&mut upload, path, body, expected, bytes_max).await;
            let mut open = open.lock().expect("nobody panics here");
            if matches!(&*upload, Upload::Ended) {
                open.remove(&id);
            } else if let Some(slot) = open.get_mut(&id) {
                slot.touched = SystemTime::now();
            }
            written
        });
        written.await.map_err(|error| Refusal::internal("write an upload", error))?
    }

    /// Makes what came a blob, if its digest is this one. The upload is over either way.
    pub async fn finish(&self, name: &Name, id: &str, promised: &Digest, objects: &Objects) -> Result<(), Refusal> {
        let mut upload = self.find(name, id).await?;
        let Upload::Open { received, hasher } = std::mem::replace(&mut *upload, Upload::Ended) else {
            return Err(Refusal::upload_unknown());
        };
        let path = self.directory.join(id);
        let found = Digest::from_hash(&hasher.finalize());
        let kept = if found == *promised {
            let (file, blob) = (path.clone(), names::blob(promised));
            let synced = blocking(move || File::open(file)?.sync_all()).await;
            match synced {
                Ok(()) => objects.adopt(&blob, &path).await.map_err(Refusal::from),
                Err(error) => Err(Refusal::internal("finish an upload", error)),
            }
        } else {
            Err(Refusal::digest_invalid(format!("the {received} bytes that came have the digest {found}")))
        };
        self.open.lock().expect("nobody panics here").remove(id);
        if kept.is_err() {
            blocking(move || fs::remove_file(path)).await.ok();
        }
        kept
    }

    /// Gives an upload up.
    pub async fn cancel(&self, name: &Name, id: &str) -> Result<(), Refusal> {
        let mut upload = self.find(name, id).await?;
        *upload = Upload::Ended;
        let path = self.directory.join(id);
        self.open.lock().expect("nobody panics here").remove(id);
        blocking(move || fs::remove_file(path)).await.map_err(|error| Refusal::internal("give up an upload", error))
    }

    /// Removes uploads that nobody has added to for a day, or ten minutes if they are empty; answers with how many.
    pub async fn remove_abandoned(&self, now: SystemTime) -> io::Result<usize> {
        let directory = self.directory.clone();
        let old = blocking(move || {
            let mut old = Vec::new();
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                let Ok(metadata) = entry.metadata() else { continue };
                let age = metadata.modified().ok().and_then(|changed| now.duration_since(changed).ok());
                let patience = if metadata.len() == 0 { ABANDONED_EMPTY } else { ABANDONED };
                if age.is_some_and(|age| age >= patience) {
                    old.extend(entry.file_name().into_string().ok().filter(|name| is_id(name)));
                }
            }
            Ok(old)
        })
        .await?;
        let mut removed = 0;
        for id in old {
            let known = self.open.lock().expect("nobody panics here").get(&id).map(|slot| slot.upload.clone());
            if let Some(known) = known {
                // Somebody adds to it after all.
                let Ok(mut upload) = known.try_lock() else { continue };
                *upload = Upload::Ended;
                self.open.lock().expect("nobody panics here").remove(&id);
            }
            let path = self.directory.join(id);
            removed += usize::from(blocking(move || fs::remove_file(path)).await.is_ok());
        }
        Ok(removed)
    }

    /// The upload, locked and read.
    async fn find(&self, name: &Name, id: &str) -> Result<OwnedMutexGuard<Upload>, Refusal> {
        if !is_id(id) || !id.ends_with(&mark_of(name)) {
            return Err(Refusal::upload_unknown());
        }
        let known = self.open.lock().expect("nobody panics here").get(id).map(|slot| slot.upload.clone());
        let path = self.directory.join(id);
        let slot = match known {
            Some(slot) => slot,
            None => {
                let there = path.clone();
                if blocking(move || fs::metadata(there)).await.is_err() {
                    return Err(Refusal::upload_unknown());
                }
                let mut open = self.open.lock().expect("nobody panics here");
                let slot = open.entry(id.to_owned());
                slot.or_insert_with(|| Slot::new(Upload::Unread, SystemTime::now())).upload.clone()
            }
        };
        let mut upload = slot.lock_owned().await;
        if let Upload::Unread = &*upload {
            match blocking(move || read_again(path)).await {
                Ok((received, hasher)) => *upload = Upload::Open { received, hasher },
                Err(_) => {
                    *upload = Upload::Ended;
                    self.open.lock().expect("nobody panics here").remove(id);
                }
            }
        }
        match &*upload {
            Upload::Ended => Err(Refusal::upload_unknown()),
            Upload::Unread | Upload::Open { .. } => Ok(upload),
        }
    }
}

/// Binds the id of an upload to its repository.
fn mark_of(name: &Name) -> String {
    hexadecimal(&Sha256::digest(name.as_str().as_bytes())[..8])
}

fn is_id(text: &str) -> bool {
    text.len() == 32 + 1 + 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            32 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn read_again(path: PathBuf) -> io::Result<(u64, Sha256)> {
    let (mut file, mut hasher, mut received) = (File::open(path)?, Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((received, hasher)),
            count => {
                hasher.update(&piece[..count]);
                received += count as u64;
            }
        }
    }
}

async fn write_all(
    upload: &mut Upload,
    path: PathBuf,
    body: Body,
    expected: Option<u64>,
    bytes_max: u64,
) -> Result<u64, Refusal> {
    let opened = path.clone();
    let mut file = blocking(move || OpenOptions::new().append(true).open(opened)).await;
    let mut stream = body.into_data_stream();
    let mut piece: Vec<u8> = Vec::new();
    let mut came: u64 = 0;
    loop {
        let next = timeout(SILENCE, stream.next()).await;
        let end = match next {
            Ok(Some(Ok(bytes))) => {
                came += bytes.len() as u64;
                if expected.is_some_and(|expected| came > expected) {
                    return Err(Refusal::size_invalid("more bytes came than were announced"));
                }
                piece.extend_from_slice(&bytes);
                None
            }
            Ok(None) => Some(Ok(())),
            Ok(Some(Err(_))) => Some(Err(Refusal::upload_invalid("the connection broke"))),
            Err(_) => Some(Err(Refusal::upload_invalid("no byte came for a minute"))),
        };
        if end.is_none() && piece.len() < PIECE_BYTES {
            continue;
        }
        let Upload::Open { received, hasher } = std::mem::replace(upload, Upload::Unread) else {
            return Err(Refusal::upload_unknown());
        };
        if received + piece.len() as u64 > bytes_max {
            *upload = Upload::Ended;
            blocking(move || fs::remove_file(path)).await.ok();
            return Err(Refusal::too_large(format!("a blob has at most {}", quantity::bytes(bytes_max))));
        }
        let full = std::mem::take(&mut piece);
        let written = blocking(move || {
            let (mut opened, mut hasher) = (file?, hasher);
            opened.write_all(&full)?;
            hasher.update(&full);
            Ok((opened, hasher, received + full.len() as u64))
        });
        let (opened, hasher, received) = written.await.map_err(|error| Refusal::internal("write an upload", error))?;
        file = Ok(opened);
        *upload = Upload::Open { received, hasher };
        match end {
            None => {}
            Some(Err(refusal)) => return Err(refusal),
            Some(Ok(())) if expected.is_some_and(|expected| came < expected) => {
                return Err(Refusal::size_invalid("fewer bytes came than were announced"));
            }
            Some(Ok(())) => return Ok(received),
        }
    }
}

/// Does what may wait for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {

    use super::{super::route::Route, *};

    fn name() -> Name {
        let Ok(Route::Tags(name)) = Route::parse("/v2/team/tool/tags/list") else { panic!("this is a route") };
        name
    }

    #[tokio::test]
    async fn the_stillest_upload_makes_place_for_a_new_one() {
        let folder = tempfile::TempDir::new().unwrap();
        let uploads = Uploads::new(folder.path().to_owned(), 1 << 20).unwrap();
        let mut ids = Vec::new();
        for _ in 0..UPLOADS_MAX {
            ids.push(uploads.begin(&name()).await.unwrap());
        }
        uploads.begin(&name()).await.unwrap_err();
        // Those on disk count after a restart, too.
        let uploads = Uploads::new(folder.path().to_owned(), 1 << 20).unwrap();
        uploads.begin(&name()).await.unwrap_err();
        for (age, id) in [(2, &ids[7]), (3, &ids[8]), (4, &ids[9])] {
            let mut open = uploads.open.lock().unwrap();
            open.get_mut(id).unwrap().touched = SystemTime::now() - REPLACEABLE * age;
        }
        // The one that is being added to stays.
        let busy = uploads.find(&name(), &ids[9]).await.unwrap();
        let new = uploads.begin(&name()).await.unwrap();
        drop(busy);
        uploads.received(&name(), &ids[8]).await.unwrap_err();
        assert!(!folder.path().join(&ids[8]).exists());
        for id in [&ids[7], &ids[9], &new] {
            assert_eq!(uploads.received(&name(), id).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn uploads_that_never_got_a_byte_end_soon() {
        let folder = tempfile::TempDir::new().unwrap();
        let uploads = Uploads::new(folder.path().to_owned(), 1 << 20).unwrap();
        let (empty, begun) = (uploads.begin(&name()).await.unwrap(), uploads.begin(&name()).await.unwrap());
        uploads.append(&name(), &begun, Body::from("bytes"), None).await.unwrap();
        let now = SystemTime::now();
        assert_eq!(uploads.remove_abandoned(now + ABANDONED_EMPTY / 2).await.unwrap(), 0);
        assert_eq!(uploads.remove_abandoned(now + ABANDONED_EMPTY * 2).await.unwrap(), 1);
        uploads.received(&name(), &empty).await.unwrap_err();
        assert_eq!(uploads.received(&name(), &begun).await.unwrap(), 5);
    }
}

//! Objects of another part of the program, in a folder of their own beside caches and artifacts.
//!
//! The small registry keeps its blobs and manifests here. The sweep of caches knows nothing of them: whoever keeps objects
//! removes them. Names are put together from parts that the caller has checked; what a store could not hold in a name is
//! encoded, so that no name leads out of the folder.

use std::{error::Error as StdError, ops::Range, path::Path as FilePath};

use bytes::Bytes;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    Error, GetOptions, GetRange, ObjectMeta, ObjectStoreExt as _, PutMode, PutOptions, WriteMultipart, path::Path,
};
use tokio::io::AsyncReadExt as _;

use crate::{Blobs, store::REQUESTS_AT_ONCE};

/// How many bytes of a file are read or sent at once.
const PIECE_BYTES: usize = 1 << 20;

/// How many parts of one upload are on their way to a bucket at the same time.
const PARTS_AT_ONCE: usize = 4;

/// A folder of objects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    blobs: Blobs,
    folder: &'static str,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its name below the folder of all objects.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, in milliseconds since 1970.
    pub written_at_millis: i64,
}

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} `{name}` in {location}")]
pub struct ObjectError {
    operation: &'static str,
    name: String,
    location: String,
    #[source]
    cause: Box<dyn StdError + Send + Sync>,
}

impl Blobs {
    /// The folder of this name, which must not be one that caches and artifacts use.
    pub fn objects(&self, folder: &'static str) -> Objects {
        Objects { blobs: self.clone(), folder }
    }
}

impl Objects {
    /// The bytes of a small object; none if it is not there.
    ///
    /// # Errors
    /// If the store fails, or the object has more than `bytes_max` bytes.
    pub async fn get(&self, name: &str, bytes_max: u64) -> Result<Option<Bytes>, ObjectError> {
        let failed = self.failed("read", name);
        match self.blobs.store.get(&self.path(name)).await {
            Ok(found) if found.meta.size > bytes_max => {
                Err(failed(format!("it has {} bytes, more than it can have", found.meta.size).into()))
            }
            Ok(found) => match found.bytes().await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(failed(error.into())),
            },
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// The size of an object; none if it is not there.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        match self.blobs.store.head(&self.path(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("find", name)(error.into())),
        }
    }

    /// A part of an object as a stream that holds about a megabyte at a time.
    pub fn read(&self, name: &str, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ObjectError>> {
        let (objects, path, name) = (self.clone(), self.path(name), name.to_owned());
        if self.blobs.local_directory().is_some() {
            // The stream of the client reads pieces of 8 KiB, each on another thread.
            return stream::try_unfold(range.start, move |at| {
                let (objects, path, name) = (objects.clone(), path.clone(), name.clone());
                async move {
                    if at >= range.end {
                        return Ok(None);
                    }
                    let piece = at..range.end.min(at + PIECE_BYTES as u64);
                    let end = piece.end;
                    let bytes = objects.blobs.store.get_range(&path, piece).await;
                    let bytes = bytes.map_err(|error| objects.failed("read", &name)(error.into()))?;
                    Ok(Some((bytes, end)))
                }
            })
            .boxed();
        }
        let opened = async move {
            let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
            let failed = objects.failed("read", &name);
            let found = objects.blobs.store.get_opts(&path, options).await.map_err(|error| failed(error.into()))?;
            Ok(found.into_stream().map_err(move |error| failed(error.into())))
        };
        stream::once(opened).try_flatten().boxed()
    }

    /// Writes a small object, over one that may be there.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ObjectError> {
        let written = self.blobs.store.put(&self.path(name), bytes.into()).await;
        written.map(|_| ()).map_err(|error| self.failed("write", name)(error.into()))
    }

    /// Writes a small object unless there is one of this name; true if it was written. Of several who do so at once, one
    /// writes it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, ObjectError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.blobs.store.put_opts(&self.path(name), bytes.clone().into(), options).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            // A store without conditional writes: the last of two at once wins.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => match self.size(name).await? {
                Some(_) => Ok(false),
                None => self.put(name, bytes).await.map(|()| true),
            },
            Err(error) => Err(self.failed("write", name)(error.into())),
        }
    }

    /// Makes a finished file an object: all of it appears at once, and the file is gone. A file that lies in the directory
    /// of the store is only moved; its bytes must be on the disk already.
    ///
    /// # Errors
    /// If the file cannot be read or the store fails; then there is no object that was not there before.
    pub async fn adopt(&self, name: &str, file: &FilePath) -> Result<(), ObjectError> {
        let failed = self.failed("write", name);
        let here = self.blobs.local_directory().and_then(|root| Some(file.strip_prefix(root).ok()?.to_path_buf()));
        if let Some(relative) = here {
            let from = Path::from(relative.to_string_lossy().as_ref());
            let moved = self.blobs.store.rename(&from, &self.path(name)).await;
            return moved.map_err(|error| failed(error.into()));
        }
        self.upload(name, file).await?;
        tokio::fs::remove_file(file).await.map_err(|error| failed(error.into()))
    }

    async fn upload(&self, name: &str, file: &FilePath) -> Result<(), ObjectError> {
        let failed = self.failed("write", name);
        let mut file = tokio::fs::File::open(file).await.map_err(|error| failed(error.into()))?;
        let started = self.blobs.store.put_multipart(&self.path(name)).await;
        let mut upload = WriteMultipart::new(started.map_err(|error| failed(error.into()))?);
        let mut piece = vec![0; PIECE_BYTES];
        let sent = async {
            loop {
                let count = file.read(&mut piece).await?;
                if count == 0 {
                    return Ok::<_, Box<dyn StdError + Send + Sync>>(());
                }
                upload.wait_for_capacity(PARTS_AT_ONCE).await?;
                upload.write(&piece[..count]);
            }
        }
        .await;
        match sent {
            Ok(()) => upload.finish().await.map(|_| ()).map_err(|error| failed(error.into())),
            Err(error) => {
                upload.abort().await.ok();
                Err(failed(error))
            }
        }
    }

    /// The names of all objects below this part of the folder, each without it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn names(&self, below: &str) -> Result<Vec<String>, ObjectError> {
        let path = self.path(below);
        let names = self.blobs.store.list(Some(&path)).map_ok(|meta| relative(&path, &meta));
        names.try_collect().await.map_err(|error: Error| self.failed("list", below)(error.into()))
    }

    /// The objects below this part of the folder, with sizes and times; their names are those of the folder itself.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, below: &str) -> Result<Vec<ListedObject>, ObjectError> {
        let folder = Path::from(self.folder);
        let listed = self.blobs.store.list(Some(&self.path(below))).map_ok(|meta| ListedObject {
            name: relative(&folder, &meta),
            size: meta.size,
            written_at_millis: meta.last_modified.timestamp_millis(),
        });
        listed.try_collect().await.map_err(|error: Error| self.failed("list", below)(error.into()))
    }

    /// Removes objects; those that are not there are no error.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove(&self, names: impl IntoIterator<Item = String>) -> Result<(), ObjectError> {
        stream::iter(names)
            .map(|name| async move {
                match self.blobs.store.delete(&self.path(&name)).await {
                    Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(self.failed("remove", &name)(error.into())),
                }
            })
            .buffer_unordered(REQUESTS_AT_ONCE)
            .try_collect()
            .await
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.folder))
    }

    fn failed(
        &self,
        operation: &'static str,
        name: &str,
    ) -> impl Fn(Box<dyn StdError + Send + Sync>) -> ObjectError + Send + use<> {
        let (name, location) = (format!("{}/{name}", self.folder), self.blobs.location().to_string());
        move |cause| ObjectError { operation, name: name.clone(), location: location.clone(), cause }
    }
}

fn relative(folder: &Path, object: &ObjectMeta) -> String {
    let name = object.location.as_ref();
    name.strip_prefix(folder.as_ref()).map_or(name, |rest| rest.trim_start_matches('/')).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::{Limits, Location};

    fn objects(folder: &TempDir) -> Objects {
        let location = Location::Directory(folder.path().join("blobs"));
        Blobs::open(&location, Limits::default()).unwrap().objects("others")
    }

    #[tokio::test]
    async fn objects_are_written_read_listed_and_removed_in_their_folder() {
        let folder = TempDir::new().unwrap();
        let objects = objects(&folder);
        assert_eq!(objects.get("a/b", 10).await.unwrap(), None);
        assert!(objects.create("a/b", "first".into()).await.unwrap());
        assert!(!objects.create("a/b", "second".into()).await.unwrap());
        assert_eq!(objects.get("a/b", 10).await.unwrap().unwrap(), "first");
        objects.put("a/b", "third".into()).await.unwrap();
        assert_eq!(objects.size("a/b").await.unwrap(), Some(5));
        assert!(objects.get("a/b", 4).await.unwrap_err().to_string().starts_with("could not read `others/a/b` in "));
        objects.put("../out", "x".into()).await.unwrap();
        assert!(!folder.path().join("blobs/out").exists() && !folder.path().join("out").exists());
        assert_eq!(objects.names("a").await.unwrap(), ["b"]);
        assert_eq!(objects.list("a").await.unwrap()[0].name, "a/b");
        objects.remove(["a/b".to_owned(), "never/there".to_owned()]).await.unwrap();
        assert_eq!(objects.size("a/b").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_file_becomes_an_object_wherever_it_lies() {
        let folder = TempDir::new().unwrap();
        let objects = objects(&folder);
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        for (name, place) in [("moved", "blobs/others/uploads"), ("copied", "elsewhere")] {
            let file = folder.path().join(place).join("file");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &bytes).unwrap();
            objects.adopt(name, &file).await.unwrap();
            assert!(!file.exists(), "{place}");
            let read = |range| objects.read(name, range).map_ok(|piece| piece.to_vec()).try_concat();
            assert!(read(0..3_000_000).await.unwrap() == bytes, "{place}");
            assert_eq!(read(1_048_570..1_048_590).await.unwrap(), &bytes[1_048_570..1_048_590]);
        }
        assert!(objects.adopt("none", &folder.path().join("missing")).await.is_err());
        assert_eq!(objects.size("none").await.unwrap(), None);
    }
}

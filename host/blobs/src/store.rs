//! The store itself: a directory or a bucket behind one interface, and objects that hold JSON.

use std::{
    fmt, fs,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path,
    prefix::PrefixStore,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{BlobError, Limits, Location, name};

/// How many small objects are asked for at the same time.
pub(crate) const REQUESTS_AT_ONCE: usize = 16;

/// The largest index entry in bytes: an archive of 10 GiB has about 120 KiB.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// Caches and artifacts. One for a process; cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) limits: Limits,
    location: Location,
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blobs({})", self.location)
    }
}

/// How a write of an object that must not be there yet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    New,
    WasThere,
}

impl Blobs {
    /// Opens the store. A directory is made if it is not there; a bucket must exist, and is not asked for before it is
    /// needed.
    ///
    /// # Errors
    /// [`BlobError::Store`], if the directory cannot be made or the settings of the client contradict each other.
    pub fn open(location: &Location, limits: Limits) -> Result<Blobs, BlobError> {
        let store = match location {
            Location::Directory(path) => directory(path)?,
            Location::S3(bucket) => s3(bucket).map_err(BlobError::store("set up the client"))?,
        };
        Ok(Blobs { store, limits, location: location.clone() })
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The directory, if it is one.
    pub(crate) fn local_directory(&self) -> Option<PathBuf> {
        match &self.location {
            Location::Directory(path) => Some(path.clone()),
            Location::S3(_) => None,
        }
    }

    pub(crate) async fn put(&self, name: &str, bytes: Bytes, operation: &'static str) -> Result<(), BlobError> {
        self.store.put(&Path::from(name), bytes.into()).await.map(|_| ()).map_err(BlobError::store(operation))
    }

    /// Writes an object unless there is one of this name. Of several who do so at once, one makes it.
    pub(crate) async fn create(&self, name: &str, bytes: Bytes, operation: &'static str) -> Result<Created, BlobError> {
        let path = Path::from(name);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&path, bytes.clone().into(), options).await {
            Ok(_) => Ok(Created::New),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Created::WasThere),
            // A store without conditional writes: the last of two at once wins, and what either stored is complete.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => match self.store.head(&path).await {
                Ok(_) => Ok(Created::WasThere),
                Err(Error::NotFound { .. }) => self.put(name, bytes, operation).await.map(|()| Created::New),
                Err(error) => Err(BlobError::store(operation)(error)),
            },
            Err(error) => Err(BlobError::store(operation)(error)),
        }
    }

    /// The bytes of an object of at most so many; none if it is not there.
    pub(crate) async fn get(
        &self,
        name: &str,
        bytes_max: u64,
        operation: &'static str,
    ) -> Result<Option<Bytes>, BlobError> {
        let failed = BlobError::store(operation);
        let found = match self.store.get(&Path::from(name)).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if found.meta.size > bytes_max {
            return Err(BlobError::Damaged(format!("`{name}` has {} bytes, more than it can have", found.meta.size)));
        }
        match found.bytes().await {
            Ok(bytes) => Ok(Some(bytes)),
            // It was removed since.
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// An object that holds JSON; none if it is not there.
    pub(crate) async fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, BlobError> {
        let Some(bytes) = self.get(name, RECORD_BYTES_MAX, "read an entry").await? else { return Ok(None) };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(BlobError::Damaged(format!("the index entry `{name}` cannot be read: {error}"))),
        }
    }

    pub(crate) async fn names(&self, folder: &str) -> Result<Vec<String>, BlobError> {
        let listed = self.store.list(Some(&Path::from(folder)));
        let names = listed.map_ok(|object| object.location.to_string()).try_collect().await;
        names.map_err(BlobError::store("list entries"))
    }

    /// Removes objects; those that are not there are no error.
    pub(crate) async fn remove(&self, names: Vec<String>) -> Result<(), BlobError> {
        let store = &self.store;
        futures_util::stream::iter(names)
            .map(|name| async move {
                match store.delete(&Path::from(name)).await {
                    Err(Error::NotFound { .. }) => Ok(()),
                    other => other.map_err(BlobError::store("remove an object")),
                }
            })
            .buffer_unordered(REQUESTS_AT_ONCE)
            .try_collect()
            .await
    }
}

/// A record as it is stored.
pub(crate) fn to_bytes(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("records hold texts and numbers only").into()
}

fn directory(path: &std::path::Path) -> Result<Arc<dyn ObjectStore>, BlobError> {
    let failed = |cause| BlobError::File { operation: "make the directory", path: path.display().to_string(), cause };
    // Files that runs keep are their owner's business; a directory that is there already is as its owner wants it.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    keep_to_owner(path);
    // What is written is on the disk before an entry lists it, or power loss would leave entries without bytes.
    let store = LocalFileSystem::new_with_prefix(path).map_err(BlobError::store("open the directory"))?;
    Ok(Arc::new(store.with_fsync(true)))
}

/// Closes the folders of a store to everybody but their owner: those that are made now, and those of an earlier version. What
/// is made below them later has the usual rights, and nobody gets there. A directory that its group may write to is a store
/// that several people share, and stays so.
fn keep_to_owner(store: &std::path::Path) {
    if fs::metadata(store).is_ok_and(|found| found.mode() & 0o020 != 0) {
        return;
    }
    let our_user = rustix::process::geteuid().as_raw();
    for name in [name::BLOBS, name::CACHE, name::ARTIFACTS] {
        let folder = store.join(name);
        // One that can only be read, or knows no rights, is as good as before.
        let _ = fs::DirBuilder::new().mode(0o700).create(&folder);
        let Ok(found) = fs::symlink_metadata(&folder) else { continue };
        if found.is_dir() && found.uid() == our_user && found.mode() & 0o077 != 0 {
            let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        }
    }
}

fn s3(bucket: &crate::location::Bucket) -> object_store::Result<Arc<dyn ObjectStore>> {
    // TLS needs to be told which cryptography to use; another part of the program may have done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::new().with_bucket_name(&bucket.name);
    let mut plain = false;
    for (key, value) in &bucket.settings {
        plain = match key {
            AmazonS3ConfigKey::Endpoint => value.starts_with("http://"),
            _ => plain,
        };
        builder = builder.with_config(*key, value);
    }
    // A large chunk over a slow line takes long; only silence is a reason to give up.
    let client = ClientOptions::new()
        .with_allow_http(plain)
        .with_timeout(Duration::from_secs(10 * 60))
        .with_connect_timeout(Duration::from_secs(10));
    let retry = RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() };
    let store = builder.with_client_options(client).with_retry(retry).build()?;
    Ok(match bucket.prefix.as_str() {
        "" => Arc::new(store),
        prefix => Arc::new(PrefixStore::new(store, prefix)),
    })
}

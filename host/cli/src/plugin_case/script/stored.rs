//! Cache and artifacts of a case: the real store in a directory of the case, filled before and looked at afterwards.

use std::path::Path;

use oxide_blobs::{BlobError, Blobs, Pack, Unpack, Uploader};
use oxide_core::time::Timestamp;
use oxide_runtime::RunInfo;

use crate::{
    local_engine,
    plugin_case::{
        case::Case,
        content::{Content, write_files},
        files::{Files, read_files},
    },
};

/// Whose cache it is.
pub const PROJECT: &str = "case";
/// Another job of the run: what lies there when the step begins was uploaded by it.
const EARLIER_JOB: &str = "an earlier job";

/// Puts what the case says into the store.
///
/// # Errors
/// A sentence that names the entry.
pub async fn fill(case: &Case, blobs: &Blobs, run_info: &RunInfo, scratch: &Path) -> Result<(), String> {
    let clock = || -> Timestamp { local_engine::now() };
    for (number, (key, files)) in case.cache.iter().enumerate() {
        let pack = pack(files, &scratch.join(format!("cache-{number}")))?;
        let saved = blobs.save(PROJECT, key, pack, &clock).await;
        saved.map_err(|error| format!("the entry `{key}` of `cache`: {}", error.in_one_line()))?;
    }
    for (number, (name, files)) in case.artifacts.iter().enumerate() {
        let pack = pack(files, &scratch.join(format!("artifact-{number}")))?;
        let uploader = Uploader { run: run_info.run.clone(), job: EARLIER_JOB.to_owned() };
        let uploaded = blobs.upload(uploader, name, pack, None, &clock).await;
        uploaded.map_err(|error| format!("the artifact `{name}` of `artifacts`: {}", error.in_one_line()))?;
    }
    Ok(())
}

/// The files of an entry of the cache, if there is one.
///
/// # Errors
/// A sentence that names the entry.
pub async fn cached(blobs: &Blobs, key: &str, scratch: &Path) -> Result<Option<Files>, String> {
    let unpack = Unpack::into_directory(scratch).map_err(|error| error.in_one_line())?;
    let restored = blobs.restore(PROJECT, key, &[], unpack, local_engine::now()).await;
    match restored.map_err(|error| format!("the entry `{key}` of the cache: {}", error.in_one_line()))? {
        Some(_) => read_files(scratch).map(Some),
        None => Ok(None),
    }
}

/// The files of an artifact, if there is one.
///
/// # Errors
/// A sentence that names the artifact.
pub async fn artifact(blobs: &Blobs, run: &str, name: &str, scratch: &Path) -> Result<Option<Files>, String> {
    let unpack = Unpack::into_directory(scratch).map_err(|error| error.in_one_line())?;
    match blobs.download(run, name, unpack).await {
        Ok(_) => read_files(scratch).map(Some),
        Err(BlobError::NotFound(_)) => Ok(None),
        Err(error) => Err(format!("the artifact `{name}`: {}", error.in_one_line())),
    }
}

fn pack(files: &[(String, Content)], folder: &Path) -> Result<Pack, String> {
    let directory = Unpack::into_directory(folder).map_err(|error| error.in_one_line())?.directory;
    write_files(files, folder)?;
    Ok(Pack { directory, paths: files.iter().map(|(path, _)| path.clone()).collect() })
}

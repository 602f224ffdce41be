//! Artifacts: files under names, for later stages of their run and for people.

use futures_util::{StreamExt as _, TryStreamExt as _};
use oxide_core::time::Timestamp;

use crate::{
    ArtifactEntry, BlobError, Blobs, Pack, Unpack, Uploader,
    cache::check_duration,
    choose::expiry,
    name,
    store::{Created, REQUESTS_AT_ONCE, to_bytes},
};

impl Blobs {
    /// Keeps files under a name. An artifact of this name that the same job has uploaded is replaced.
    ///
    /// # Errors
    /// [`BlobError::Invalid`] if another job of the run has an artifact of this name; else what went wrong. Then the
    /// artifact is what it was before.
    pub async fn upload(
        &self,
        uploader: Uploader,
        artifact: &str,
        pack: Pack,
        retention_days: Option<u32>,
        clock: &(dyn Fn() -> Timestamp + Sync),
    ) -> Result<ArtifactEntry, BlobError> {
        name::check_artifact_name(artifact).map_err(BlobError::Invalid)?;
        expiry(&self.limits, retention_days, clock()).map_err(BlobError::Invalid)?;
        let object = name::artifact_entry(&uploader.run, artifact);
        let check_owner = |found: Option<ArtifactEntry>| match found {
            Some(found) if found.uploader.job != uploader.job => Err(BlobError::Invalid(format!(
                "the job `{}` of this run has uploaded an artifact `{artifact}`: choose another name, for instance with \
                 the values of the matrix in it",
                found.uploader.job
            ))),
            _ => Ok(()),
        };
        check_owner(self.read(&object).await?)?;
        let began = clock();
        let contents = self.store_files(pack, began).await?;
        check_duration(began, clock())?;
        let saved_at = clock();
        let expires_at = expiry(&self.limits, retention_days, saved_at).map_err(BlobError::Invalid)?;
        let entry =
            ArtifactEntry { name: artifact.to_owned(), uploader: uploader.clone(), saved_at, expires_at, contents };
        if self.create(&object, to_bytes(&entry), "write an entry").await? == Created::WasThere {
            check_owner(self.read(&object).await?)?;
            self.put(&object, to_bytes(&entry), "write an entry").await?;
        }
        self.sweep_if_due(clock()).await?;
        Ok(entry)
    }

    /// Puts the files of an artifact into a directory.
    ///
    /// # Errors
    /// Those of [`Blobs::artifact`]; else what went wrong. What was put there until then is removed.
    pub async fn download(&self, run: &str, artifact: &str, unpack: Unpack) -> Result<ArtifactEntry, BlobError> {
        let entry = self.artifact(run, artifact).await?;
        self.restore_files(&entry.contents, unpack).await?;
        Ok(entry)
    }

    /// What is known of an artifact.
    ///
    /// # Errors
    /// [`BlobError::Invalid`] if no artifact can have this name, [`BlobError::NotFound`] if the run has none of this name (the
    /// message names those that it has); else what went wrong.
    pub async fn artifact(&self, run: &str, artifact: &str) -> Result<ArtifactEntry, BlobError> {
        name::check_artifact_name(artifact).map_err(BlobError::Invalid)?;
        match self.read::<ArtifactEntry>(&name::artifact_entry(run, artifact)).await? {
            Some(entry) => Ok(entry),
            None => {
                let known = self.artifacts(run).await?;
                let known: Vec<String> = known.iter().map(|artifact| format!("`{}`", artifact.name)).collect();
                let known = if known.is_empty() { "has none".to_owned() } else { format!("has {}", known.join(", ")) };
                Err(BlobError::NotFound(format!("there is no artifact `{artifact}`; the run {known}")))
            }
        }
    }

    /// The artifacts of a run, sorted by name.
    ///
    /// # Errors
    /// [`BlobError::Store`] if they cannot be read.
    pub async fn artifacts(&self, run: &str) -> Result<Vec<ArtifactEntry>, BlobError> {
        let names = self.names(&name::artifact_folder(run)).await?;
        let mut artifacts = self.artifact_entries(names).await?;
        artifacts.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        Ok(artifacts.into_iter().map(|(_, artifact)| artifact).collect())
    }

    /// Reads the entries of these names.
    pub(crate) async fn artifact_entries(&self, names: Vec<String>) -> Result<Vec<(String, ArtifactEntry)>, BlobError> {
        futures_util::stream::iter(names)
            .map(|name| async move {
                let entry = self.read::<ArtifactEntry>(&name).await?;
                Ok(entry.map(|entry| (name, entry)))
            })
            .buffer_unordered(REQUESTS_AT_ONCE)
            .try_filter_map(|entry| async move { Ok(entry) })
            .try_collect()
            .await
    }
}

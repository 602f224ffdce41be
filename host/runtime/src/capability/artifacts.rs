//! `oxide:ci/artifacts`: files for later stages of the run, and for people.

use oxide_blobs::{ArtifactEntry, Uploader};
use wasmtime::component::Resource;

use super::{
    CapabilityError,
    bindings::oxide::ci::artifacts::{Artifact, Host, HostArtifactStore},
    workspace::create_directory,
};
use crate::{
    state::State,
    stored::{UploadedArtifact, now, seconds},
};

/// The artifacts of the run.
pub struct ArtifactStore;

impl Host for State {
    async fn open(&mut self) -> Result<Resource<ArtifactStore>, CapabilityError> {
        self.called("artifacts.open", &());
        self.blobs()?;
        Ok(self.table.push(ArtifactStore)?)
    }
}

impl HostArtifactStore for State {
    async fn upload(
        &mut self,
        store: Resource<ArtifactStore>,
        name: String,
        paths: Vec<String>,
        retention_days: Option<u32>,
    ) -> Result<Artifact, CapabilityError> {
        self.called("artifacts.upload", &(store.rep(), &name, &paths, retention_days));
        self.table.get(&store)?;
        if self.stored.artifacts_read_only {
            return Err(CapabilityError::Denied("the step may download artifacts, and not upload any".into()));
        }
        let (blobs, pack) = (self.blobs()?, self.pack(paths)?);
        let uploader = Uploader { run: self.run_info.run.clone(), job: self.run_info.job.clone() };
        let artifact = blobs.upload(uploader, &name, pack, retention_days, &now).await?;
        self.stored.uploaded.push(UploadedArtifact {
            name: artifact.name.clone(),
            files: artifact.contents.files,
            bytes: artifact.contents.size,
            expires_at: artifact.expires_at,
        });
        Ok(described(artifact))
    }

    async fn download(
        &mut self,
        store: Resource<ArtifactStore>,
        name: String,
        directory: String,
    ) -> Result<Artifact, CapabilityError> {
        self.called("artifacts.download", &(store.rep(), &name, &directory));
        self.table.get(&store)?;
        let blobs = self.blobs()?;
        let unpack = match directory.as_str() {
            "." => self.unpack(None)?,
            _ => {
                // Asked first, so that nothing is made where only reading is allowed.
                let open_to_all = self.unpack(None)?.open_to_all;
                let root = self.workspace.root()?;
                create_directory(&root, &directory)?;
                let below = root.open_dir(&directory).map_err(|error| super::workspace::refused(&directory, &error))?;
                if open_to_all {
                    let all = cap_std::fs::PermissionsExt::from_mode(0o777);
                    root.set_permissions(&directory, all).ok();
                }
                self.unpack(Some(below))?
            }
        };
        let run = self.run_info.run.clone();
        Ok(described(blobs.download(&run, &name, unpack).await?))
    }

    async fn list(&mut self, store: Resource<ArtifactStore>) -> Result<Vec<Artifact>, CapabilityError> {
        self.called("artifacts.list", &(store.rep(),));
        self.table.get(&store)?;
        let artifacts = self.blobs()?.artifacts(&self.run_info.run).await?;
        Ok(artifacts.into_iter().map(described).collect())
    }

    async fn drop(&mut self, handle: Resource<ArtifactStore>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn described(artifact: ArtifactEntry) -> Artifact {
    Artifact {
        name: artifact.name,
        files: artifact.contents.files,
        size: artifact.contents.size,
        digest: artifact.contents.digest,
        expires_at: seconds(artifact.expires_at),
    }
}

//! The host for one step that somebody runs by hand, against a directory of theirs and without a job.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use oxide_core::id::{AgentId, AttemptId, JobIndex, RunId};
use oxide_runtime::{containers::ContainerEngine, environment::Environment};
use uuid::Uuid;

use super::{JobEnvironment as _, host::HostEnvironment};
use crate::docker::images::DockerEngine;

/// Commands on this machine as those of a job with `environment: host`: a clean environment, an empty home. Only the
/// workspace is a directory that stays.
pub struct ByHand {
    environment: HostEnvironment,
    scratch: PathBuf,
}

impl ByHand {
    /// Commands in this workspace, an absolute path. `scratch` is made for home and temporary files; [`ByHand::end`] removes it.
    ///
    /// # Errors
    /// If the directories cannot be made.
    pub fn begin(workspace: PathBuf, scratch: &Path) -> io::Result<ByHand> {
        let (home, tmp) = (scratch.join("home"), scratch.join("tmp"));
        for directory in [&home, &tmp] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let agent = AgentId(Uuid::now_v7());
        let attempt = AttemptId { run: RunId(Uuid::now_v7()), job: JobIndex(0), number: 1 };
        let environment = HostEnvironment::at(agent, attempt, workspace, &home, &tmp);
        Ok(ByHand { environment, scratch: scratch.to_owned() })
    }

    /// What the step sees.
    pub fn environment(&self) -> Arc<dyn Environment> {
        self.environment.for_step(Vec::new())
    }

    /// The engine for images: Docker, where it usually is. It is reached when a step asks for it.
    pub fn containers() -> Arc<dyn ContainerEngine> {
        Arc::new(DockerEngine::new(None))
    }

    /// Ends what the step has left running and removes home and temporary files.
    pub async fn end(self) {
        self.environment.end().await;
        // What cannot be removed lies in the directory for temporary files, which the system clears.
        let _ = crate::workspace::remove_tree(&self.scratch);
    }
}

//! `oxide:ci/run-info`: where the step stands.

use super::bindings::oxide::ci::run_info::{Host, Info};
use crate::state::State;

/// Facts about the run that a plugin may ask for. Holds no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The id of the run.
    pub run: String,
    /// The number of the run within its pipeline, counted from 1.
    pub run_number: u64,
    /// The name of the stage.
    pub stage: String,
    /// The job: the stage with its matrix values.
    pub job: String,
    /// The id of the step, or its name where it has no id.
    pub step: String,
    /// Which try of the job this is, counted from 1.
    pub attempt: u32,
    /// The values of the job's matrix cell.
    pub matrix: Vec<(String, String)>,
    /// The commit that the run is about.
    pub commit: Option<String>,
    /// The full git reference that the run is about.
    pub git_ref: Option<String>,
    /// The repository that the run is about: a URL or a path.
    pub repository: Option<String>,
    /// What started the run, such as `manual`.
    pub trigger: String,
}

impl Host for State {
    async fn get(&mut self) -> wasmtime::Result<Info> {
        self.called("run-info.get", &());
        let info = self.run_info.clone();
        Ok(Info {
            pipeline: info.pipeline,
            run: info.run,
            run_number: info.run_number,
            stage: info.stage,
            job: info.job,
            step: info.step,
            attempt: info.attempt,
            matrix: info.matrix,
            commit: info.commit,
            ref_: info.git_ref,
            repository: info.repository,
            trigger: info.trigger,
        })
    }
}

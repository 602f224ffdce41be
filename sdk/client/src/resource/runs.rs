//! Runs.

use http::Method;
use oxide_core::{
    api::{
        page::Page,
        run::{CancelRun, NewRun, RetryRun, Run, RunDetails, RunQuery},
    },
    id::{PipelineId, RunId},
};

use crate::{
    Client, ClientError,
    transport::{Body, with_query},
};

impl Client {
    /// Runs, newest first.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn runs(&self, query: &RunQuery) -> Result<Page<Run>, ClientError> {
        let url = with_query(self.transport.url(["runs"]), query);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// A run with its stages, jobs, attempts and steps.
    ///
    /// # Errors
    /// There is none, the server cannot be reached, or says no.
    pub async fn run(&self, id: RunId) -> Result<RunDetails, ClientError> {
        let url = self.transport.url(["runs", &id.to_string()]);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// Starts a run of a stored pipeline.
    ///
    /// # Errors
    /// There is no such pipeline, the inputs do not fit, the server cannot be reached, or says no.
    pub async fn start_run(&self, pipeline: PipelineId, run: &NewRun) -> Result<Run, ClientError> {
        let url = self.transport.url(["pipelines", &pipeline.to_string(), "runs"]);
        self.transport.json(Method::POST, url, Body::json(run)).await
    }

    /// Asks a run to end.
    ///
    /// # Errors
    /// There is none, the server cannot be reached, or says no.
    pub async fn cancel_run(&self, id: RunId, cancel: &CancelRun) -> Result<Run, ClientError> {
        let url = self.transport.url(["runs", &id.to_string(), "cancel"]);
        self.transport.json(Method::POST, url, Body::json(cancel)).await
    }

    /// Runs the same plan once more, or only what did not succeed of it.
    ///
    /// # Errors
    /// There is no such run or it has not ended, the server cannot be reached, or says no.
    pub async fn retry_run(&self, id: RunId, retry: &RetryRun) -> Result<Run, ClientError> {
        let url = self.transport.url(["runs", &id.to_string(), "retry"]);
        self.transport.json(Method::POST, url, Body::json(retry)).await
    }
}

//! Pipelines that the server keeps.

use http::Method;
use oxide_core::{
    api::{
        page::Page,
        pipeline::{NewPipeline, Pipeline, PipelineChange, PipelineDetails, PipelineQuery, PipelineText, Validation},
    },
    id::PipelineId,
};

use crate::{
    Client, ClientError,
    transport::{Body, with_query},
};

impl Client {
    /// Pipelines by name.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn pipelines(&self, query: &PipelineQuery) -> Result<Page<Pipeline>, ClientError> {
        let url = with_query(self.transport.url(["pipelines"]), query);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// A pipeline with the text of its newest version.
    ///
    /// # Errors
    /// There is none, the server cannot be reached, or says no.
    pub async fn pipeline(&self, id: PipelineId) -> Result<PipelineDetails, ClientError> {
        let url = self.transport.url(["pipelines", &id.to_string()]);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// Stores a new pipeline.
    ///
    /// # Errors
    /// The text cannot be used, there is one of this name, the server cannot be reached, or says no.
    pub async fn create_pipeline(&self, pipeline: &NewPipeline) -> Result<PipelineDetails, ClientError> {
        self.transport.json(Method::POST, self.transport.url(["pipelines"]), Body::json(pipeline)).await
    }

    /// Changes a pipeline; a changed text becomes a new version.
    ///
    /// # Errors
    /// The text cannot be used, there is no such pipeline, the server cannot be reached, or says no.
    pub async fn change_pipeline(
        &self,
        id: PipelineId,
        change: &PipelineChange,
    ) -> Result<PipelineDetails, ClientError> {
        let url = self.transport.url(["pipelines", &id.to_string()]);
        self.transport.json(Method::PUT, url, Body::json(change)).await
    }

    /// Hides a pipeline. Its runs stay.
    ///
    /// # Errors
    /// There is none, the server cannot be reached, or says no.
    pub async fn delete_pipeline(&self, id: PipelineId) -> Result<(), ClientError> {
        let url = self.transport.url(["pipelines", &id.to_string()]);
        self.transport.json(Method::DELETE, url, Body::None).await
    }

    /// What the server says of a text, without storing it.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn validate_pipeline(&self, text: &PipelineText) -> Result<Validation, ClientError> {
        let url = self.transport.url(["pipelines", "validate"]);
        self.transport.json(Method::POST, url, Body::json(text)).await
    }
}

//! Projects.

use http::Method;
use oxide_core::api::{
    page::{Page, PageQuery},
    project::{NewProject, Project},
};

use crate::{
    Client, ClientError,
    transport::{Body, with_query},
};

impl Client {
    /// The projects that the caller may view.
    ///
    /// # Errors
    /// The server cannot be reached, or says no.
    pub async fn projects(&self, query: &PageQuery) -> Result<Page<Project>, ClientError> {
        let url = with_query(self.transport.url(["projects"]), query);
        self.transport.json(Method::GET, url, Body::None).await
    }

    /// Makes a project.
    ///
    /// # Errors
    /// There is one of this name, the server cannot be reached, or says no.
    pub async fn create_project(&self, project: &NewProject) -> Result<Project, ClientError> {
        self.transport.json(Method::POST, self.transport.url(["projects"]), Body::json(project)).await
    }
}

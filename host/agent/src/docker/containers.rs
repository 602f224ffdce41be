//! The containers of one attempt, none of which is forgotten: each is removed when its handle is dropped, and
//! [`Removals`] waits until all are gone.
//!
//! They are made and removed in tasks of their own, for the job may be stopped while one of these goes on. Before the first
//! is made, the [`Session`] notes where: if this process is killed, a sweep finds them there by their labels.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::{
    Docker,
    errors::Error,
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptions, StartContainerOptions},
};
use oxide_core::id::{AgentId, AttemptId};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::Instant,
};

use super::{address, connect, in_words, labels, remove_container};
use crate::Session;

/// Makes the containers of one attempt.
#[derive(Clone)]
pub(crate) struct Containers {
    agent: AgentId,
    attempt: AttemptId,
    docker_host: Option<String>,
    session: Arc<Session>,
    care: Care,
}

/// Held by all that may make a container or still have to remove one; takes what could not be removed, as a sentence.
type Care = UnboundedSender<String>;

/// Ends when all containers of an attempt are removed.
pub(crate) struct Removals(UnboundedReceiver<String>);

/// A container that runs.
pub(crate) struct Container {
    docker: Docker,
    id: String,
    /// What people call it.
    what: String,
    /// Taken by its removal.
    care: Mutex<Option<Care>>,
}

impl Containers {
    /// For one attempt, with Docker at this address or where it usually is.
    pub(crate) fn of(
        agent: AgentId,
        attempt: AttemptId,
        docker_host: Option<String>,
        session: Arc<Session>,
    ) -> (Containers, Removals) {
        let (care, left) = mpsc::unbounded_channel();
        (Containers { agent, attempt, docker_host, session, care }, Removals(left))
    }

    /// Whose they are.
    pub(crate) fn owner(&self) -> (AgentId, AttemptId) {
        (self.agent, self.attempt)
    }

    /// Reaches Docker.
    ///
    /// # Errors
    /// A sentence that names the address and why it did not answer.
    pub(crate) async fn connect(&self) -> Result<Docker, String> {
        connect(self.docker_host.as_deref()).await
    }

    /// Makes and starts a container; `what` is what people call it, such as "service `db`".
    ///
    /// # Errors
    /// Why it could not be started. Then it is being removed.
    pub(crate) async fn start(
        &self,
        docker: &Docker,
        what: &str,
        body: ContainerCreateBody,
    ) -> Result<Container, String> {
        self.session.note_containers(&address(self.docker_host.as_deref())).map_err(|error| {
            format!("could not write down that there will be a container to remove (is the disk full?): {error}")
        })?;
        let body = ContainerCreateBody { labels: Some(labels(self.agent, self.attempt)), ..body };
        let (docker, what, care) = (docker.clone(), what.to_owned(), self.care.clone());
        let starting = tokio::spawn(async move {
            let created = docker.create_container(None::<CreateContainerOptions>, body).await;
            let id = match created {
                Ok(created) => created.id,
                Err(error) => {
                    if !is_answer(&error) {
                        // Nobody is there to hear it if the process is just ending.
                        let _ = care.send(format!("{what}, which Docker may have made: {}", in_words(&error)));
                    }
                    return Err(error);
                }
            };
            let container = Container { docker, id, what, care: Mutex::new(Some(care)) };
            // Dropped, and so removed, when it cannot be started or when nobody waits for it any more.
            container.docker.start_container(&container.id, None::<StartContainerOptions>).await?;
            Ok(container)
        });
        match starting.await {
            Ok(started) => started.map_err(|error| in_words(&error)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Has Docker answered that it did not do it? Else it may have, or may do it still.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { .. })
}

impl Container {
    /// The connection to its engine.
    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The id that Docker gave it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Ends it. [`Removals`] waits until it is gone, and tells what failed.
    pub(crate) fn remove(&self) {
        let care = self.care.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Without a runtime the process is ending already.
        let (Some(care), Ok(runtime)) = (care, tokio::runtime::Handle::try_current()) else { return };
        let (docker, id, what) = (self.docker.clone(), self.id.clone(), self.what.clone());
        runtime.spawn(async move {
            if let Err(error) = remove_container(&docker, &id).await {
                let _ = care.send(format!("{what} (container {id}): {}", in_words(&error)));
            }
        });
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Removals {
    /// Waits until all containers are removed, so long at most. Every [`Containers`] of the attempt must be dropped before.
    /// Answers with what is left, as the parts of a sentence.
    pub(crate) async fn wait(mut self, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        let mut left = Vec::new();
        loop {
            match tokio::time::timeout_at(until, self.0.recv()).await {
                Ok(Some(more)) => left.push(more),
                Ok(None) => return left,
                Err(_) => {
                    left.push(format!("containers that Docker has not removed within {} s", patience.as_secs()));
                    return left;
                }
            }
        }
    }
}

//! Images for steps: the [`ContainerEngine`] that the runtime offers to plugins, on Docker.
//!
//! Builds go to the engine's own builder through its API. What a build that was cut short has left is removed; what a
//! finished or failed one has made stays, for the next build uses it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bollard::{
    Docker, body_try_stream,
    errors::Error,
    models::BuildInfo,
    query_parameters::{BuildImageOptions, PushImageOptions, RemoveImageOptions, TagImageOptions},
};
use futures_util::{StreamExt, stream};
use oxide_core::protocol::LogStream;
use oxide_runtime::{
    containers::{BuildSpec, ContainerEngine, ContainerError, ContextPieces, Credentials},
    environment::LogSink,
};
use tokio::sync::OnceCell;

use super::{
    DOCKER_HINT, connect,
    image_name::ImageName,
    in_words, is_missing,
    layers::Layers,
    push::{Progress, docker_credentials, refusal, with_readable_credentials},
};

/// Every image that a step has built has this label, so that people can find and prune them:
/// `docker image prune --filter label=oxide.built`. It is the same for all, or nothing would be built twice alike.
const BUILT_LABEL: &str = "oxide.built";
/// The engine answers when it has the whole context, which may be large. The time of the step bounds it.
const BUILD_ANSWER: Duration = Duration::from_secs(24 * 60 * 60);

/// A layer that is in use is tried to be removed so often, with this pause.
const REMOVAL_TRIES: usize = 50;
const REMOVAL_PAUSE: Duration = Duration::from_millis(200);

/// Docker as steps use it. Connects when the first step asks.
pub(crate) struct DockerEngine {
    docker_host: Option<String>,
    docker: OnceCell<Docker>,
}

impl DockerEngine {
    /// An engine at this address, or where it usually is.
    pub(crate) fn new(docker_host: Option<String>) -> DockerEngine {
        DockerEngine { docker_host, docker: OnceCell::new() }
    }

    async fn docker(&self) -> Result<&Docker, ContainerError> {
        let connecting = || async { connect(self.docker_host.as_deref()).await };
        let unreachable = |error| ContainerError::NotFound(format!("{error}; {DOCKER_HINT}"));
        self.docker.get_or_try_init(connecting).await.map_err(unreachable)
    }
}

/// A name that can be pushed.
fn name(reference: &str) -> Result<ImageName, ContainerError> {
    ImageName::parse(reference).map_err(ContainerError::Invalid)
}

/// The request for a build.
fn options(spec: BuildSpec) -> BuildImageOptions {
    let labels = spec.labels.into_iter().chain([(BUILT_LABEL.to_owned(), "true".to_owned())]);
    BuildImageOptions {
        dockerfile: spec.dockerfile,
        target: spec.target.unwrap_or_default(),
        nocache: spec.no_cache,
        buildargs: Some(spec.build_args.into_iter().collect()),
        labels: Some(labels.collect()),
        networkmode: (!spec.network).then(|| "none".to_owned()),
        // Containers of the build's commands are removed also when one fails.
        rm: true,
        forcerm: true,
        ..Default::default()
    }
}

/// What the builder's last words mean, and what to do.
fn build_failure(words: &str) -> ContainerError {
    let hint = match words {
        _ if words.contains("requires BuildKit") => {
            "; the engine's own builder builds here: write the line without what needs BuildKit"
        }
        _ if words.contains("forbidden path outside the build context")
            || words.contains("not found in build context") =>
        {
            "; only files of the context can be copied: is it there, is it left out by `.dockerignore`, is it a link that leads \
             out of the context?"
        }
        _ => "",
    };
    ContainerError::Other(format!("the build failed: {words}{hint}"))
}

/// What a build has made so far; dropped before the end of the build, it is removed.
struct Unfinished {
    docker: Docker,
    layers: Layers,
    ended: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let made: Vec<String> = self.layers.latest_first().map(str::to_owned).collect();
        if !self.ended
            && !made.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let docker = self.docker.clone();
            // If this is cut short, the engine keeps them as it keeps those of a failed build, until it is pruned.
            runtime.spawn(async move {
                for id in made {
                    remove_if_nameless(&docker, &id).await;
                }
            });
        }
    }
}

/// Removes an image that nobody has named and nothing stands on.
async fn remove_if_nameless(docker: &Docker, id: &str) {
    let Ok(image) = docker.inspect_image(id).await else { return };
    if image.repo_tags.is_some_and(|tags| !tags.is_empty()) {
        return;
    }
    for _ in 0..REMOVAL_TRIES {
        let options = RemoveImageOptions { force: false, noprune: true, platforms: None };
        match docker.remove_image(id, Some(options), None).await {
            // The container of the command that was cut short is just being removed; or another build uses it already.
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => tokio::time::sleep(REMOVAL_PAUSE).await,
            _ => return,
        }
    }
}

/// What the builder prints; nothing for the bars of a pull.
fn printed(info: &BuildInfo) -> Option<String> {
    match (&info.stream, &info.status) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(status)) if info.progress_detail.is_none() => Some(format!("{status}\n")),
        _ => None,
    }
}

#[async_trait]
impl ContainerEngine for DockerEngine {
    async fn reach(&self) -> Result<(), ContainerError> {
        self.docker().await.map(|_| ())
    }

    async fn build(
        &self,
        spec: BuildSpec,
        context: ContextPieces,
        log: Arc<dyn LogSink>,
    ) -> Result<String, ContainerError> {
        let docker = self.docker().await?.clone().with_timeout(BUILD_ANSWER);
        // A wrong name is known before anything is built.
        let names = spec.tags.iter().map(|tag| name(tag)).collect::<Result<Vec<_>, _>>()?;
        let pieces =
            stream::unfold(context, |mut context| async { context.recv().await.map(|piece| (piece, context)) });
        let mut unfinished = Unfinished { docker: docker.clone(), layers: Layers::default(), ended: false };
        let mut build = Box::pin(docker.build_image(options(spec), None, Some(body_try_stream(pieces))));
        let mut id = None;
        while let Some(info) = build.next().await {
            let info = match info {
                Ok(info) => info,
                Err(error) => {
                    unfinished.ended = true;
                    return Err(build_failure(&in_words(&error)));
                }
            };
            if let Some(text) = printed(&info) {
                unfinished.layers.read(&text);
                log.write(LogStream::Stdout, text.into()).await?;
            }
            id = info.aux.and_then(|aux| aux.id).or(id);
        }
        unfinished.ended = true;
        let id = id.ok_or_else(|| build_failure("the engine ended it without an image"))?;
        for name in names {
            set_name(&docker, &id, name).await?;
        }
        Ok(id)
    }

    async fn find(&self, reference: &str) -> Result<String, ContainerError> {
        let hexadecimal = reference.strip_prefix("sha256:").unwrap_or(reference);
        let is_id = hexadecimal.len() >= 12 && hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit());
        let wanted = match is_id {
            true => reference.to_owned(),
            false => name(reference).map(|name| format!("{}:{}", name.repository, name.tag))?,
        };
        match self.docker().await?.inspect_image(&wanted).await {
            Ok(image) => Ok(image.id.unwrap_or(wanted)),
            Err(error) if is_missing(&error) => Err(ContainerError::NotFound(format!(
                "there is no image `{reference}` on this machine; build it first"
            ))),
            Err(error) => {
                Err(ContainerError::Other(format!("could not look for the image `{reference}`: {}", in_words(&error))))
            }
        }
    }

    async fn tag(&self, image: &str, reference: &str) -> Result<(), ContainerError> {
        let name = name(reference)?;
        set_name(self.docker().await?, image, name).await
    }

    async fn push(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
        log: Arc<dyn LogSink>,
    ) -> Result<String, ContainerError> {
        let name = name(reference)?;
        let docker = with_readable_credentials(self.docker().await?.clone());
        let account = credentials.as_ref().map(|credentials| docker_credentials(credentials, &name));
        let options = PushImageOptions { tag: Some(name.tag.clone()), platform: None };
        let failed = |words: &str| refusal(reference, name.registry(), credentials.is_some(), words);
        let mut push = Box::pin(docker.push_image(&name.repository, Some(options), account));
        let mut progress = Progress::default();
        while let Some(info) = push.next().await {
            let info = info.map_err(|error| failed(&in_words(&error)))?;
            if let Some(line) = progress.take(&info) {
                log.write(LogStream::Host, line.into()).await?;
            }
        }
        let digest = progress.digest.clone().ok_or_else(|| failed("the engine ended it without a digest"))?;
        log.write(LogStream::Host, progress.summary(reference).into()).await?;
        Ok(digest)
    }
}

async fn set_name(docker: &Docker, image: &str, name: ImageName) -> Result<(), ContainerError> {
    let shown = format!("{}:{}", name.repository, name.tag);
    let options = TagImageOptions { repo: Some(name.repository), tag: Some(name.tag) };
    let named = docker.tag_image(image, Some(options)).await;
    named.map_err(|error| ContainerError::Other(format!("could not name the image `{shown}`: {}", in_words(&error))))
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;

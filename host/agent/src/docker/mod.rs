//! What the agent does with Docker, through its API: [`images`] for steps that build them, [`containers`] for
//! [`crate::environment`] and services.

pub(crate) mod containers;
pub(crate) mod image_name;
pub(crate) mod images;
mod layers;
mod push;

use std::collections::HashMap;

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    exec::{CreateExecOptions, StartExecResults},
    query_parameters::{CreateImageOptions, RemoveContainerOptions},
};
use futures_util::StreamExt;
use oxide_core::{
    id::{AgentId, AttemptId},
    outcome::Failure,
};

use crate::{environment::failure, processes::PROCESS_COOKIE};

/// The socket of Docker where nothing else is said.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long Docker may take to answer, in seconds. Making a container on a busy machine takes its time.
const ANSWER_SECONDS: u64 = 120;
/// The label of a container that names its agent.
pub(crate) const AGENT_LABEL: &str = "oxide.agent";
/// The label of a container that names its attempt.
const ATTEMPT_LABEL: &str = "oxide.attempt";
/// What to do where Docker cannot be reached.
pub(crate) const DOCKER_HINT: &str = "is Docker installed and running, and may this user use it?";

/// Where Docker is: what was asked for, else `DOCKER_HOST`, else the usual place.
pub(crate) fn address(docker_host: Option<&str>) -> String {
    let from_environment = || std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    docker_host.map(str::to_owned).or_else(from_environment).unwrap_or_else(|| DEFAULT_HOST.to_owned())
}

/// Reaches Docker and agrees on a version with it.
///
/// # Errors
/// A sentence that names the address and why it did not answer.
pub(crate) async fn connect(docker_host: Option<&str>) -> Result<Docker, String> {
    let host = address(docker_host);
    let unreachable = |reason: String| format!("could not reach Docker at {host}: {reason}");
    if !host.starts_with("unix://") && !host.starts_with('/') {
        return Err(unreachable("only Unix sockets (unix:///…) are supported".to_owned()));
    }
    let docker = Docker::connect_with_unix(&host, ANSWER_SECONDS, API_DEFAULT_VERSION)
        .map_err(|error| unreachable(in_words(&error)))?;
    docker.negotiate_version().await.map_err(|error| unreachable(in_words(&error)))
}

/// What Docker said, without what the library puts around it.
pub(crate) fn in_words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        Error::SocketNotFoundError(path) => format!("there is no socket {path}"),
        other => {
            let mut words = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                words = error.to_string();
                cause = error.source();
            }
            words
        }
    }
}

/// Does Docker say that there is no such thing?
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// The labels by which a sweep finds what an attempt has started.
pub(crate) fn labels(agent: AgentId, attempt: AttemptId) -> HashMap<String, String> {
    [(AGENT_LABEL, agent.to_string()), (ATTEMPT_LABEL, attempt.to_string())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// Looks for an image here, else pulls it.
///
/// # Errors
/// If it is neither here nor where its name says.
pub(crate) async fn need_image(docker: &Docker, image: &str) -> Result<(), Failure> {
    match docker.inspect_image(image).await {
        Ok(_) => return Ok(()),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(failure(format!("could not look for image `{image}`: {}", in_words(&error)))),
    }
    // Without a tag Docker would pull all of them.
    let has_tag = image.contains('@') || image.rsplit('/').next().is_some_and(|name| name.contains(':'));
    let from_image = Some(if has_tag { image.to_owned() } else { format!("{image}:latest") });
    let mut pull =
        Box::pin(docker.create_image(Some(CreateImageOptions { from_image, ..Default::default() }), None, None));
    while let Some(progress) = pull.next().await {
        progress.map_err(|error| {
            failure(format!("image `{image}` is not on this machine and could not be pulled: {}", in_words(&error)))
                .with_hint(format!("check the name and its tag with `docker pull {image}`"))
        })?;
    }
    Ok(())
}

/// Removes a container with its volumes, running or not. One that is not there is no error.
pub(crate) async fn remove_container(docker: &Docker, container: &str) -> Result<(), Error> {
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    match docker.remove_container(container, Some(options)).await {
        Err(error) if !is_missing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Signals the processes in a container that were started with this value of [`PROCESS_COOKIE`], and what they have started.
pub(crate) async fn signal_by_cookie(docker: &Docker, container: &str, process: &str, signal: &str) {
    // Needs nothing but what every shell comes with.
    let script = r#"for p in /proc/[0-9]*; do
        if tr '\0' '\n' < "$p/environ" 2>/dev/null | grep -qx "$1"; then kill -s "$2" "${p#/proc/}" 2>/dev/null; fi
    done; true"#;
    let cookie = format!("{PROCESS_COOKIE}={process}");
    let _ = run_quietly(docker, container, &["sh", "-c", script, "sh", &cookie, signal]).await;
}

/// Runs a command of our own in a container as root; its output, if it ends well.
pub(crate) async fn run_quietly(docker: &Docker, container: &str, command: &[&str]) -> Option<Vec<u8>> {
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        user: Some("0"),
        cmd: Some(command.to_vec()),
        ..Default::default()
    };
    let exec = docker.create_exec(container, options).await.ok()?.id;
    let mut printed = Vec::new();
    if let StartExecResults::Attached { mut output, .. } = docker.start_exec(&exec, None).await.ok()? {
        while let Some(Ok(piece)) = output.next().await {
            printed.extend_from_slice(piece.as_ref());
        }
    }
    let ended = docker.inspect_exec(&exec).await.ok()?;
    (ended.exit_code == Some(0)).then_some(printed)
}

/// How many containers an agent has.
#[cfg(test)]
pub(crate) async fn count_containers_of(host: &str, agent: AgentId) -> usize {
    let docker = connect(Some(host)).await.unwrap();
    let filters = HashMap::from([("label".to_owned(), vec![format!("{AGENT_LABEL}={agent}")])]);
    let options =
        bollard::query_parameters::ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    docker.list_containers(Some(options)).await.unwrap().len()
}

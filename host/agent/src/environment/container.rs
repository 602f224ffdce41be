//! Commands in a container, one for each attempt, through the Docker Engine API.
//!
//! The container itself only sleeps; commands are started in it with `exec`. The workspace of the attempt is mounted at
//! [`WORKSPACE`].

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    Docker,
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
    models::{ContainerCreateBody, HostConfig, Mount, MountType},
    query_parameters::ListContainersOptions,
};
use bytes::Bytes;
use futures_util::StreamExt;
use oxide_core::{id::AgentId, outcome::Failure, protocol::LogStream};
use oxide_runtime::environment::{
    CommandSpec, Environment, EnvironmentError, EnvironmentKind, Exit, LogSink, Process, Signal,
};
use tokio::{io::AsyncWriteExt, sync::watch, task::JoinHandle};

use super::{
    JobEnvironment, StepEnvironment, check_variable, common_variables, failure, is_cookie,
    output::{Outlet, Piped},
};
use crate::{
    docker::{
        AGENT_LABEL, DOCKER_HINT, connect,
        containers::{Container, Containers},
        in_words, need_image, remove_container, run_quietly, signal_by_cookie,
    },
    processes::PROCESS_COOKIE,
    workspace::JobDirectory,
};

/// Where commands see the workspace.
const WORKSPACE: &str = "/workspace";
/// Bytes of output that are taken from Docker at once.
const OUTPUT_BYTES: usize = 256 << 10;
/// How long a sweep waits for an engine that does not answer; the next one tries again.
const SWEEP_PATIENCE: Duration = Duration::from_secs(20);
/// After how much silence Docker is asked whether a command has ended.
const SILENCE: Duration = Duration::from_millis(500);

/// What the plan says of the container.
pub(super) struct Wish<'a> {
    pub(super) image: &'a str,
    pub(super) cpus: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) pids: u32,
    /// Reach the network.
    pub(super) network: bool,
    /// Names of services, which share its network.
    pub(super) services: &'a [&'a str],
}

/// The container of one attempt.
pub(super) struct ContainerEnvironment {
    container: Container,
    place: Arc<Place>,
}

/// What commands in it need to know; they may outlive the container.
struct Place {
    docker: Docker,
    container: String,
    image: String,
    next_process: AtomicU32,
}

impl ContainerEnvironment {
    /// Starts the container of an attempt, with the image pulled if it is not there.
    pub(super) async fn start(
        wish: Wish<'_>,
        containers: &Containers,
        directory: &JobDirectory,
    ) -> Result<Self, Failure> {
        let docker = containers.connect().await.map_err(|unreachable| {
            failure(unreachable).with_hint(format!("{DOCKER_HINT} Or use `environment: host`, which needs no Docker"))
        })?;
        need_image(&docker, wish.image).await?;
        directory
            .open_workspace_to_all()
            .map_err(|error| failure(format!("could not open the workspace to the container: {error}")))?;
        let (agent, attempt) = containers.owner();
        let body = description(&wish, &directory.workspace(), &common_variables(agent, attempt, WORKSPACE));
        let container = containers.start(&docker, "the container of the job", body).await.map_err(|why| {
            failure(format!("could not start a container of image `{}`: {why}", wish.image))
                .with_hint("an image for jobs needs `sh` and `sleep`; most base images have them")
        })?;
        let (id, image) = (container.id().to_owned(), wish.image.to_owned());
        let place = Arc::new(Place { docker, container: id, image, next_process: AtomicU32::new(1) });
        Ok(ContainerEnvironment { container, place })
    }
}

fn description(wish: &Wish<'_>, workspace: &Path, variables: &[(String, String)]) -> ContainerCreateBody {
    let mount = Mount {
        target: Some(WORKSPACE.to_owned()),
        source: Some(workspace.to_string_lossy().into_owned()),
        typ: Some(MountType::BIND),
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(wish.image.to_owned()),
        entrypoint: Some(vec!["sleep".to_owned(), "2147483647".to_owned()]),
        cmd: Some(Vec::new()),
        env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: Some(WORKSPACE.to_owned()),
        host_config: Some(HostConfig {
            mounts: Some(vec![mount]),
            extra_hosts: Some(wish.services.iter().map(|name| format!("{name}:127.0.0.1")).collect()),
            init: Some(true),
            nano_cpus: wish.cpus.map(|cpus| (cpus * 1e9) as i64),
            memory: wish.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
            // As much swap as nothing: the limit is the limit.
            memory_swap: wish.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
            pids_limit: Some(i64::from(wish.pids)),
            network_mode: (!wish.network).then(|| "none".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Removes the files in the workspace as the container's root, who may have made some that the agent may not remove.
async fn clear_workspace(docker: &Docker, container: &str) {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let script = format!("cd {WORKSPACE} && rm -rf -- ..?* .[!.]* *");
    let _ = run_quietly(docker, container, &["sh", "-c", &script]).await;
}

/// Removes the containers that an agent left at this address of Docker.
///
/// # Errors
/// A sentence: Docker cannot be reached, or does not remove one.
pub(crate) async fn remove_containers_of(agent: AgentId, address: &str) -> Result<(), String> {
    let docker = match tokio::time::timeout(SWEEP_PATIENCE, connect(Some(address))).await {
        Ok(connected) => connected?,
        Err(_) => return Err(format!("Docker at {address} did not answer within {} s", SWEEP_PATIENCE.as_secs())),
    };
    let filters = HashMap::from([("label".to_owned(), vec![format!("{AGENT_LABEL}={agent}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let found = docker.list_containers(Some(options)).await.map_err(|error| in_words(&error))?;
    for container in found.into_iter().filter_map(|container| container.id) {
        clear_workspace(&docker, &container).await;
        remove_container(&docker, &container).await.map_err(|error| in_words(&error))?;
    }
    Ok(())
}

#[async_trait]
impl JobEnvironment for ContainerEnvironment {
    fn network(&self) -> String {
        format!("container:{}", self.place.container)
    }

    fn for_step(&self, variables: Vec<(String, String)>) -> Arc<dyn StepEnvironment> {
        Arc::new(ContainerStep { place: Arc::clone(&self.place), variables, running: Arc::default() })
    }

    async fn end(&self) {
        clear_workspace(&self.place.docker, &self.place.container).await;
        self.container.remove();
    }
}

/// The container as one step sees it.
struct ContainerStep {
    place: Arc<Place>,
    variables: Vec<(String, String)>,
    running: Arc<Mutex<Vec<String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Signals the processes in the container that carry the cookie of a command.
async fn signal_in(place: &Place, process: &str, signal: &str) {
    signal_by_cookie(&place.docker, &place.container, process, signal).await;
}

#[async_trait]
impl Environment for ContainerStep {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Container
    }

    fn workspace_path(&self) -> String {
        WORKSPACE.to_owned()
    }

    async fn find_program(&self, name: &str) -> Result<Option<String>, EnvironmentError> {
        // Not `command -v`, which also tells of words of the shell itself.
        let script = r#"case "$1" in */*) p=;; *) p=$PATH;; esac; IFS=:
            for d in ${p:-.}; do f="$d/$1"; case "$1" in /*) f="$1";; esac
                if [ -f "$f" ] && [ -x "$f" ]; then printf %s "$f"; exit 0; fi
            done; exit 1"#;
        let found = run_quietly(&self.place.docker, &self.place.container, &["sh", "-c", script, "sh", name]).await;
        Ok(found.and_then(|path| String::from_utf8(path).ok()).filter(|path| path.starts_with('/')))
    }

    async fn spawn(&self, spec: CommandSpec, log: Arc<dyn LogSink>) -> Result<Box<dyn Process>, EnvironmentError> {
        let place = &self.place;
        let process = place.next_process.fetch_add(1, Ordering::Relaxed).to_string();
        let mut env = Vec::new();
        for (name, value) in self.variables.iter().chain(&spec.env).filter(|(name, _)| !is_cookie(name)) {
            check_variable(name, value).map_err(EnvironmentError::Invalid)?;
            env.push(format!("{name}={value}"));
        }
        env.push(format!("{PROCESS_COOKIE}={process}"));
        let directory = Path::new(WORKSPACE).join(&spec.working_directory);
        let options = CreateExecOptions {
            attach_stdin: Some(!spec.stdin.is_empty()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(env),
            cmd: Some(std::iter::once(spec.program.clone()).chain(spec.args.iter().cloned()).collect()),
            working_dir: Some(directory.to_string_lossy().into_owned()),
            ..Default::default()
        };
        let failed = |error: bollard::errors::Error| start_error(&spec.program, &place.image, &in_words(&error));
        let exec = place.docker.create_exec(&place.container, options).await.map_err(failed)?.id;
        let start = StartExecOptions { output_capacity: Some(OUTPUT_BYTES), ..Default::default() };
        let StartExecResults::Attached { output, mut input } =
            place.docker.start_exec(&exec, Some(start)).await.map_err(failed)?
        else {
            return Err(EnvironmentError::Other("Docker did not give the output of the command".to_owned()));
        };
        let contents = spec.stdin.clone();
        tokio::spawn(async move {
            // A command that does not read its input closes it: no error of ours.
            let _ = input.write_all(&contents).await;
            let _ = input.shutdown().await;
        });
        let (stdout, read_stdout) = Outlet::new(spec.stdout, LogStream::Stdout, &log);
        let (stderr, read_stderr) = Outlet::new(spec.stderr, LogStream::Stderr, &log);
        let piped = Piped { stdout: read_stdout, stderr: read_stderr };
        lock(&self.running).push(process.clone());
        let (ended, end) = watch::channel(None);
        let follower = Follower { place: Arc::clone(place), exec, program: spec.program, ended };
        let task = tokio::spawn(follower.follow(output, stdout, stderr));
        let running = Arc::clone(&self.running);
        Ok(Box::new(ContainerProcess { place: Arc::clone(place), process, running, end, task, piped }))
    }
}

#[async_trait]
impl StepEnvironment for ContainerStep {
    async fn terminate(&self) -> bool {
        let running = lock(&self.running).clone();
        for process in &running {
            signal_in(&self.place, process, "TERM").await;
        }
        !running.is_empty()
    }
}

/// Docker's words for what cannot be started, in ours.
fn start_error(program: &str, image: &str, words: &str) -> EnvironmentError {
    let missing = words.contains("executable file not found") || words.contains("no such file or directory");
    if missing {
        EnvironmentError::NotFound(format!("there is no program `{program}` in the image `{image}`"))
    } else {
        EnvironmentError::Other(format!("could not start `{program}` in the container: {words}"))
    }
}

type Ended = Option<Result<Exit, EnvironmentError>>;

/// Carries the output of a command to its outlets and learns how it ended.
struct Follower {
    place: Arc<Place>,
    exec: String,
    program: String,
    ended: watch::Sender<Ended>,
}

impl Follower {
    async fn follow<S>(self, mut output: S, mut stdout: Outlet, mut stderr: Outlet)
    where
        S: futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
    {
        let mut last = Bytes::new();
        loop {
            let piece = match tokio::time::timeout(SILENCE, output.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(None | Some(Err(_))) => break,
                // Something that the command left behind may keep its output open.
                Err(_) if self.is_running().await => continue,
                Err(_) => break,
            };
            last = piece.clone().into_bytes();
            match piece {
                LogOutput::StdErr { message } => stderr.take(message).await,
                LogOutput::StdOut { message } | LogOutput::Console { message } => stdout.take(message).await,
                LogOutput::StdIn { .. } => {}
            }
        }
        drop((stdout, stderr));
        let end = self.how_it_ended(&last).await;
        self.ended.send_replace(Some(end));
    }

    async fn is_running(&self) -> bool {
        let seen = self.place.docker.inspect_exec(&self.exec).await;
        seen.is_ok_and(|exec| exec.running.unwrap_or(false))
    }

    async fn how_it_ended(&self, last: &[u8]) -> Result<Exit, EnvironmentError> {
        let lost = |reason: &str| {
            EnvironmentError::Other(format!("the container ended while `{}` ran in it{reason}", self.program))
        };
        let ended = self.place.docker.inspect_exec(&self.exec).await;
        let ended = ended.map_err(|error| lost(&format!(": {}", in_words(&error))))?;
        let code = ended.exit_code.ok_or_else(|| lost(""))?;
        // Docker tells of a command that could not be started by a code of the shell and a line of its own.
        let words = String::from_utf8_lossy(last);
        if matches!(code, 126 | 127) && words.contains("OCI runtime exec failed") {
            return Err(start_error(&self.program, &self.place.image, words.trim()));
        }
        Ok(Exit::Code(i32::try_from(code).unwrap_or(-1)))
    }
}

/// A command that was started in the container.
struct ContainerProcess {
    place: Arc<Place>,
    process: String,
    running: Arc<Mutex<Vec<String>>>,
    end: watch::Receiver<Ended>,
    task: JoinHandle<()>,
    piped: Piped,
}

impl ContainerProcess {
    fn has_ended(&self) -> bool {
        self.end.borrow().is_some()
    }

    fn forget(&self) {
        lock(&self.running).retain(|process| *process != self.process);
    }
}

#[async_trait]
impl Process for ContainerProcess {
    async fn wait(&mut self) -> Result<Exit, EnvironmentError> {
        let ended = self.end.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        self.forget();
        ended.unwrap_or_else(|| Err(EnvironmentError::Other("the output of the command was lost".to_owned())))
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), EnvironmentError> {
        if self.has_ended() {
            return Ok(());
        }
        let name = match signal {
            Signal::Interrupt => "INT",
            Signal::Terminate => "TERM",
            Signal::Kill => "KILL",
            Signal::Hangup => "HUP",
        };
        signal_in(&self.place, &self.process, name).await;
        Ok(())
    }

    async fn read(&mut self, stream: LogStream, length: usize) -> Result<Bytes, EnvironmentError> {
        Ok(self.piped.read(stream, length).await)
    }
}

impl Drop for ContainerProcess {
    fn drop(&mut self) {
        self.forget();
        let ended = self.has_ended();
        self.task.abort();
        if !ended && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (place, process) = (Arc::clone(&self.place), self.process.clone());
            // If this is cut short, the removal of the container ends the command.
            runtime.spawn(async move { signal_in(&place, &process, "KILL").await });
        }
    }
}

#[cfg(test)]
mod tests;

//! Commands directly on the machine of the agent: a clean environment, and a process group for each.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{
    id::{AgentId, AttemptId},
    protocol::LogStream,
};
use oxide_runtime::environment::{
    CommandSpec, Environment, EnvironmentError, EnvironmentKind, Exit, LogSink, OutputTo, Process, Signal,
};
use rustix::process::{Pid, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use super::{
    JobEnvironment, StepEnvironment, check_variable, common_variables, is_cookie,
    output::{Outlet, Piped, ReadBuffer},
    plain,
};
use crate::{
    processes::{ATTEMPT_COOKIE, Cookies, PROCESS_COOKIE, kill_by_cookies, signal_by_cookies},
    workspace::JobDirectory,
};

/// The search path where the agent itself has none.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// After a command has ended, how long its output may be silent before it is taken as complete although something that
/// it left behind keeps it open.
const DRAIN_SILENCE: Duration = Duration::from_millis(200);
/// How long that waiting may take altogether, if what was left behind is never silent.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(1);
/// What can still be on its way in a pipe when the command ends.
const PIPE_BYTES_MAX: usize = 1 << 20;

/// The host as one attempt sees it.
pub(super) struct HostEnvironment {
    place: Arc<Place>,
}

struct Place {
    workspace: PathBuf,
    attempt: String,
    variables: Vec<(String, String)>,
    /// Shared by all that have the same attempt: it tells its commands apart.
    next_process: Arc<AtomicU32>,
}

impl HostEnvironment {
    pub(super) fn new(agent: AgentId, attempt: AttemptId, directory: &JobDirectory) -> Self {
        HostEnvironment::at(agent, attempt, directory.workspace(), &directory.home(), &directory.tmp())
    }

    /// The same with directories that need not belong to a job.
    pub(super) fn at(agent: AgentId, attempt: AttemptId, workspace: PathBuf, home: &Path, tmp: &Path) -> Self {
        let mut variables = common_variables(agent, attempt, &workspace.to_string_lossy());
        let path = std::env::var("PATH").ok().filter(|path| !path.is_empty());
        variables.push(("PATH".to_owned(), path.unwrap_or_else(|| DEFAULT_PATH.to_owned())));
        variables.push(("HOME".to_owned(), home.to_string_lossy().into_owned()));
        variables.push(("TMPDIR".to_owned(), tmp.to_string_lossy().into_owned()));
        let next_process = Arc::new(AtomicU32::new(1));
        HostEnvironment { place: Arc::new(Place { workspace, attempt: attempt.to_string(), variables, next_process }) }
    }

    /// The same place with other variables, made from those that commands have here.
    pub(super) fn with_variables(
        &self,
        change: impl FnOnce(&[(String, String)]) -> Vec<(String, String)>,
    ) -> HostEnvironment {
        let Place { workspace, attempt, variables, next_process } = &*self.place;
        let (workspace, attempt, next_process) = (workspace.clone(), attempt.clone(), Arc::clone(next_process));
        HostEnvironment { place: Arc::new(Place { workspace, attempt, variables: change(variables), next_process }) }
    }
}

#[async_trait]
impl JobEnvironment for HostEnvironment {
    fn network(&self) -> String {
        "host".to_owned()
    }

    fn for_step(&self, variables: Vec<(String, String)>) -> Arc<dyn StepEnvironment> {
        Arc::new(HostStep { place: Arc::clone(&self.place), variables, running: Arc::default() })
    }

    async fn end(&self) {
        let cookies = Cookies::new([(ATTEMPT_COOKIE, self.place.attempt.as_str())]);
        // Reading the list of all processes may take a few milliseconds.
        let _ = tokio::task::spawn_blocking(move || kill_by_cookies(&cookies)).await;
    }
}

/// The host as one step sees it.
struct HostStep {
    place: Arc<Place>,
    variables: Vec<(String, String)>,
    running: Arc<Mutex<Vec<Group>>>,
}

/// A command and what it started.
#[derive(Clone, Debug)]
struct Group {
    leader: Pid,
    cookies: Cookies,
}

impl Group {
    /// Signals the group, then those that have left it.
    fn signal(&self, signal: rustix::process::Signal) {
        let _ = kill_process_group(self.leader, signal);
        signal_by_cookies(&self.cookies, signal);
    }

    fn kill(&self) {
        let _ = kill_process_group(self.leader, rustix::process::Signal::KILL);
        kill_by_cookies(&self.cookies);
    }
}

impl HostStep {
    /// All variables of a command; later ones win.
    fn variables_of(&self, command: &CommandSpec, process: &str) -> Result<Vec<(String, String)>, EnvironmentError> {
        let mut all = self.place.variables.clone();
        for (name, value) in self.variables.iter().chain(&command.env).filter(|(name, _)| !is_cookie(name)) {
            check_variable(name, value).map_err(EnvironmentError::Invalid)?;
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, present)) => present.clone_from(value),
                None => all.push((name.clone(), value.clone())),
            }
        }
        all.push((PROCESS_COOKIE.to_owned(), process.to_owned()));
        Ok(all)
    }

    fn search_path(&self) -> &str {
        let written = self.variables.iter().rev().chain(&self.place.variables).find(|(name, _)| name == "PATH");
        written.map_or(DEFAULT_PATH, |(_, path)| path)
    }
}

/// The program on a search path. Relative entries of the path count from the workspace.
pub(super) fn look_up(name: &str, search_path: &str, workspace: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        let path = workspace.join(name);
        return is_executable(&path).then_some(path);
    }
    search_path.split(':').map(|directory| workspace.join(directory).join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[async_trait]
impl Environment for HostStep {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Host
    }

    fn workspace_path(&self) -> String {
        self.place.workspace.to_string_lossy().into_owned()
    }

    async fn find_program(&self, name: &str) -> Result<Option<String>, EnvironmentError> {
        if name.is_empty() {
            return Ok(None);
        }
        let found = look_up(name, self.search_path(), &self.place.workspace);
        Ok(found.map(|path| path.to_string_lossy().into_owned()))
    }

    async fn spawn(&self, spec: CommandSpec, log: Arc<dyn LogSink>) -> Result<Box<dyn Process>, EnvironmentError> {
        if !self.place.workspace.is_dir() {
            // Not a missing program: a plugin would look for another one.
            let text = "the workspace is gone: this step or an earlier one has removed it";
            return Err(EnvironmentError::Other(text.to_owned()));
        }
        let process = self.place.next_process.fetch_add(1, Ordering::Relaxed).to_string();
        let variables = self.variables_of(&spec, &process)?;
        let path = variables.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path);
        // Looked up here so that a missing program is told apart, and so that the standard library can use `posix_spawn`,
        // which a large process needs to start small ones quickly.
        let program =
            look_up(&spec.program, path, &self.place.workspace).ok_or_else(|| not_found(&spec.program, path))?;
        let directory = self.place.workspace.join(&spec.working_directory);
        if !directory.is_dir() {
            let directory = spec.working_directory.display();
            return Err(EnvironmentError::NotFound(format!("the working directory `{directory}` does not exist")));
        }
        let (to_stdout, to_stderr, shared) = outputs(&spec)
            .map_err(|error| EnvironmentError::Other(format!("could not make a pipe: {}", plain(&error))))?;
        let mut command = Command::new(&program);
        command.as_std_mut().env_clear();
        command
            .args(&spec.args)
            .envs(variables)
            .current_dir(&directory)
            .process_group(0)
            .stdin(if spec.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(to_stdout)
            .stderr(to_stderr);
        let mut child = command.spawn().map_err(|error| {
            EnvironmentError::Other(format!("could not start `{}`: {}", program.display(), plain(&error)))
        })?;
        // It holds the writing end of a shared pipe, which would never end.
        drop(command);
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let leader = leader.expect("a process that was just started has an id");
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input closes it: no error of ours.
            tokio::spawn(async move { stdin.write_all(&spec.stdin).await });
        }
        let (exited, exit_seen) = watch::channel(false);
        let (stdout, read_stdout) = Outlet::new(spec.stdout, LogStream::Stdout, &log);
        let (stderr, read_stderr) = Outlet::new(spec.stderr, LogStream::Stderr, &log);
        let piped = Piped { stdout: read_stdout, stderr: read_stderr };
        let readers = match shared {
            Some(pipe) => [Some(tokio::spawn(carry(pipe, stdout, exit_seen))), None],
            None => [
                child.stdout.take().map(|pipe| tokio::spawn(carry(pipe, stdout, exit_seen.clone()))),
                child.stderr.take().map(|pipe| tokio::spawn(carry(pipe, stderr, exit_seen))),
            ],
        };
        let cookies = Cookies::new([(ATTEMPT_COOKIE, self.place.attempt.as_str()), (PROCESS_COOKIE, &process)]);
        let group = Group { leader, cookies };
        lock(&self.running).push(group.clone());
        let running = Arc::clone(&self.running);
        Ok(Box::new(HostProcess { child, group, running, readers, exited, exit: None, piped }))
    }
}

#[async_trait]
impl StepEnvironment for HostStep {
    async fn terminate(&self) -> bool {
        let running = lock(&self.running).clone();
        let any = !running.is_empty();
        let signal_all = move || running.iter().for_each(|group| group.signal(rustix::process::Signal::TERM));
        let _ = tokio::task::spawn_blocking(signal_all).await;
        any
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found(program: &str, path: &str) -> EnvironmentError {
    EnvironmentError::NotFound(if program.contains('/') {
        format!("there is no program `{program}` on this machine")
    } else {
        format!("there is no program `{program}` on this machine; searched {path}")
    })
}

/// Where standard output and error of a command go. If both go to the log they share one pipe, which is returned: only so
/// does the log keep the order in which a command wrote to both.
fn outputs(spec: &CommandSpec) -> io::Result<(Stdio, Stdio, Option<pipe::Receiver>)> {
    if (spec.stdout, spec.stderr) == (OutputTo::Log, OutputTo::Log) {
        let (reader, writer) = io::pipe()?;
        return Ok((writer.try_clone()?.into(), writer.into(), Some(pipe::Receiver::from_owned_fd(reader.into())?)));
    }
    let output = |to: OutputTo| if to == OutputTo::Discarded { Stdio::null() } else { Stdio::piped() };
    Ok((output(spec.stdout), output(spec.stderr), None))
}

/// Reads what the command left behind still writes, for nobody: without a reader it would be killed at its next line, and it
/// may be a server for later steps. Ends when the job kills the writer.
async fn discard(mut pipe: impl AsyncRead + Unpin) {
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
}

/// Carries one stream to its outlet until it ends, or the command has ended and nothing more comes.
async fn carry(
    mut pipe: impl AsyncRead + std::os::fd::AsFd + Unpin + Send + 'static,
    mut outlet: Outlet,
    mut exited: watch::Receiver<bool>,
) {
    let mut buffer = ReadBuffer::new();
    let mut widened = false;
    let mut left = usize::MAX;
    let mut patience = DRAIN_WAIT_MAX;
    while left > 0 && !patience.is_zero() {
        let after_exit = *exited.borrow_and_update();
        if after_exit {
            left = left.min(PIPE_BYTES_MAX);
        }
        let waits_since = Instant::now();
        let read = tokio::select! {
            biased;
            read = pipe.read_buf(buffer.room()) => read,
            seen = exited.changed(), if !after_exit => match seen {
                Ok(()) => continue,
                // Nobody waits for the process any more.
                Err(_) => return,
            },
            () = tokio::time::sleep(DRAIN_SILENCE), if after_exit => break,
        };
        match read {
            Ok(0) | Err(_) => return,
            Ok(count) => left = left.saturating_sub(count),
        }
        if after_exit {
            patience = patience.saturating_sub(waits_since.elapsed());
        }
        outlet.take(buffer.take()).await;
        if buffer.is_large() && !widened {
            widened = true;
            // A wider pipe means fewer switches between us and a command that prints a lot; one that is not to be had is fine.
            let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES_MAX);
        }
    }
    tokio::spawn(discard(pipe));
}

/// A command that was started.
struct HostProcess {
    child: Child,
    group: Group,
    running: Arc<Mutex<Vec<Group>>>,
    readers: [Option<JoinHandle<()>>; 2],
    exited: watch::Sender<bool>,
    exit: Option<Exit>,
    piped: Piped,
}

#[async_trait]
impl Process for HostProcess {
    async fn wait(&mut self) -> Result<Exit, EnvironmentError> {
        let exit = match self.exit {
            Some(exit) => exit,
            None => {
                let status = self.child.wait().await;
                let status = status.map_err(|error| EnvironmentError::Other(format!("could not wait: {error}")))?;
                let exit = exit_of(status);
                self.exit = Some(exit);
                self.forget();
                exit
            }
        };
        self.exited.send_replace(true);
        for (reader, piped) in self.readers.iter_mut().zip([&self.piped.stdout, &self.piped.stderr]) {
            // What is piped goes on after the end, at the pace of the plugin.
            if piped.is_none()
                && let Some(running) = reader
            {
                let _ = running.await;
                *reader = None;
            }
        }
        Ok(exit)
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), EnvironmentError> {
        if self.exit.is_some() {
            return Ok(());
        }
        let group = self.group.clone();
        let signal = match signal {
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Hangup => rustix::process::Signal::HUP,
        };
        let _ = tokio::task::spawn_blocking(move || group.signal(signal)).await;
        Ok(())
    }

    async fn read(&mut self, stream: LogStream, length: usize) -> Result<Bytes, EnvironmentError> {
        Ok(self.piped.read(stream, length).await)
    }
}

impl HostProcess {
    /// The number of an ended process may become another's.
    fn forget(&self) {
        lock(&self.running).retain(|group| group.leader != self.group.leader);
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        for reader in self.readers.iter().flatten() {
            reader.abort();
        }
        if self.exit.is_none() {
            self.forget();
            self.group.kill();
        }
    }
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signalled(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;

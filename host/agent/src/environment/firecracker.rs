//! Commands in a Firecracker microVM.
//!
//! Each command has a machine of its own: its drives are the job's copy of the root file system, a control drive with the
//! scripts of [`guest`], and the workspace. The machine boots, runs the command, prints what it says to the console and
//! switches itself off; then the workspace is read back. So plugins and commands see the same files, one after the other,
//! and what a command left running ends with its machine. Commands of parallel steps wait for each other. A machine has no
//! network.
//!
//! The machine needs `/bin/sh`, `mount`, `mkdir` and `reboot` in its root file system (busybox has them), and a kernel
//! with ext4, virtio-mmio and a serial console built in.

mod api;
mod console;
mod drive;
mod guest;
mod machine;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{
    id::{AgentId, AttemptId},
    outcome::Failure,
    protocol::LogStream,
};
use oxide_runtime::environment::{
    CommandSpec, Environment, EnvironmentError, EnvironmentKind, Exit, LogLimitReached, LogSink, OutputTo, Process,
    Signal,
};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};

use super::{
    JobEnvironment, StepEnvironment, check_variable, common_variables, failure,
    host::{DEFAULT_PATH, HostEnvironment, look_up},
    is_cookie,
    output::{Outlet, Piped},
};
use crate::workspace::JobDirectory;
use guest::{GuestCommand, Output, WORKSPACE};
use machine::{Key, Machine};

/// What the plan says of the machine.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) kernel: String,
    pub(super) rootfs: String,
    pub(super) boot_args: Option<String>,
    pub(super) vcpus: u32,
    pub(super) memory_bytes: u64,
}

/// What this machine must have.
#[derive(Clone, Debug)]
struct Needs {
    firecracker: String,
    kvm: PathBuf,
    path: String,
}

impl Needs {
    fn here() -> Needs {
        let path = std::env::var("PATH").ok().filter(|path| !path.is_empty());
        let path = path.unwrap_or_else(|| DEFAULT_PATH.to_owned());
        Needs { firecracker: "firecracker".to_owned(), kvm: PathBuf::from("/dev/kvm"), path }
    }
}

/// The machines of one attempt.
pub(super) struct FirecrackerEnvironment {
    place: Arc<Place>,
}

struct Place {
    machine: Machine,
    host: HostEnvironment,
    variables: Vec<(String, String)>,
    /// One machine at a time: they share their drives.
    turn: Arc<Mutex<()>>,
}

impl FirecrackerEnvironment {
    /// Looks whether machines can run here, and copies the root file system. Nothing is started yet.
    pub(super) async fn new(
        wish: Wish,
        agent: AgentId,
        attempt: AttemptId,
        directory: &JobDirectory,
    ) -> Result<FirecrackerEnvironment, Failure> {
        FirecrackerEnvironment::with(wish, agent, attempt, directory, Needs::here()).await
    }

    async fn with(
        wish: Wish,
        agent: AgentId,
        attempt: AttemptId,
        directory: &JobDirectory,
        needs: Needs,
    ) -> Result<FirecrackerEnvironment, Failure> {
        let (firecracker, tools) = check(&wish, &needs)?;
        let boot_args = guest::boot_args(wish.boot_args.as_deref()).map_err(|wrong| {
            failure(wrong).with_hint("write only words for the kernel there, such as `nokaslr`, or leave it away")
        })?;
        let folder = directory.tmp().join("vm");
        let rootfs = folder.join("rootfs.ext4");
        let (from, to) = (wish.rootfs.clone(), rootfs.clone());
        let copied = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(to.parent().unwrap_or(Path::new("/")))?;
            fs::copy(from, to).map(drop)
        });
        copied
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| failure(format!("could not copy the root file system {}: {error}", wish.rootfs)))?;
        let machine = Machine {
            firecracker: firecracker.to_string_lossy().into_owned(),
            tools,
            kernel: wish.kernel,
            boot_args,
            vcpus: wish.vcpus,
            memory_bytes: wish.memory_bytes,
            rootfs,
            workspace: directory.workspace(),
            folder,
        };
        let mut variables = common_variables(agent, attempt, WORKSPACE);
        variables.retain(|(name, _)| !is_cookie(name));
        variables.push(("PATH".to_owned(), guest::PATH.to_owned()));
        variables.push(("HOME".to_owned(), "/root".to_owned()));
        let host = HostEnvironment::new(agent, attempt, directory);
        Ok(FirecrackerEnvironment { place: Arc::new(Place { machine, host, variables, turn: Arc::default() }) })
    }
}

/// Finds what a machine needs.
fn check(wish: &Wish, needs: &Needs) -> Result<(PathBuf, drive::Tools), Failure> {
    let elsewhere =
        "or run the stage elsewhere: agents that can have the capability `kvm`, as `oxide agents list` shows";
    let Some(firecracker) = look_up(&needs.firecracker, &needs.path, Path::new("/")) else {
        let message = "the stage runs in a virtual machine, but there is no program `firecracker` on this agent";
        let hint = format!("install it (https://github.com/firecracker-microvm/firecracker/releases), {elsewhere}");
        return Err(failure(message).with_hint(hint));
    };
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open(&needs.kvm) {
        let message =
            format!("the stage runs in a virtual machine, but {} cannot be opened: {error}", needs.kvm.display());
        let hint = format!("let the agent's user open it (often: add it to the group `kvm`), {elsewhere}");
        return Err(failure(message).with_hint(hint));
    }
    let tools = drive::Tools::find(&needs.path).map_err(|missing| {
        failure(format!("drives of virtual machines are made with `{missing}`, which is not on this agent"))
            .with_hint("install e2fsprogs on its machine")
    })?;
    for (what, file) in [("kernel", &wish.kernel), ("root file system", &wish.rootfs)] {
        if !Path::new(file).is_file() {
            let message = format!("there is no file {file} on this agent, which is to be the {what} of the machine");
            return Err(
                failure(message).with_hint("put it there, or say another one below `environment: firecracker:`")
            );
        }
    }
    Ok((firecracker, tools))
}

#[async_trait]
impl JobEnvironment for FirecrackerEnvironment {
    fn network(&self) -> String {
        // The planner refuses services beside a machine.
        "none".to_owned()
    }

    fn for_step(&self, variables: Vec<(String, String)>) -> Arc<dyn StepEnvironment> {
        let host: Arc<dyn StepEnvironment> = self.place.host.for_step(Vec::new());
        Arc::new(VmStep { place: Arc::clone(&self.place), host, variables, running: watch::Sender::new(None) })
    }

    async fn end(&self) {
        self.place.host.end().await;
    }
}

/// The machines as one step sees them.
struct VmStep {
    place: Arc<Place>,
    /// Where Firecracker itself runs.
    host: Arc<dyn StepEnvironment>,
    variables: Vec<(String, String)>,
    /// The keys of the machine that runs now.
    running: watch::Sender<Option<Key>>,
}

impl VmStep {
    fn variables_of(&self, command: &CommandSpec) -> Result<Vec<(String, String)>, EnvironmentError> {
        let mut all = self.place.variables.clone();
        for (name, value) in self.variables.iter().chain(&command.env).filter(|(name, _)| !is_cookie(name)) {
            check_variable(name, value).map_err(EnvironmentError::Invalid)?;
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, present)) => present.clone_from(value),
                None => all.push((name.clone(), value.clone())),
            }
        }
        Ok(all)
    }
}

fn output(to: OutputTo) -> Output {
    match to {
        OutputTo::Log => Output::Console,
        OutputTo::Piped => Output::File,
        OutputTo::Discarded => Output::Nowhere,
    }
}

#[async_trait]
impl Environment for VmStep {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Firecracker
    }

    fn workspace_path(&self) -> String {
        WORKSPACE.to_owned()
    }

    async fn find_program(&self, name: &str) -> Result<Option<String>, EnvironmentError> {
        let (stdout, stderr) = (OutputTo::Piped, OutputTo::Discarded);
        let args = ["-c", "command -v -- \"$1\"", "sh", name].map(str::to_owned).to_vec();
        let (env, working_directory, stdin) = (Vec::new(), PathBuf::new(), Vec::new());
        let spec = CommandSpec { program: "/bin/sh".to_owned(), args, env, working_directory, stdin, stdout, stderr };
        let mut process = self.spawn(spec, Arc::new(NoLog)).await?;
        let found = process.read(LogStream::Stdout, 4096).await?;
        process.wait().await?;
        let found = String::from_utf8_lossy(&found).trim().to_owned();
        // Words of the shell itself are no programs.
        Ok(Some(found).filter(|path| path.starts_with('/')))
    }

    async fn spawn(&self, spec: CommandSpec, log: Arc<dyn LogSink>) -> Result<Box<dyn Process>, EnvironmentError> {
        let env = self.variables_of(&spec)?;
        let command = GuestCommand {
            program: &spec.program,
            args: &spec.args,
            env: &env,
            directory: &spec.working_directory,
            has_stdin: !spec.stdin.is_empty(),
            stdout: output(spec.stdout),
            stderr: output(spec.stderr),
        };
        let script = command.script();
        let (console, _) = Outlet::new(OutputTo::Log, LogStream::Stdout, &log);
        let (stdout, read_stdout) = Outlet::new(spec.stdout, LogStream::Stdout, &log);
        let (stderr, read_stderr) = Outlet::new(spec.stderr, LogStream::Stderr, &log);
        let piped = Piped { stdout: read_stdout, stderr: read_stderr };
        let (place, host) = (Arc::clone(&self.place), Arc::clone(&self.host));
        let (running, ended) = (self.running.clone(), watch::Sender::new(None));
        let (end, stdin) = (ended.subscribe(), spec.stdin);
        let task = tokio::spawn(async move {
            // Held until the workspace is read back.
            let _turn = Arc::clone(&place.turn).lock_owned().await;
            let run = machine::Run { script, stdin, console, stdout, stderr };
            let exit = place.machine.run(run, &*host, &log, &running).await;
            running.send_replace(None);
            ended.send_replace(Some(exit));
        });
        Ok(Box::new(VmProcess { end, task, running: self.running.clone(), piped }))
    }
}

#[async_trait]
impl StepEnvironment for VmStep {
    async fn terminate(&self) -> bool {
        let key = self.running.borrow().clone();
        match key {
            Some(key) => {
                key.press().await;
                true
            }
            None => self.host.terminate().await,
        }
    }
}

/// A command in its machine. Dropping it ends the machine; what it has changed in the workspace is then lost.
struct VmProcess {
    end: watch::Receiver<Option<Result<Exit, EnvironmentError>>>,
    task: JoinHandle<()>,
    running: watch::Sender<Option<Key>>,
    piped: Piped,
}

#[async_trait]
impl Process for VmProcess {
    async fn wait(&mut self) -> Result<Exit, EnvironmentError> {
        match self.end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(Ok(Exit::Signalled(9))),
            // It was killed.
            Err(_) => Ok(Exit::Signalled(9)),
        }
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), EnvironmentError> {
        if signal == Signal::Kill {
            self.task.abort();
            self.running.send_replace(None);
            return Ok(());
        }
        let key = self.running.borrow().clone();
        if let Some(key) = key {
            key.press().await;
        }
        Ok(())
    }

    async fn read(&mut self, stream: LogStream, length: usize) -> Result<Bytes, EnvironmentError> {
        Ok(self.piped.read(stream, length).await)
    }
}

impl Drop for VmProcess {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A log for what is asked without one.
struct NoLog;

#[async_trait]
impl LogSink for NoLog {
    async fn write(&self, _: LogStream, _: Bytes) -> Result<(), LogLimitReached> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

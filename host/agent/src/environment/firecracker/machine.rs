//! One machine from its drives to its end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use oxide_core::protocol::LogStream;
use oxide_runtime::environment::{CommandSpec, EnvironmentError, Exit, LogSink, OutputTo, Process};
use tokio::sync::watch;

use super::{
    super::{StepEnvironment, output::Outlet},
    api::{Action, Api, ApiError, BootSource, Drive, Logger, MachineConfig},
    console::Console,
    drive::Tools,
    guest::{self, file},
};
use crate::workspace::remove_tree;

/// The socket of the API as Firecracker is told, which starts in the workspace: a path of a socket must be short.
const SOCKET_FROM_WORKSPACE: &str = "../tmp/vm/api.sock";
/// Bytes of the console that are taken at once.
const CONSOLE_BYTES: usize = 64 << 10;
/// Firecracker's words for a failed start, from the end of its log.
const FIRECRACKER_WORDS_MAX: usize = 2 << 10;

/// What all machines of a job have in common.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) firecracker: String,
    pub(super) tools: Tools,
    pub(super) kernel: String,
    pub(super) boot_args: String,
    pub(super) vcpus: u32,
    pub(super) memory_bytes: u64,
    /// The job's own copy.
    pub(super) rootfs: PathBuf,
    pub(super) workspace: PathBuf,
    /// Where the drives, the socket and the log of Firecracker are: `tmp/vm` beside the workspace.
    pub(super) folder: PathBuf,
}

/// A command for one machine.
pub(super) struct Run {
    pub(super) script: String,
    pub(super) stdin: Vec<u8>,
    /// Where the console goes, if an output of the command goes to the log.
    pub(super) console: Outlet,
    pub(super) stdout: Outlet,
    pub(super) stderr: Outlet,
}

/// The keyboard of a machine that runs.
#[derive(Clone, Debug)]
pub(super) struct Key(Arc<Api>);

impl Key {
    /// Asks the command to end; it gets a SIGTERM.
    pub(super) async fn press(&self) {
        // A machine that is just going off does not listen any more.
        let _ = self.0.action(Action::SendCtrlAltDel).await;
    }
}

impl Machine {
    /// Runs a command in a new machine, to its end and back in the workspace.
    pub(super) async fn run(
        &self,
        mut run: Run,
        host: &dyn StepEnvironment,
        log: &Arc<dyn LogSink>,
        running: &watch::Sender<Option<Key>>,
    ) -> Result<Exit, EnvironmentError> {
        let control = self.folder.join("control");
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let (control_drive, workspace_drive) = (self.folder.join("control.ext4"), self.folder.join("workspace.ext4"));
        write_control(&control, &nonce, &run).map_err(|error| io_error("write the control drive", &error))?;
        self.tools.make(host, &control_drive, &control).await?;
        self.tools.make(host, &workspace_drive, &self.workspace).await?;
        let mut console = Console::new(&nonce);
        let mut process = self.start(host, log).await?;
        let api = Api::at(self.folder.join("api.sock")).map_err(|error| io_error("find the socket", &error))?;
        let api = Arc::new(api);
        if let Err(error) = self.boot(&api, &[&control_drive, &workspace_drive]).await {
            return Err(EnvironmentError::Other(self.with_own_words(&error)));
        }
        running.send_replace(Some(Key(Arc::clone(&api))));
        loop {
            let said = process.read(LogStream::Stdout, CONSOLE_BYTES).await?;
            if said.is_empty() {
                break;
            }
            let printed = console.push(&said);
            if !printed.is_empty() {
                run.console.take(printed).await;
            }
        }
        let rest = console.rest();
        if !rest.is_empty() {
            run.console.take(rest).await;
        }
        let end = process.wait().await?;
        running.send_replace(None);
        if let Some(words) = console.boot_words() {
            let text = format!("the virtual machine ended before it ran the command; the last that it said: {words}");
            return Err(EnvironmentError::Other(text));
        }
        let aside = self.folder.join("read-back");
        self.tools.read(host, &workspace_drive, &self.workspace, &aside).await?;
        self.tools.read(host, &control_drive, &control, &aside).await?;
        for (outlet, name) in [(&mut run.stdout, file::STDOUT), (&mut run.stderr, file::STDERR)] {
            if matches!(outlet, Outlet::Pipe(_)) {
                outlet.take(fs::read(control.join(name)).unwrap_or_default().into()).await;
            }
        }
        match console.exit_code() {
            Some(code) => Ok(Exit::Code(code)),
            None => Err(EnvironmentError::Other(format!(
                "the virtual machine went off while the command ran ({end:?}); it may need more than {} MiB of memory",
                self.memory_bytes >> 20
            ))),
        }
    }

    async fn start(
        &self,
        host: &dyn StepEnvironment,
        log: &Arc<dyn LogSink>,
    ) -> Result<Box<dyn Process>, EnvironmentError> {
        let (socket, words) = (self.folder.join("api.sock"), self.own_words());
        // The one of the machine before; there may be none.
        let _ = fs::remove_file(socket);
        let prepared = fs::write(words, "");
        prepared.map_err(|error| io_error("prepare the machine's directory", &error))?;
        let args = ["--api-sock", SOCKET_FROM_WORKSPACE].map(str::to_owned).to_vec();
        let (env, working_directory, stdin) = (Vec::new(), PathBuf::new(), Vec::new());
        let (stdout, stderr) = (OutputTo::Piped, OutputTo::Log);
        let program = self.firecracker.clone();
        let spec = CommandSpec { program, args, env, working_directory, stdin, stdout, stderr };
        host.spawn(spec, Arc::clone(log)).await
    }

    async fn boot(&self, api: &Api, drives: &[&PathBuf; 2]) -> Result<(), ApiError> {
        api.wait_until_it_listens().await?;
        api.logger(&Logger { log_path: &self.own_words(), level: "Warning" }).await?;
        let mem_size_mib = self.memory_bytes >> 20;
        api.machine_config(&MachineConfig { vcpu_count: self.vcpus, mem_size_mib }).await?;
        api.boot_source(&BootSource { kernel_image_path: &self.kernel, boot_args: &self.boot_args }).await?;
        let [control, workspace] = drives;
        let all: [(&str, &Path); 3] = [("rootfs", &self.rootfs), ("control", control), ("workspace", workspace)];
        for (drive_id, path_on_host) in all {
            let is_root_device = drive_id == "rootfs";
            api.drive(&Drive { drive_id, path_on_host, is_root_device, is_read_only: false }).await?;
        }
        api.action(Action::InstanceStart).await
    }

    fn own_words(&self) -> PathBuf {
        self.folder.join("firecracker.log")
    }

    /// An error of the API, with what Firecracker wrote about it.
    fn with_own_words(&self, error: &ApiError) -> String {
        let words = fs::read_to_string(self.own_words()).unwrap_or_default();
        let tail: String =
            words.chars().rev().take(FIRECRACKER_WORDS_MAX).collect::<Vec<_>>().into_iter().rev().collect();
        let told = oxide_core::cause::in_one_line(error);
        match tail.trim() {
            "" => told,
            tail => format!("{told}; its log ends with: {tail}"),
        }
    }
}

fn io_error(what: &str, error: &io::Error) -> EnvironmentError {
    EnvironmentError::Other(format!("could not {what} of the virtual machine: {error}"))
}

/// The files of the control drive.
fn write_control(control: &Path, nonce: &str, run: &Run) -> io::Result<()> {
    remove_tree(control)?;
    fs::create_dir_all(control)?;
    fs::write(control.join(file::INIT), guest::init_script(nonce))?;
    fs::write(control.join(file::COMMAND), &run.script)?;
    fs::write(control.join(file::STDIN), &run.stdin)
}

//! `oxide:ci/environment`: commands where the job runs them. The agent's [`Environment`] does the work.
//!
//! [`Environment`]: crate::environment::Environment

use std::{
    borrow::Cow,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use oxide_core::{
    protocol::LogStream,
    secret::{MaskStream, Placeholders},
};
use wasmtime::component::Resource;

use super::{
    CapabilityError,
    bindings::oxide::ci::environment::{
        Exit as WitExit, Host, HostCommand, HostEnvironment, HostProcess, Kind, OutputTo as WitOutputTo,
        Signal as WitSignal,
    },
};
use crate::{
    environment::{CommandSpec, EnvironmentError, EnvironmentKind, Exit, OutputTo, Process, Signal},
    recorder::bytes,
    state::State,
};

/// At most so many bytes come from one read of a pipe.
const READ_BYTES_MAX: u32 = 1 << 20;

/// The handle of the job's environment. There is one environment, so it holds nothing.
pub struct JobEnvironment;

/// The most bytes that all commands of a call may hold that were not started: what the system takes for one, and a
/// standard input.
const COMMAND_BYTES_MAX: usize = 64 << 20;

/// A command that is being built.
pub struct Command {
    spec: CommandSpec,
    spawned: bool,
    /// What it holds in bytes, counted in [`State::command_bytes`].
    bytes: usize,
}

/// A process that the plugin has started. It is killed when its handle or the call ends.
pub struct RunningProcess {
    process: Box<dyn Process>,
    /// What stands between the process's two outputs and the plugin, which must not read secrets that it only spends.
    pipes: [MaskedPipe; 2],
}

/// A piped output on its way through the mask.
#[derive(Default)]
struct MaskedPipe {
    masked: MaskStream,
    ready: Vec<u8>,
}

impl From<EnvironmentError> for CapabilityError {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::NotFound(text) => CapabilityError::NotFound(text),
            EnvironmentError::Invalid(text) => CapabilityError::Invalid(text),
            EnvironmentError::Limit(text) => CapabilityError::Limit(text),
            EnvironmentError::Other(text) => CapabilityError::Other(text),
        }
    }
}

fn check_variable(name: &str, value: &str) -> Result<(), CapabilityError> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.contains('=') {
        "contains `=`"
    } else if name.contains('\0') {
        "contains a NUL byte"
    } else if value.contains('\0') {
        return Err(CapabilityError::Invalid(format!("the value of the variable `{name}` contains a NUL byte")));
    } else {
        return Ok(());
    };
    Err(CapabilityError::Invalid(format!("the name of the variable `{}` {problem}", name.escape_debug())))
}

/// The path of a working directory without `.` and `..`; an error if its text leaves the workspace.
fn working_directory(path: &str) -> Result<PathBuf, CapabilityError> {
    if path.contains('\0') {
        return Err(CapabilityError::Invalid("the working directory contains a NUL byte".into()));
    }
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        let inside = match part {
            Component::Normal(name) => {
                clean.push(name);
                true
            }
            Component::CurDir => true,
            Component::ParentDir => clean.pop(),
            Component::RootDir | Component::Prefix(_) => false,
        };
        if !inside {
            return Err(CapabilityError::Denied(format!("the working directory `{path}` is outside of the workspace")));
        }
    }
    Ok(clean)
}

fn check_command(command: &Command) -> Result<(), CapabilityError> {
    let spec = &command.spec;
    let problem = if command.spawned {
        "the command has been started before; build a new one".to_owned()
    } else if spec.program.is_empty() {
        "the name of the program is empty".to_owned()
    } else if spec.program.contains('\0') {
        "the name of the program contains a NUL byte".to_owned()
    } else if let Some(index) = spec.args.iter().position(|arg| arg.contains('\0')) {
        format!("argument {} contains a NUL byte", index + 1)
    } else {
        return Ok(());
    };
    Err(CapabilityError::Invalid(problem))
}

/// Puts values in the place of placeholders where only the process sees them.
fn spend_secrets(spec: &mut CommandSpec, secrets: &Placeholders) -> Result<(), CapabilityError> {
    let on_command_line = spec.args.iter().chain([&spec.program]).find_map(|arg| secrets.named_in(arg).next());
    if let Some(secret) = on_command_line {
        return Err(CapabilityError::Invalid(format!(
            "the secret `{}` stands on a command line, which every user of the machine can read; hand it over in an \
             environment variable or on the standard input",
            secret.name
        )));
    }
    for (_, value) in &mut spec.env {
        if let Cow::Owned(filled) = secrets.fill(value) {
            *value = filled;
        }
    }
    if let Cow::Owned(filled) = secrets.fill_bytes(&spec.stdin) {
        spec.stdin = filled;
    }
    Ok(())
}

fn empty_command(program: String) -> CommandSpec {
    CommandSpec {
        program,
        args: Vec::new(),
        env: Vec::new(),
        working_directory: PathBuf::new(),
        stdin: Vec::new(),
        stdout: OutputTo::Log,
        stderr: OutputTo::Log,
    }
}

fn output_to(to: WitOutputTo) -> OutputTo {
    match to {
        WitOutputTo::Log => OutputTo::Log,
        WitOutputTo::Piped => OutputTo::Piped,
        WitOutputTo::Discarded => OutputTo::Discarded,
    }
}

impl State {
    /// The command behind a handle, to be changed by adding so many bytes.
    fn command_spec(&mut self, handle: &Resource<Command>, adds: usize) -> wasmtime::Result<&mut CommandSpec> {
        let command = self.table.get_mut(handle)?;
        command.bytes += adds;
        self.command_bytes += adds;
        if self.command_bytes > COMMAND_BYTES_MAX {
            return Err(wasmtime::Error::msg("the commands that the plugin builds hold more than 64 MiB"));
        }
        Ok(&mut command.spec)
    }

    async fn read_pipe(
        &mut self,
        process: &Resource<RunningProcess>,
        stream: LogStream,
        length: u32,
    ) -> Result<Vec<u8>, CapabilityError> {
        let masker = self.masker.clone();
        let RunningProcess { process, pipes } = self.table.get_mut(process)?;
        let length = length.min(READ_BYTES_MAX) as usize;
        let pipe = &mut pipes[usize::from(stream == LogStream::Stderr)];
        while pipe.ready.is_empty() && length > 0 {
            let bytes = process.read(stream, length).await?;
            if bytes.is_empty() {
                pipe.ready = pipe.masked.end(&masker);
                break;
            }
            pipe.ready = pipe.masked.push(&masker, &bytes);
        }
        let taken = length.min(pipe.ready.len());
        Ok(pipe.ready.drain(..taken).collect())
    }
}

impl Host for State {
    async fn current(&mut self) -> Result<Resource<JobEnvironment>, CapabilityError> {
        self.called("environment.current", &());
        Ok(self.table.push(JobEnvironment)?)
    }
}

impl HostEnvironment for State {
    async fn kind(&mut self, environment: Resource<JobEnvironment>) -> wasmtime::Result<Kind> {
        self.called("environment.kind", &(environment.rep(),));
        Ok(match self.environment.kind() {
            EnvironmentKind::Host => Kind::Host,
            EnvironmentKind::Container => Kind::Container,
            EnvironmentKind::Nix => Kind::Nix,
            EnvironmentKind::Firecracker => Kind::Firecracker,
        })
    }

    async fn workspace_path(&mut self, environment: Resource<JobEnvironment>) -> wasmtime::Result<String> {
        self.called("environment.workspace-path", &(environment.rep(),));
        Ok(self.environment.workspace_path())
    }

    async fn find_program(
        &mut self,
        environment: Resource<JobEnvironment>,
        name: String,
    ) -> Result<Option<String>, CapabilityError> {
        self.called("environment.find-program", &(environment.rep(), &name));
        if name.is_empty() || name.contains('\0') {
            return Ok(None);
        }
        Ok(self.environment.find_program(&name).await?)
    }

    async fn command(
        &mut self,
        environment: Resource<JobEnvironment>,
        program: String,
    ) -> wasmtime::Result<Resource<Command>> {
        self.called("environment.command", &(environment.rep(), &program));
        let spec = empty_command(program);
        self.command_bytes += spec.program.len();
        Ok(self.table.push(Command { bytes: spec.program.len(), spec, spawned: false })?)
    }

    async fn drop(&mut self, handle: Resource<JobEnvironment>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostCommand for State {
    async fn arg(&mut self, command: Resource<Command>, value: String) -> wasmtime::Result<()> {
        self.called("environment.arg", &(command.rep(), &value));
        self.command_spec(&command, value.len() + 32)?.args.push(value);
        Ok(())
    }

    async fn env(&mut self, command: Resource<Command>, name: String, value: String) -> Result<(), CapabilityError> {
        self.called("environment.env", &(command.rep(), &name, &value));
        check_variable(&name, &value)?;
        let adds = name.len() + value.len() + 64;
        self.command_spec(&command, adds).map_err(CapabilityError::Trap)?.env.push((name, value));
        Ok(())
    }

    async fn working_directory(&mut self, command: Resource<Command>, path: String) -> Result<(), CapabilityError> {
        self.called("environment.working-directory", &(command.rep(), &path));
        let clean = working_directory(&path)?;
        self.command_spec(&command, path.len()).map_err(CapabilityError::Trap)?.working_directory = clean;
        Ok(())
    }

    async fn stdin(&mut self, command: Resource<Command>, contents: Vec<u8>) -> wasmtime::Result<()> {
        self.called("environment.stdin", &(command.rep(), bytes(&contents)));
        let adds = contents.len();
        self.command_spec(&command, adds)?.stdin = contents;
        Ok(())
    }

    async fn stdout(&mut self, command: Resource<Command>, to: WitOutputTo) -> wasmtime::Result<()> {
        self.called("environment.stdout", &(command.rep(), to));
        self.command_spec(&command, 0)?.stdout = output_to(to);
        Ok(())
    }

    async fn stderr(&mut self, command: Resource<Command>, to: WitOutputTo) -> wasmtime::Result<()> {
        self.called("environment.stderr", &(command.rep(), to));
        self.command_spec(&command, 0)?.stderr = output_to(to);
        Ok(())
    }

    async fn spawn(&mut self, command: Resource<Command>) -> Result<Resource<RunningProcess>, CapabilityError> {
        self.called("environment.spawn", &(command.rep(),));
        let command = self.table.get_mut(&command)?;
        check_command(command)?;
        command.spawned = true;
        self.command_bytes -= std::mem::take(&mut command.bytes);
        let mut spec = std::mem::replace(&mut command.spec, empty_command(String::new()));
        spend_secrets(&mut spec, &self.secrets)?;
        // What the plugin printed before it comes before what the process prints.
        self.log.flush().await?;
        let process = self.environment.clone().spawn(spec, Arc::<crate::step_log::StepLog>::clone(&self.log)).await?;
        Ok(self.table.push(RunningProcess { process, pipes: Default::default() })?)
    }

    async fn drop(&mut self, handle: Resource<Command>) -> wasmtime::Result<()> {
        self.command_bytes -= self.table.delete(handle)?.bytes;
        Ok(())
    }
}

impl HostProcess for State {
    async fn wait(&mut self, process: Resource<RunningProcess>) -> Result<WitExit, CapabilityError> {
        self.called("environment.wait", &(process.rep(),));
        Ok(match self.table.get_mut(&process)?.process.wait().await? {
            Exit::Code(code) => WitExit::Code(code),
            Exit::Signalled(signal) => WitExit::Signalled(signal),
        })
    }

    async fn signal(&mut self, process: Resource<RunningProcess>, signal: WitSignal) -> Result<(), CapabilityError> {
        self.called("environment.signal", &(process.rep(), signal));
        let signal = match signal {
            WitSignal::Interrupt => Signal::Interrupt,
            WitSignal::Terminate => Signal::Terminate,
            WitSignal::Kill => Signal::Kill,
            WitSignal::Hangup => Signal::Hangup,
        };
        Ok(self.table.get_mut(&process)?.process.signal(signal).await?)
    }

    async fn read_stdout(
        &mut self,
        process: Resource<RunningProcess>,
        length: u32,
    ) -> Result<Vec<u8>, CapabilityError> {
        self.called("environment.read-stdout", &(process.rep(), length));
        self.read_pipe(&process, LogStream::Stdout, length).await
    }

    async fn read_stderr(
        &mut self,
        process: Resource<RunningProcess>,
        length: u32,
    ) -> Result<Vec<u8>, CapabilityError> {
        self.called("environment.read-stderr", &(process.rep(), length));
        self.read_pipe(&process, LogStream::Stderr, length).await
    }

    async fn drop(&mut self, handle: Resource<RunningProcess>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_need_a_usable_name() {
        check_variable("PATH", "a=b").unwrap();
        for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0")] {
            let error = check_variable(name, value).unwrap_err();
            assert!(matches!(error, CapabilityError::Invalid(_)), "{name:?}: {error:?}");
        }
    }

    #[test]
    fn a_working_directory_stays_in_the_workspace() {
        for (path, clean) in [("", ""), (".", ""), ("a/./b", "a/b"), ("a/../b", "b"), ("a/..", "")] {
            assert_eq!(working_directory(path).unwrap(), Path::new(clean), "{path}");
        }
        for path in ["/", "/etc", "..", "a/../..", "../a"] {
            let error = working_directory(path).unwrap_err();
            assert!(matches!(error, CapabilityError::Denied(_)), "{path}: {error:?}");
        }
    }

    #[test]
    fn a_command_is_checked_before_it_starts() {
        let command = |program: &str, arg: &str, spawned| Command {
            spec: CommandSpec { args: vec![arg.into()], ..empty_command(program.into()) },
            spawned,
            bytes: 0,
        };
        check_command(&command("ls", "-l", false)).unwrap();
        for refused in [command("ls", "-l", true), command("", "", false), command("a\0", "", false)] {
            assert!(check_command(&refused).is_err());
        }
        let error = check_command(&command("ls", "\0", false)).unwrap_err();
        assert!(matches!(error, CapabilityError::Invalid(text) if text == "argument 1 contains a NUL byte"));
    }
}

//! Speaks to the host: starts what `shell` decided and tells how it ended.

use std::hash::{BuildHasher, RandomState};

use crate::shell::{Invocation, Place, Script, Shell, killed_by};
use oxide::ci::{
    environment::{self, Command, Environment, Exit, Kind},
    types::Error,
    workspace::{self, Directory},
};

wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "oxide:run/run", generate_all });

struct Run;

export!(Run);

impl Guest for Run {
    fn run(inputs: Inputs) -> Result<(), Failure> {
        let shell = Shell::parse(inputs.shell.as_deref()).map_err(Failure::InvalidInput)?;
        if inputs.script.contains('\0') {
            return Err(Failure::InvalidInput(
                "`script` holds a NUL character, which no command can be given".to_owned(),
            ));
        }
        let environment =
            environment::current().map_err(|error| host_failed("could not use the environment", error))?;
        if !shell.needs_file(&inputs.script) {
            return execute(&environment, &shell, Script::Inline(&inputs.script), &inputs);
        }
        let file = ScriptFile::write(&shell, &inputs.script)?;
        let path = format!("{}/{}", environment.workspace_path(), file.path);
        let ended = execute(&environment, &shell, Script::File(&path), &inputs);
        file.remove();
        ended
    }
}

/// Runs the first of the shell's programs that the environment has. Tells a missing program from the answer to `spawn`
/// or, where it is known no earlier, `wait`, so that no call is spent on looking first.
fn execute(environment: &Environment, shell: &Shell, script: Script<'_>, inputs: &Inputs) -> Result<(), Failure> {
    let place = if environment.kind() == Kind::Host { Place::Host } else { Place::Elsewhere };
    let mut missing = Vec::new();
    for invocation in shell.invocations(script, place) {
        let process = match prepare(environment, &invocation, inputs)?.spawn() {
            Ok(process) => process,
            // A file that is no program, or may not be executed: the shell knows what to do, or says it.
            Err(_) if invocation.is_direct => continue,
            Err(Error::NotFound(text)) => {
                missing.push((invocation.program, text));
                continue;
            }
            Err(error) => return Err(host_failed(&format!("could not start `{}`", invocation.program), error)),
        };
        return match process.wait() {
            Ok(Exit::Code(0)) => Ok(()),
            Ok(Exit::Code(code)) => Err(Failure::ExitCode(code)),
            Ok(Exit::Signalled(signal)) => Err(Failure::Other(killed_by(signal))),
            Err(Error::NotFound(text)) => {
                missing.push((invocation.program, text));
                continue;
            }
            Err(error) => Err(host_failed("could not wait for the script", error)),
        };
    }
    // The working directory may be what is missing, not the program.
    if let Some(directory) = &inputs.working_directory {
        let is_there = |program: &str| matches!(environment.find_program(program), Ok(Some(_)));
        if let Some((_, text)) = missing.iter().find(|(program, _)| is_there(program)) {
            return Err(Failure::InvalidInput(format!("`working-directory: {directory}` cannot be used: {text}")));
        }
    }
    Err(Failure::Other(shell.missing()))
}

fn prepare(environment: &Environment, invocation: &Invocation, inputs: &Inputs) -> Result<Command, Failure> {
    let command = environment.command(&invocation.program);
    for arg in &invocation.args {
        command.arg(arg);
    }
    if invocation.is_direct {
        // What a shell would have set.
        let below = inputs.working_directory.as_deref().filter(|path| *path != ".");
        let path = below.map_or(String::new(), |path| format!("/{}", path.trim_start_matches("./")));
        let _ = command.env("PWD", &format!("{}{path}", environment.workspace_path()));
    }
    if let Some(path) = &inputs.working_directory {
        command.working_directory(path).map_err(|error| {
            Failure::InvalidInput(format!("`working-directory: {path}` cannot be used: {}", text_of(error)))
        })?;
    }
    Ok(command)
}

/// A script in a file of the workspace, for shells that want one and scripts too long for an argument.
struct ScriptFile {
    root: Directory,
    path: String,
}

impl ScriptFile {
    fn write(shell: &Shell, script: &str) -> Result<ScriptFile, Failure> {
        let root = workspace::root().map_err(|error| host_failed("could not open the workspace", error))?;
        // Steps of a parallel group share the workspace, so the name must be new.
        let path = format!(".oxide/run-{:016x}.{}", RandomState::new().hash_one(script), shell.file_ending());
        root.write(&path, script.as_bytes())
            .map_err(|error| host_failed(&format!("could not write the script to `{path}`"), error))?;
        Ok(ScriptFile { root, path })
    }

    /// A script that cannot be removed fails nothing: the workspace goes with the job.
    fn remove(self) {
        if let Err(error) = self.root.remove(&self.path) {
            eprintln!("could not remove `{}`: {}", self.path, text_of(error));
        }
    }
}

fn host_failed(what: &str, error: Error) -> Failure {
    Failure::Other(format!("{what}: {}", text_of(error)))
}

fn text_of(error: Error) -> String {
    match error {
        Error::NotFound(text)
        | Error::Denied(text)
        | Error::Invalid(text)
        | Error::Limit(text)
        | Error::Other(text) => text,
    }
}

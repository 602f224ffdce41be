//! Commands that are not run: each is expected once, in the order of the script.

use std::{path::PathBuf, sync::Arc};

use oxide_core::protocol::LogStream;
use oxide_runtime::environment::{
    Bytes, CommandSpec, Environment, EnvironmentError, EnvironmentKind, Exit, LogSink, OutputTo, Process, Signal,
    async_trait,
};

use super::{Problems, Script, command_line};
use crate::plugin_case::{
    case::{EnvironmentScript, ScriptedCommand},
    content::write_files,
    difference,
};

/// The workspace as commands would see it.
const WORKSPACE: &str = "/workspace";
/// Where programs are found.
const PROGRAMS: &str = "/usr/bin/";

/// An environment that answers as a script says.
pub struct ScriptedEnvironment {
    programs: Vec<String>,
    commands: Script<ScriptedCommand>,
    workspace: PathBuf,
    problems: Problems,
}

impl ScriptedEnvironment {
    /// For a workspace, into which commands write.
    pub fn new(script: EnvironmentScript, workspace: PathBuf, problems: Problems) -> Self {
        let mut programs = script.programs;
        programs.extend(script.commands.iter().map(|command| command.run[0].clone()));
        ScriptedEnvironment { programs, commands: Script::new(script.commands), workspace, problems }
    }

    /// Notes the commands that were not run.
    pub fn finish(&self) {
        for command in self.commands.left() {
            self.problems.add(format!("`{}` was not run", command_line(&command.run)), Some(command.span), Vec::new());
        }
    }
}

/// What a command lacks to be the one that is expected: a sentence, and lines with the difference.
fn mismatch(expected: &ScriptedCommand, spec: &CommandSpec) -> Option<(String, Vec<String>)> {
    let words = words(spec);
    if words != expected.run {
        let message = format!("`{}` was run, and the script expects another command", command_line(&words));
        return Some((message, difference::lines(&argument_lines(&expected.run), &argument_lines(&words))));
    }
    let shown = command_line(&words);
    for (name, value) in &expected.env {
        let found = spec.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value);
        if found != Some(value) {
            let got = found.map_or("(not set)".to_owned(), Clone::clone);
            return Some((format!("the variable `{name}` of `{shown}` is another"), difference::lines(value, &got)));
        }
    }
    if let Some(stdin) = expected.stdin.as_ref().filter(|stdin| stdin.bytes != spec.stdin) {
        let message = format!("the standard input of `{shown}` is another");
        return Some((message, difference::bytes(&stdin.bytes, &spec.stdin)));
    }
    let directory = spec.working_directory.display().to_string();
    if let Some(wanted) = expected.directory.as_ref().filter(|wanted| trimmed(wanted) != trimmed(&directory)) {
        let message = format!("the working directory of `{shown}` is another");
        return Some((message, difference::lines(trimmed(wanted), trimmed(&directory))));
    }
    None
}

/// Program and arguments; a program that was looked up has its name again.
fn words(spec: &CommandSpec) -> Vec<String> {
    let program = spec.program.strip_prefix(PROGRAMS).unwrap_or(&spec.program).to_owned();
    [program].into_iter().chain(spec.args.iter().cloned()).collect()
}

fn argument_lines(words: &[String]) -> String {
    words.iter().map(|word| format!("{}\n", word.replace('\n', "\\n"))).collect()
}

fn trimmed(directory: &str) -> &str {
    match directory.trim_start_matches("./").trim_end_matches('/') {
        "" => ".",
        directory => directory,
    }
}

#[async_trait]
impl Environment for ScriptedEnvironment {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Host
    }

    fn workspace_path(&self) -> String {
        WORKSPACE.to_owned()
    }

    async fn find_program(&self, name: &str) -> Result<Option<String>, EnvironmentError> {
        let known = self.programs.iter().any(|program| program == name);
        Ok(known.then(|| if name.contains('/') { name.to_owned() } else { format!("{PROGRAMS}{name}") }))
    }

    async fn spawn(&self, spec: CommandSpec, log: Arc<dyn LogSink>) -> Result<Box<dyn Process>, EnvironmentError> {
        let answer = self.commands.next(|expected| match mismatch(expected, &spec) {
            None => (true, Ok(expected.clone())),
            Some(mismatch) => (false, Err((mismatch, expected.span))),
        });
        let command = match answer {
            Some(Ok(command)) => command,
            Some(Err(((message, details), span))) => {
                self.problems.add(message.clone(), Some(span), details);
                return Err(EnvironmentError::Other(format!("the case expects another command: {message}")));
            }
            None => {
                let shown = command_line(&words(&spec));
                let expected = match self.commands.items().len() {
                    0 => "the case has no `environment.commands`".to_owned(),
                    count => format!("all {count} commands of the case were run before"),
                };
                self.problems.add(format!("`{shown}` was run, and {expected}"), None, Vec::new());
                return Err(EnvironmentError::Other(format!("the case does not expect `{shown}`: {expected}")));
            }
        };
        write_files(&command.writes, &self.workspace).map_err(EnvironmentError::Other)?;
        let mut pipes = [Bytes::new(), Bytes::new()];
        let outputs = [
            (LogStream::Stdout, spec.stdout, Bytes::from(command.stdout)),
            (LogStream::Stderr, spec.stderr, Bytes::from(command.stderr)),
        ];
        for (index, (stream, to, bytes)) in outputs.into_iter().enumerate() {
            match to {
                OutputTo::Log if bytes.is_empty() => {}
                // A log that is full ends the step by itself.
                OutputTo::Log => drop(log.write(stream, bytes).await),
                OutputTo::Piped => pipes[index] = bytes,
                OutputTo::Discarded => {}
            }
        }
        Ok(Box::new(ScriptedProcess { pipes, exit: command.exit, has_ended: false }))
    }
}

struct ScriptedProcess {
    pipes: [Bytes; 2],
    exit: Exit,
    has_ended: bool,
}

#[async_trait]
impl Process for ScriptedProcess {
    async fn wait(&mut self) -> Result<Exit, EnvironmentError> {
        self.has_ended = true;
        Ok(self.exit)
    }

    /// A process that nobody has waited for yet ends by the signal.
    async fn signal(&mut self, signal: Signal) -> Result<(), EnvironmentError> {
        if !self.has_ended {
            self.exit = Exit::Signalled(match signal {
                Signal::Hangup => 1,
                Signal::Interrupt => 2,
                Signal::Kill => 9,
                Signal::Terminate => 15,
            });
        }
        Ok(())
    }

    async fn read(&mut self, stream: LogStream, length: usize) -> Result<Bytes, EnvironmentError> {
        let pipe = &mut self.pipes[usize::from(stream == LogStream::Stderr)];
        let length = length.min(pipe.len());
        Ok(pipe.split_to(length))
    }
}

//! Commands that run where the job runs them: in its container, or on the host.
//!
//! [`Command`] is built like that of the standard library. What it prints goes to the log of the step unless it is asked for.
//!
//! ```no_run
//! # use oxide_plugin::{Command, Failure};
//! # fn run() -> Result<(), Failure> {
//! Command::new("make").arg("all").env("CC", "clang").run()?;                 // fails with make's exit code
//! let tag = Command::new("git").args(["describe", "--tags"]).text()?;        // what it printed
//! let exit = Command::new("cmp").args(["a", "b"]).status()?;                 // looks at the exit code itself
//! # Ok(())
//! # }
//! ```

use std::io::{self, Read};

use crate::{
    Error, Failure,
    bindings::oxide::ci::environment::{self, Process},
};

pub use crate::bindings::oxide::ci::environment::{Exit, Kind, OutputTo, Signal};

/// At most so many bytes are asked for at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// A command that is being built. Nothing runs before [`run`](Command::run), [`text`](Command::text),
/// [`status`](Command::status), [`output`](Command::output) or [`spawn`](Command::spawn), and each of them runs it anew.
#[must_use = "nothing runs before `run`, `text`, `status`, `output` or `spawn`"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    directory: Option<String>,
    stdin: Vec<u8>,
    stdout: OutputTo,
    stderr: OutputTo,
}

impl Command {
    /// Runs this program: a name on the search path, or an absolute path. No shell is involved.
    pub fn new(program: impl Into<String>) -> Command {
        Command {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            directory: None,
            stdin: Vec::new(),
            stdout: OutputTo::Log,
            stderr: OutputTo::Log,
        }
    }

    /// Adds an argument. Placeholders of secrets are refused here: command lines are no secret.
    pub fn arg(mut self, arg: impl Into<String>) -> Command {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Command {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable. That of the step (`env:`) is already set. Placeholders of secrets become the values.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Command {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Where to run it, relative to the workspace. The default is the top of the workspace.
    pub fn current_dir(mut self, path: impl Into<String>) -> Command {
        self.directory = Some(path.into());
        self
    }

    /// Its standard input. The default is an empty one. Placeholders of secrets become the values.
    pub fn stdin(mut self, contents: impl Into<Vec<u8>>) -> Command {
        self.stdin = contents.into();
        self
    }

    /// Where its standard output goes. The default is the log.
    pub fn stdout(mut self, to: OutputTo) -> Command {
        self.stdout = to;
        self
    }

    /// Where its standard error goes. The default is the log.
    pub fn stderr(mut self, to: OutputTo) -> Command {
        self.stderr = to;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`Failure::ExitCode`] if it ends with another exit code than 0.
    pub fn run(&self) -> Result<(), Failure> {
        self.status()?.check(&self.program)
    }

    /// Runs it to its end and gives what it printed to its standard output. What is not UTF-8 is replaced.
    ///
    /// # Errors
    /// [`Failure::ExitCode`] if it ends with another exit code than 0.
    pub fn text(&self) -> Result<String, Failure> {
        let Output { exit, stdout } = self.output()?;
        exit.check(&self.program)?;
        Ok(into_text(stdout))
    }

    /// Runs it to its end and tells how it ended.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such program.
    pub fn status(&self) -> Result<Exit, Error> {
        self.spawn()?.wait()
    }

    /// Runs it to its end, tells how it ended, and gives what it printed to its standard output. For more than what fits
    /// into memory, read from [`spawn`](Command::spawn) bit by bit.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such program.
    pub fn output(&self) -> Result<Output, Error> {
        let mut child = self.spawn_with(OutputTo::Piped, self.stderr)?;
        let mut stdout = Vec::new();
        while child.read_some(Pipe::Stdout, READ_BYTES_MAX, |bytes| stdout.extend_from_slice(bytes))? > 0 {}
        Ok(Output { exit: child.wait()?, stdout })
    }

    /// Starts it. Read what is [`OutputTo::Piped`] to its end: a process that nobody listens to waits.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such program; some environments tell it only from [`Child::wait`].
    pub fn spawn(&self) -> Result<Child, Error> {
        self.spawn_with(self.stdout, self.stderr)
    }

    fn spawn_with(&self, stdout: OutputTo, stderr: OutputTo) -> Result<Child, Error> {
        let command = environment::current()?.command(&self.program);
        for arg in &self.args {
            command.arg(arg);
        }
        for (name, value) in &self.env {
            command.env(name, value)?;
        }
        if let Some(path) = &self.directory {
            command.working_directory(path)?;
        }
        if !self.stdin.is_empty() {
            command.stdin(&self.stdin);
        }
        command.stdout(stdout);
        command.stderr(stderr);
        Ok(Child(command.spawn()?))
    }
}

/// How a command ended, and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it printed to its standard output.
    pub stdout: Vec<u8>,
}

/// A process that runs, or has ended. It ends at the latest when this is dropped.
#[derive(Debug)]
pub struct Child(Process);

#[derive(Clone, Copy)]
enum Pipe {
    Stdout,
    Stderr,
}

impl Child {
    /// What it prints to its standard output, where that is [`OutputTo::Piped`].
    pub fn stdout(&mut self) -> impl Read {
        PipeReader { child: self, pipe: Pipe::Stdout }
    }

    /// What it prints to its standard error, where that is [`OutputTo::Piped`]. A process that fills one pipe while the
    /// other one is read waits for ever: pipe one of the two.
    pub fn stderr(&mut self) -> impl Read {
        PipeReader { child: self, pipe: Pipe::Stderr }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there was no such program and the environment knows it only now.
    pub fn wait(&mut self) -> Result<Exit, Error> {
        self.0.wait()
    }

    /// Sends a signal to it and to what it started.
    ///
    /// # Errors
    /// Where the host could not send it.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.0.signal(signal)
    }

    /// Gives the next bytes of a pipe away and tells how many there were: none at its end.
    fn read_some(&mut self, pipe: Pipe, length_max: usize, mut take: impl FnMut(&[u8])) -> Result<usize, Error> {
        let length = length_max.min(READ_BYTES_MAX) as u32;
        let bytes = match pipe {
            Pipe::Stdout => self.0.read_stdout(length)?,
            Pipe::Stderr => self.0.read_stderr(length)?,
        };
        take(&bytes);
        Ok(bytes.len())
    }
}

struct PipeReader<'a> {
    child: &'a mut Child,
    pipe: Pipe,
}

impl Read for PipeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.child.read_some(self.pipe, buffer.len(), |bytes| buffer[..bytes.len()].copy_from_slice(bytes));
        read.map_err(|error| io::Error::other(error.text()))
    }
}

impl Exit {
    /// Did it end by itself with exit code 0?
    pub fn success(self) -> bool {
        self == Exit::Code(0)
    }

    /// The exit code; none if a signal ended it.
    pub fn code(self) -> Option<i32> {
        match self {
            Exit::Code(code) => Some(code),
            Exit::Signalled(_) => None,
        }
    }

    /// Makes a failure of everything but exit code 0.
    ///
    /// # Errors
    /// [`Failure::ExitCode`], or a text that names the program and the signal.
    pub fn check(self, program: &str) -> Result<(), Failure> {
        match self {
            Exit::Code(0) => Ok(()),
            Exit::Code(code) => Err(Failure::ExitCode(code)),
            Exit::Signalled(signal) => Err(Failure::Other(format!("`{program}` was killed by signal {signal}"))),
        }
    }
}

/// What kind of place commands run in.
///
/// # Errors
/// Where the job has none.
pub fn kind() -> Result<Kind, Error> {
    Ok(environment::current()?.kind())
}

/// The path of the workspace as commands see it.
///
/// # Errors
/// Where the job has no place for commands.
pub fn workspace_path() -> Result<String, Error> {
    Ok(environment::current()?.workspace_path())
}

/// Looks a program up on the search path; none if it is not there.
///
/// # Errors
/// Where it could not be looked for.
pub fn find_program(name: &str) -> Result<Option<String>, Error> {
    environment::current()?.find_program(name)
}

/// Text without a copy where the bytes are UTF-8.
pub(crate) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_built_as_that_of_the_standard_library() {
        let built = Command::new("git").arg("log").args(["-n", "1"]).env("A", "b").current_dir("sub").stdin("x");
        assert_eq!(
            built,
            Command {
                program: "git".into(),
                args: vec!["log".into(), "-n".into(), "1".into()],
                env: vec![("A".into(), "b".into())],
                directory: Some("sub".into()),
                stdin: b"x".to_vec(),
                stdout: OutputTo::Log,
                stderr: OutputTo::Log,
            }
        );
    }

    #[test]
    fn an_end_is_a_failure_unless_it_is_exit_code_0() {
        assert_eq!(Exit::Code(0).check("git"), Ok(()));
        assert_eq!(Exit::Code(128).check("git"), Err(Failure::ExitCode(128)));
        assert_eq!(Exit::Signalled(9).check("git"), Err(Failure::other("`git` was killed by signal 9")));
        assert!(Exit::Code(0).success() && !Exit::Code(1).success() && !Exit::Signalled(0).success());
        assert_eq!((Exit::Code(3).code(), Exit::Signalled(3).code()), (Some(3), None));
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(into_text(b"a\xffb\xe2\x82".to_vec()), "a\u{fffd}b\u{fffd}");
        assert_eq!(into_text("größe".into()), "größe");
    }
}

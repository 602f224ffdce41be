//! Passwords: from a variable, else asked for on the terminal without showing what is typed.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::failure::Failure;

/// A longer line is no password.
const BYTES_MAX: usize = 1024;

/// The password of the first of these variables that is set, even to nothing; else it is asked for, twice if it is new.
pub fn find(variables: &[&str], what: &str, is_new: bool) -> Result<String, Failure> {
    for variable in variables {
        if let Some(value) = std::env::var_os(variable) {
            return value.into_string().map_err(|_| Failure::usage(format!("{variable} is no UTF-8 text")));
        }
    }
    let asked = ask(&format!("{what}: ")).map_err(|error| {
        let first = variables.first().copied().unwrap_or_default();
        Failure::usage(format!("there is no terminal to ask for the {what}"))
            .because(&error)
            .hint(format!("set {first} (to nothing, for an empty password)"))
    })?;
    if is_new
        && ask("the same again: ").map_err(|error| Failure::trouble("could not read it").because(&error))? != asked
    {
        return Err(Failure::usage("the two are different"));
    }
    Ok(asked)
}

fn ask(prompt: &str) -> std::io::Result<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    write!(terminal, "{prompt}")?;
    let silence = Silence::of(&terminal)?;
    let mut line = String::new();
    let read = BufReader::new(&terminal).read_line(&mut line);
    drop(silence);
    writeln!(terminal)?;
    read?;
    let line = line.trim_end_matches(['\n', '\r']);
    match line.len() <= BYTES_MAX {
        true => Ok(line.to_owned()),
        false => Err(std::io::Error::other(format!("it has more than {BYTES_MAX} bytes"))),
    }
}

/// Keeps a terminal from showing what is typed until it is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn of(terminal: &'a File) -> std::io::Result<Silence<'a>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Silence { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        tcsetattr(self.terminal, OptionalActions::Now, &self.before).ok();
    }
}

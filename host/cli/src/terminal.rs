//! What the terminal can do: colour and redrawing only where a person looks.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

use oxide_core::diagnostic::steers_terminals;

use crate::failure::Failure;

/// One of the standard outputs.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// A person looks at it: lines may be redrawn.
    pub interactive: bool,
    /// Colour may be used.
    pub colour: bool,
    /// How many columns it has.
    pub columns: usize,
}

impl Terminal {
    /// The standard output.
    pub fn stdout() -> Terminal {
        Terminal::of(stdout().is_terminal())
    }

    /// The standard error.
    pub fn stderr() -> Terminal {
        Terminal::of(stderr().is_terminal())
    }

    /// `NO_COLOR` and `TERM=dumb` are respected, as are forced colours for pictures and logs with `CLICOLOR_FORCE`.
    fn of(is_terminal: bool) -> Terminal {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let interactive = is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let columns = rustix::termios::tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_col));
        Terminal {
            interactive,
            colour: !is_set("NO_COLOR") && (interactive || forced),
            columns: if columns == 0 { 100 } else { columns },
        }
    }
}

/// Colours for text, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Use colour.
    pub colour: bool,
}

impl Paint {
    /// Failures.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// Successes.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Warnings.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What runs, and hints.
    pub fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Writes text to the standard output. A reader that went away (`| head`) is no failure: nobody is left to be told.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::unwritable(&error)),
        _ => Ok(()),
    }
}

/// The same on one line: what a stranger wrote makes no lines of its own.
pub fn on_one_line(text: &str) -> String {
    without_controls(text).replace('\n', " ")
}

/// Makes text that a guest or a command wrote safe to show outside of its log: nothing that steers a terminal.
pub fn without_controls(text: &str) -> String {
    text.chars()
        .map(|character| if steers_terminals(character) && character != '\n' { ' ' } else { character })
        .collect()
}

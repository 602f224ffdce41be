//! The log of a step as text, read from the store page by page.

use std::{borrow::Cow, io::Write};

use oxide_core::{
    diagnostic::steers_terminals,
    id::{AttemptId, StepIndex},
    protocol::LogStream,
    time::Timestamp,
};
use oxide_store::{LogLine, Store};

use crate::{failure::Failure, terminal::Paint};

/// How many lines are read at once: a log of any length is shown with little memory.
const PAGE: usize = 5_000;

/// How the lines of a log are written.
#[derive(Clone, Copy, Debug)]
pub struct LogText<'a> {
    /// Stands before each line.
    pub indent: &'a str,
    /// Colour for lines of the host and of standard error; none for a plain copy.
    pub paint: Paint,
    /// Put the time before each line.
    pub times: bool,
    /// Write the bytes of the steps as they are: for programs. Else what steers a terminal is left out.
    pub as_it_is: bool,
}

impl LogText<'_> {
    /// Writes the whole log of a step, from its first line on.
    pub async fn write(
        &self,
        store: &Store,
        attempt: AttemptId,
        step: StepIndex,
        out: &mut (dyn Write + Send),
    ) -> Result<(), Failure> {
        let mut next = Some(1);
        while let Some(from) = next {
            let page = store
                .log_page(attempt, step, from, PAGE)
                .await
                .map_err(|error| Failure::trouble("could not read the log").because(&error))?;
            for line in &page.lines {
                self.write_line(line, out).map_err(|error| Failure::unwritable(&error))?;
            }
            next = page.next;
        }
        Ok(())
    }

    fn write_line(&self, line: &LogLine, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
        self.write_text(line.at, line.stream, &line.text, out)
    }

    /// Writes one line.
    pub fn write_text(
        &self,
        at: Timestamp,
        stream: LogStream,
        text: &[u8],
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let shown: Cow<'_, [u8]> = match self.as_it_is {
            true => Cow::Borrowed(text),
            false => Cow::Owned(without_cursor_moves(&String::from_utf8_lossy(text)).into_bytes()),
        };
        write!(out, "{}", self.indent)?;
        if self.times {
            write!(out, "{}", self.paint.dim(&format!("{} ", at.to_rfc3339())))?;
        }
        match stream {
            LogStream::Host => out.write_all(self.paint.cyan(&String::from_utf8_lossy(&shown)).as_bytes())?,
            LogStream::Stdout | LogStream::Stderr => out.write_all(&shown)?,
        }
        writeln!(out)
    }
}

/// The line with its colours, but without what moves the cursor, erases, or speaks to the terminal: a command could draw over
/// what stands there, or write to the clipboard.
fn without_cursor_moves(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(|character: char| steers_terminals(character) && character != '\t') {
        out.push_str(&rest[..at]);
        let end = end_of_control(&rest[at..]);
        let control = &rest[at..at + end];
        if control.starts_with("\x1b[") && control.ends_with('m') {
            out.push_str(control);
        }
        rest = &rest[at + end..];
    }
    out.push_str(rest);
    out
}

/// How many bytes the control sequence takes that the text begins with (ECMA-48: CSI, and strings such as OSC).
fn end_of_control(text: &str) -> usize {
    let is_final = |character: char| ('@'..='~').contains(&character);
    if let Some(parameters) = text.strip_prefix("\x1b[") {
        return parameters.find(is_final).map_or(text.len(), |at| at + 3);
    }
    if text.starts_with("\x1b]") || text.starts_with("\x1bP") || text.starts_with("\x1b_") || text.starts_with("\x1b^")
    {
        let bell = text.find('\x07').map(|at| at + 1);
        let terminator = text.find("\x1b\\").map(|at| at + 2);
        return bell.into_iter().chain(terminator).min().unwrap_or(text.len());
    }
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::without_cursor_moves;

    #[test]
    fn colours_stay_and_what_draws_elsewhere_goes() {
        let cases = [
            ("plain\ttext ✓", "plain\ttext ✓"),
            ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
            ("a\x1b[1A\x1b[2Kb", "ab"),
            ("a\x1b]52;c;aGk=\x07b", "ab"),
            ("a\x1b]0;title\x1b\\b", "ab"),
            ("10%\r20%\x08", "10%20%"),
            ("cut\x1b[", "cut"),
            ("\x1bc", "c"),
            ("if \u{2066}admin\u{2069}\u{202e} {", "if admin {"),
        ];
        for (line, shown) in cases {
            assert_eq!(without_cursor_moves(line), shown, "{line:?}");
        }
    }
}

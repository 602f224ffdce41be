//! The log of a step as text, read from the store page by page.

use std::io::Write;

use oxide_core::{
    id::{AttemptId, StepIndex},
    protocol::LogStream,
};
use oxide_store::Store;

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
                let text = String::from_utf8_lossy(&line.text);
                let text = text.trim_end_matches(['\n', '\r']);
                // A copy without indentation is for programs: it is what the step wrote.
                let text = if self.indent.is_empty() { text.to_owned() } else { without_cursor_moves(text) };
                let time = if self.times { format!("{} ", line.at.to_rfc3339()) } else { String::new() };
                let text = match line.stream {
                    LogStream::Host => self.paint.cyan(&text),
                    LogStream::Stdout | LogStream::Stderr => text,
                };
                writeln!(out, "{}{}{text}", self.indent, self.paint.dim(&time))
                    .map_err(|error| Failure::unwritable(&error))?;
            }
            next = page.next;
        }
        Ok(())
    }
}

/// The line with its colours, but without what moves the cursor, erases, or speaks to the terminal: a command could draw over
/// what stands there, or write to the clipboard.
fn without_cursor_moves(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(|character: char| character.is_control() && character != '\t') {
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
        ];
        for (line, shown) in cases {
            assert_eq!(without_cursor_moves(line), shown, "{line:?}");
        }
    }
}

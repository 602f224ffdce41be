//! The lower edge of the terminal: what runs at this moment, redrawn in place.

use std::io::{Write, stdout};

use crate::terminal::Terminal;

/// How many running steps are drawn at most.
const ROWS_MAX: usize = 8;

/// A region of lines below everything that was printed for good. On anything but a terminal it draws nothing.
pub struct Live {
    terminal: Terminal,
    rows: usize,
}

impl Live {
    /// An empty region.
    pub fn new(terminal: Terminal) -> Live {
        Live { terminal, rows: 0 }
    }

    /// Takes the region away, so that lines can be printed for good.
    pub fn clear(&mut self) {
        if self.rows > 0 {
            let mut out = stdout().lock();
            let _ = write!(out, "\x1b[{}A\x1b[J", self.rows);
            let _ = out.flush();
            self.rows = 0;
        }
    }

    /// Draws the region anew.
    pub fn redraw(&mut self, lines: &[String]) {
        if !self.terminal.interactive {
            return;
        }
        self.clear();
        let mut out = stdout().lock();
        for line in lines.iter().take(ROWS_MAX) {
            let _ = writeln!(out, "{}", cut(line, self.terminal.columns.saturating_sub(1)));
        }
        let hidden = lines.len().saturating_sub(ROWS_MAX);
        if hidden > 0 {
            let _ = writeln!(out, "  and {hidden} more");
        }
        let _ = out.flush();
        self.rows = lines.len().min(ROWS_MAX) + usize::from(hidden > 0);
    }
}

/// The first columns of a line; escape sequences have no width and are kept whole.
fn cut(line: &str, columns: usize) -> String {
    let (mut out, mut width, mut in_escape) = (String::new(), 0, false);
    for character in line.chars() {
        if in_escape || character == '\x1b' {
            in_escape = character != 'm';
            out.push(character);
            continue;
        }
        width += unicode_width::UnicodeWidthChar::width(character).unwrap_or(0);
        if width <= columns {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_line_is_cut_by_its_width_and_keeps_its_colours() {
        assert_eq!(cut("abcdef", 3), "abc");
        assert_eq!(cut("\x1b[31mabcdef\x1b[0m", 3), "\x1b[31mabc\x1b[0m");
        assert_eq!(cut("日本語", 4), "日本");
    }
}

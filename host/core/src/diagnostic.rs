//! Errors in a pipeline, shown as a compiler shows them: what is wrong, where, and what to write instead.
//!
//! Whoever reads user text collects [`Diagnostic`]s and goes on, so that one look at the screen shows every mistake.

use std::{error::Error, fmt};

use unicode_width::UnicodeWidthChar;

use crate::yaml::Span;

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, without a heading and without a final full stop.
    pub message: String,
    /// Where; none if it is about the whole file.
    pub span: Option<Span>,
    /// A few words beside the caret.
    pub label: Option<String>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake that is about the whole file.
    pub fn new(message: impl Into<String>) -> Self {
        Diagnostic { message: message.into(), span: None, label: None, hint: None }
    }

    /// A mistake at a place. A span of line 0, which is of no file, is no place.
    pub fn at(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { span: (span.line > 0).then_some(span), ..Diagnostic::new(message) }
    }

    /// The same with words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with `did you mean …?` if one of the candidates is close to what was written.
    pub fn did_you_mean<'a>(self, written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(written, candidates) {
            Some(candidate) => self.hint(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }

    fn render(&self, out: &mut String, file: &str, lines: &[&str], paint: Paint) {
        out.push_str(&paint.error("error"));
        out.push_str(&paint.strong(&format!(": {}", printable(&self.message))));
        out.push('\n');
        let gutter = self.span.map_or(1, |span| span.line.to_string().len());
        let space = " ".repeat(gutter);
        match self.span {
            None => out.push_str(&format!("{space}{} {}\n", paint.frame("-->"), printable(file))),
            Some(span) => {
                let place = format!("{}:{}:{}", printable(file), span.line, span.column);
                out.push_str(&format!("{space}{} {place}\n", paint.frame("-->")));
                if let Some(line) = (span.line as usize).checked_sub(1).and_then(|index| lines.get(index)) {
                    let excerpt = Excerpt::of(line, span);
                    let label = self.label.as_deref().map(|label| format!(" {}", printable(label))).unwrap_or_default();
                    let carets = format!("{}{label}", "^".repeat(excerpt.caret_width));
                    let bar = paint.frame("|");
                    out.push_str(&format!("{space} {bar}\n"));
                    out.push_str(&format!("{} {bar} {}\n", paint.frame(&span.line.to_string()), excerpt.text));
                    let indent = " ".repeat(excerpt.caret_column);
                    out.push_str(&format!("{space} {bar} {indent}{}\n", paint.error(&carets)));
                }
            }
        }
        if let Some(hint) = &self.hint {
            let hint = printable(hint).replace('\n', &format!("\n{space}         "));
            out.push_str(&format!("{space} {} {hint}\n", paint.frame("= help:")));
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = self.span {
            write!(f, "{}:{}: ", span.line, span.column)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl Error for Diagnostic {}

/// All mistakes that were found, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Were none found?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same in the order of the file, each once; those about the whole file come first.
    pub fn sorted(mut self) -> Self {
        self.0.sort_by_key(|diagnostic| diagnostic.span.map_or((0, 0), |span| (span.line, span.column)));
        self.0.dedup();
        self
    }

    /// All of them as a compiler would show them, with a line break after the last. `file` is the name that the user
    /// knows, `source` the text that was parsed.
    pub fn render(&self, file: &str, source: &str, colour: bool) -> String {
        let lines: Vec<&str> = source.lines().collect();
        let mut out = String::new();
        for (index, diagnostic) in self.0.iter().take(MAX_SHOWN).enumerate() {
            if index > 0 {
                out.push('\n');
            }
            diagnostic.render(&mut out, file, &lines, Paint { colour });
        }
        if self.0.len() > MAX_SHOWN {
            out.push_str(&format!("\n… and {} more errors\n", self.0.len() - MAX_SHOWN));
        }
        out
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for Diagnostics {}

/// The candidate that a person who wrote `written` most likely meant; none if nothing is close.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    // A name that long is no slip of the pen, and the distance would take long to compute.
    if written.len() > 100 {
        return None;
    }
    let wanted = plain(written);
    let allowed = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != written && candidate.len() <= 100)
        .map(|candidate| {
            let known = plain(candidate);
            // A beginning of a name (`bool`), or more than it (`push_event`), is as near as one slip.
            let begins =
                wanted.len() >= 3 && known.len() >= 3 && (known.starts_with(&wanted) || wanted.starts_with(&known));
            (if begins { 1 } else { strsim::damerau_levenshtein(&wanted, &known) }, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many errors are shown.
const MAX_SHOWN: usize = 50;
/// How many columns of a source line are shown.
const EXCERPT_WIDTH: usize = 110;
/// How wide a tab is shown.
const TAB: &str = "    ";

/// The part of a source line that is shown, and where the carets stand below it.
struct Excerpt {
    text: String,
    caret_column: usize,
    caret_width: usize,
}

impl Excerpt {
    fn of(line: &str, span: Span) -> Self {
        let line = line.trim_end_matches(['\r', '\n']);
        let column = span.column.max(1) as usize - 1;
        // A line may have a megabyte: only the part around the place is looked at.
        let skipped = column.saturating_sub(EXCERPT_WIDTH);
        let cells: Vec<(String, usize)> = line.chars().skip(skipped).take(3 * EXCERPT_WIDTH).map(cell).collect();
        let first = (column - skipped).min(cells.len());
        let last = first.saturating_add(span.length.max(1) as usize).min(cells.len());
        let width = |range: &[(String, usize)]| range.iter().map(|(_, width)| width).sum::<usize>();

        // Long lines are shown from a little before the place on.
        let mut from = 0;
        if skipped > 0 || width(&cells) > EXCERPT_WIDTH {
            while width(&cells[from..first]) > EXCERPT_WIDTH / 3 {
                from += 1;
            }
        }
        let mut to = from;
        let mut shown = 0;
        while to < cells.len() && shown + cells[to].1 <= EXCERPT_WIDTH {
            shown += cells[to].1;
            to += 1;
        }
        let mut text = String::new();
        let cut = skipped + from > 0;
        if cut {
            text.push('…');
        }
        cells[from..to].iter().for_each(|(cell, _)| text.push_str(cell));
        if to < cells.len() {
            text.push('…');
        }
        let last = last.clamp(first.min(to), to);
        Excerpt {
            text,
            caret_column: width(&cells[from..first.min(to)]) + usize::from(cut),
            caret_width: width(&cells[first.min(to)..last]).max(1),
        }
    }
}

/// A character as it is shown, with its width in columns.
fn cell(character: char) -> (String, usize) {
    match character {
        '\t' => (TAB.to_owned(), TAB.len()),
        other => match other.width() {
            Some(width) if !steers_terminals(other) => (other.to_string(), width),
            _ => ("\u{fffd}".to_owned(), 1),
        },
    }
}

/// A text of a stranger without characters that steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if steers_terminals(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// May this character draw elsewhere than where it stands? Control characters speak to the terminal; those that turn the
/// direction of writing make a text look like another one.
pub fn steers_terminals(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn error(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn frame(self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: u32, column: u32, length: u32) -> Span {
        Span { line, column, length }
    }

    #[test]
    fn an_error_looks_like_a_compilers() {
        let source = "version: \"1\"\nstages:\n  test:\n    step: []\n";
        let error = Diagnostic::at(span(4, 5, 4), "unknown key `step`").hint("did you mean `steps`?");
        let expected = "\
error: unknown key `step`
 --> oxide.yaml:4:5
  |
4 |     step: []
  |     ^^^^
  = help: did you mean `steps`?
";
        assert_eq!(Diagnostics::from(error).render("oxide.yaml", source, false), expected);
    }

    #[test]
    fn tabs_and_wide_characters_keep_the_caret_in_its_place() {
        let error = Diagnostic::at(span(1, 4, 3), "wrong").label("this");
        let shown = Diagnostics::from(error).render("f", "\t日本abc", false);
        assert!(shown.contains("1 |     日本abc\n  |         ^^^ this\n"), "{shown}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let source = format!("{}BAD{}", "x".repeat(5000), "y".repeat(5000));
        let shown = Diagnostics::from(Diagnostic::at(span(1, 5001, 3), "wrong")).render("f", &source, false);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[3].chars().count() < 130, "{shown}");
        let caret = lines[4].find('^').unwrap();
        let column = lines[3].chars().take(caret).count();
        assert_eq!(lines[3].chars().skip(column).take(3).collect::<String>(), "BAD");
    }

    #[test]
    fn many_errors_in_a_line_of_a_megabyte_are_shown_in_no_time() {
        let start = std::time::Instant::now();
        let errors = (0..1000).map(|n| Diagnostic::at(span(1, n * 1000 + 1, 3), "wrong")).collect();
        let shown = Diagnostics(errors).render("f", &"é".repeat(1 << 20), false);
        assert!(shown.ends_with("… and 950 more errors\n"));
        assert!(start.elapsed().as_secs() < 20);
    }

    #[test]
    fn a_place_beyond_the_source_is_no_reason_to_panic() {
        for place in [span(0, 0, 0), span(9, 9, 9), span(1, 99, u32::MAX), span(u32::MAX, u32::MAX, u32::MAX)] {
            Diagnostics::from(Diagnostic::at(place, "m")).render("f", "short", true);
        }
    }

    #[test]
    fn escape_sequences_of_a_stranger_do_not_reach_the_terminal() {
        let error = Diagnostic::at(span(1, 1, 1), "bad \u{1b}[2J").hint("\u{7}\u{202e}");
        let shown = Diagnostics::from(error).render("f", "a\u{1b}[2J\u{2066}", false);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{2066}']), "{shown}");
    }

    #[test]
    fn colour_is_used_only_when_asked_for() {
        let errors = Diagnostics::from(Diagnostic::at(span(1, 1, 1), "m"));
        assert!(errors.render("f", "x", true).contains("\u{1b}[1;31merror"));
        assert!(!errors.render("f", "x", false).contains('\u{1b}'));
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("step", ["steps", "stages"]), Some("steps"));
        assert_eq!(nearest("dependsOn", ["depends_on", "env"]), Some("depends_on"));
        assert_eq!(nearest("run-on", ["runs_on", "env"]), Some("runs_on"));
        assert_eq!(nearest("zzz", ["steps", "stages"]), None);
    }
}

//! The difference of two texts, line by line and short: what was expected, and what came.

/// So many lines of a difference are shown.
const SHOWN: usize = 40;
/// Lines around a change.
const CONTEXT: usize = 2;
/// A longer line is cut.
const LINE: usize = 160;
/// Texts with more changed lines than this, multiplied, are not aligned.
const CELLS_MAX: usize = 4_000_000;

/// The lines of the difference: `- ` what was expected, `+ ` what came, and a few lines around them. Empty if there is none.
pub fn lines(expected: &str, got: &str) -> Vec<String> {
    if expected == got {
        return Vec::new();
    }
    let (a, b) = (split(expected), split(got));
    let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let end = a[start..].iter().rev().zip(b[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (middle_a, middle_b) = (&a[start..a.len() - end], &b[start..b.len() - end]);
    let mut steps: Vec<Step<'_>> = a[..start].iter().map(|line| Step::Same(line)).collect();
    steps.extend(align(middle_a, middle_b));
    steps.extend(a[a.len() - end..].iter().map(|line| Step::Same(line)));
    shown(&steps)
}

/// The same for bytes: as text if both are, else in words.
pub fn bytes(expected: &[u8], got: &[u8]) -> Vec<String> {
    match (std::str::from_utf8(expected), std::str::from_utf8(got)) {
        (Ok(expected), Ok(got)) => lines(expected, got),
        _ if expected == got => Vec::new(),
        _ => {
            let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
            let near = |bytes: &[u8]| {
                let some: Vec<String> = bytes[at..].iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                if some.is_empty() { "the end".to_owned() } else { some.join(" ") }
            };
            vec![
                format!("- {} bytes, at byte {at}: {}", expected.len(), near(expected)),
                format!("+ {} bytes, at byte {at}: {}", got.len(), near(got)),
            ]
        }
    }
}

/// The lines of a text; a last line without a line break is told apart from one with it.
fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step<'a> {
    Same(&'a str),
    Expected(&'a str),
    Got(&'a str),
}

/// Aligns two lists of lines by their longest common subsequence, or not at all where that would take too long.
fn align<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<Step<'a>> {
    let (rows, columns) = (a.len() + 1, b.len() + 1);
    if rows.saturating_mul(columns) > CELLS_MAX {
        return a.iter().map(|line| Step::Expected(line)).chain(b.iter().map(|line| Step::Got(line))).collect();
    }
    // How long the longest common subsequence from here on is.
    let mut table = vec![0_u32; rows * columns];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i * columns + j] = match a[i] == b[j] {
                true => table[(i + 1) * columns + j + 1] + 1,
                false => table[(i + 1) * columns + j].max(table[i * columns + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut steps = Vec::with_capacity(a.len() + b.len());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            steps.push(Step::Same(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || table[(i + 1) * columns + j] >= table[i * columns + j + 1]) {
            steps.push(Step::Expected(a[i]));
            i += 1;
        } else {
            steps.push(Step::Got(b[j]));
            j += 1;
        }
    }
    steps
}

fn shown(steps: &[Step<'_>]) -> Vec<String> {
    let is_change = |step: &Step<'_>| !matches!(step, Step::Same(_));
    let mut near = vec![false; steps.len()];
    for (at, _) in steps.iter().enumerate().filter(|(_, step)| is_change(step)) {
        near[at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(steps.len())].fill(true);
    }
    // Where many lines differ, the first of both sides are shown.
    let many = |wanted: fn(&Step<'_>) -> bool| steps.iter().filter(|step| wanted(step)).count() > SHOWN / 2;
    let is_wholesale = many(|step| matches!(step, Step::Expected(_))) && many(|step| matches!(step, Step::Got(_)));
    let mut out = Vec::new();
    let (mut expected, mut got, mut hidden, mut gap) = (0, 0, 0, false);
    for (at, step) in steps.iter().enumerate() {
        if !near[at] {
            gap = true;
            continue;
        }
        let is_full = out.len() >= SHOWN
            || (is_wholesale
                && match step {
                    Step::Expected(_) => expected >= SHOWN / 2,
                    Step::Got(_) => got >= SHOWN / 2,
                    Step::Same(_) => false,
                });
        if is_full {
            hidden += usize::from(is_change(step));
            continue;
        }
        if std::mem::take(&mut gap) {
            out.push("  …".to_owned());
        }
        out.push(match step {
            Step::Same(line) => format!("  {}", cut(line, 0)),
            Step::Expected(line) => {
                expected += 1;
                format!("- {}", cut(line, differs_at(line, steps.get(at + 1))))
            }
            Step::Got(line) => {
                got += 1;
                let before = at.checked_sub(1).and_then(|before| steps.get(before));
                format!("+ {}", cut(line, differs_at(line, before)))
            }
        });
    }
    if hidden > 0 {
        out.push(format!("… and {hidden} more lines that differ"));
    }
    out
}

/// At which character a line begins to differ from its neighbour of the other side.
fn differs_at(line: &str, other: Option<&Step<'_>>) -> usize {
    match other {
        Some(Step::Expected(other) | Step::Got(other)) => {
            line.chars().zip(other.chars()).take_while(|(a, b)| a == b).count()
        }
        _ => 0,
    }
}

/// A line for a terminal: control characters are written out, and of a long one the part from before `at` on is shown.
fn cut(line: &str, at: usize) -> String {
    let (text, end) = match line.strip_suffix('\n') {
        Some(text) => (text, ""),
        None => (line, " (no line break)"),
    };
    let length = text.chars().take(at + LINE + 1).count();
    let from = if length > LINE && at > LINE / 2 { at - LINE / 4 } else { 0 };
    let mut shown = String::new();
    if from > 0 {
        shown.push('…');
    }
    for character in text.chars().skip(from).take(LINE) {
        match character.is_control() && character != '\t' {
            true => shown.extend(character.escape_debug()),
            false => shown.push(character),
        }
    }
    if length > from + LINE {
        shown.push('…');
    }
    shown + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_with_a_little_around_it() {
        let many: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let other = many.replace("line 50\n", "line fifty\n");
        assert_eq!(
            lines(&many, &other),
            ["  …", "  line 48", "  line 49", "- line 50", "+ line fifty", "  line 51", "  line 52"]
        );
        assert!(lines(&many, &many).is_empty());
    }

    #[test]
    fn lines_that_moved_in_are_told_from_those_that_stay() {
        assert_eq!(lines("a\nc\n", "a\nb\nc\n"), ["  a", "+ b", "  c"]);
        assert_eq!(lines("a\nb\n", "a\n"), ["  a", "- b"]);
    }

    #[test]
    fn a_missing_line_break_is_a_difference() {
        assert_eq!(lines("a\n", "a"), ["- a", "+ a (no line break)"]);
    }

    #[test]
    fn five_megabytes_that_differ_are_a_screen() {
        let text = |word: &str| (0..200_000).map(|line| format!("{word} {line} and more\n")).collect::<String>();
        let (a, b) = (text("expected"), text("got"));
        let shown = lines(&a, &b);
        assert!(shown.len() <= SHOWN + 2, "{}", shown.len());
        assert!(shown.iter().any(|line| line.starts_with("- ")) && shown.iter().any(|line| line.starts_with("+ ")));
        assert_eq!(shown.last().unwrap(), "… and 399960 more lines that differ");
        let one_line = lines(&"x".repeat(5 << 20), &format!("{}y", "x".repeat(5 << 20)));
        assert!(one_line.iter().all(|line| line.chars().count() < 2 * LINE), "{one_line:?}");
        assert!(one_line[1].contains("xy"), "the place of the difference is shown: {one_line:?}");
    }

    #[test]
    fn bytes_that_are_no_text_are_told_in_words() {
        assert_eq!(bytes(b"\xff\x00a", b"\xff\x01"), ["- 3 bytes, at byte 1: 00 61", "+ 2 bytes, at byte 1: 01"]);
    }
}

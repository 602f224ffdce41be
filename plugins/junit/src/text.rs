//! Makes text of strangers fit to be shown: short enough, without control characters, and never markdown or HTML.

/// The first bytes of a text, not in the middle of a character.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The same, with a sign that something is missing.
pub fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        text.to_owned()
    } else {
        format!("{}…", cut(text, bytes.saturating_sub('…'.len_utf8())))
    }
}

/// Takes away what would move the cursor, colour the terminal or turn the direction of writing. Line breaks and tabs stay.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            // Colours of test programs: `ESC [ 3 1 m`.
            '\x1b' if rest.peek() == Some(&'[') => {
                rest.next();
                while rest.next_if(|next| matches!(next, ' '..='?')).is_some() {}
                rest.next_if(|next| matches!(next, '@'..='~'));
            }
            '\n' | '\t' => cleaned.push(character),
            '\r' => {
                if rest.peek() != Some(&'\n') {
                    cleaned.push('\n');
                }
            }
            _ if character.is_control() || is_invisible(character) => cleaned.push(char::REPLACEMENT_CHARACTER),
            _ => cleaned.push(character),
        }
    }
    cleaned
}

/// Characters that have no width or turn the direction of writing.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text as one line without control characters.
pub fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text as one line of markdown in which nothing is markup.
pub fn escaped(text: &str) -> String {
    let line = one_line(text);
    let mut escaped = String::with_capacity(line.len());
    for (at, character) in line.char_indices() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(character);
            }
            // No link is made of an address.
            ':' if line[at..].starts_with("://") => escaped.push_str("&#58;"),
            '.' if ends_with_www(&line[..at]) => escaped.push_str("&#46;"),
            '@' => escaped.push_str("&#64;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn ends_with_www(text: &str) -> bool {
    text.len().checked_sub(3).and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// A block of markdown that shows a text as it is.
pub fn block(text: &str) -> String {
    let text = clean(text);
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}

/// A time as people read it.
pub fn duration(seconds: f64) -> String {
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round();
    let (minutes, seconds) = ((whole / 60.0).floor(), whole % 60.0);
    format!("{minutes} min {seconds} s")
}

/// `1 test`, `2 tests`.
pub fn counted(number: u32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A number of seconds as reports write it: `0.25`, `1,234.5` with groups, `0,25` of a German machine, `1e-05`. What is no
/// time is none.
pub fn seconds(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches('s');
    if !text.contains(',') {
        return finite(text);
    }
    let is_decimal_comma = !text.contains('.') && text.matches(',').count() == 1;
    finite(&if is_decimal_comma { text.replace(',', ".") } else { text.replace(',', "") })
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
}

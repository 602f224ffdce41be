//! `.dockerignore`: which files of a build context are left out.
//!
//! A line is a pattern for paths from the top of the context on; what lies below a match is matched too; `!` takes back; the
//! last line that matches decides.

use globset::{GlobBuilder, GlobMatcher};

/// The patterns of one `.dockerignore`.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    matcher: GlobMatcher,
    takes_back: bool,
}

impl Ignored {
    /// Reads the text of a `.dockerignore`.
    ///
    /// # Errors
    /// A sentence that names the line that is no pattern.
    pub fn parse(text: &str) -> Result<Ignored, String> {
        let mut rules = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let wrong = |why: &str| format!("line {} of `.dockerignore`, `{line}`, is no pattern: {why}", index + 1);
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (takes_back, pattern) = match line.trim().strip_prefix('!') {
                Some("") => return Err(wrong("nothing stands behind `!`")),
                Some(rest) => (true, rest.trim()),
                None => (false, line.trim()),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() {
                continue;
            }
            let glob =
                GlobBuilder::new(&without_braces(&pattern)).literal_separator(true).backslash_escape(true).build();
            let glob = glob.map_err(|error| wrong(&error.kind().to_string()))?;
            rules.push(Rule { matcher: glob.compile_matcher(), takes_back });
        }
        Ok(Ignored { rules })
    }

    /// Is a path (with `/`, from the top of the context on) left out?
    pub fn leaves_out(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let with_parents: Vec<&str> = ends.map(|end| &path[..end]).collect();
        let decides = self.rules.iter().rfind(|rule| with_parents.iter().any(|path| rule.matcher.is_match(path)));
        decides.is_some_and(|rule| !rule.takes_back)
    }

    /// May something below a directory that is left out be taken back?
    pub fn takes_something_back(&self) -> bool {
        self.rules.iter().any(|rule| rule.takes_back)
    }
}

/// The pattern without `.`, `..` and doubled slashes.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Braces mean nothing in these patterns, but alternatives to the matcher.
fn without_braces(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let (mut in_class, mut escaped) = (false, false);
    for character in pattern.chars() {
        match character {
            '{' | '}' if !in_class && !escaped => text.extend(['[', character, ']']),
            _ => text.push(character),
        }
        in_class = !escaped && (character == '[' || in_class && character != ']');
        escaped = character == '\\' && !escaped;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, left_out: &[&str], kept: &[&str]) {
        let ignored = Ignored::parse(text).unwrap();
        for path in left_out {
            assert!(ignored.leaves_out(path), "{text:?} leaves `{path}` out");
        }
        for path in kept {
            assert!(!ignored.leaves_out(path), "{text:?} keeps `{path}`");
        }
    }

    #[test]
    fn a_pattern_is_meant_from_the_top_on_and_includes_what_lies_below() {
        check("node_modules", &["node_modules", "node_modules/a/b"], &["web/node_modules", "node_modules2"]);
        check("**/node_modules", &["node_modules/a", "web/node_modules/a"], &["web/src"]);
        check("/target/\n", &["target/debug/x"], &["src/target"]);
        check("*.md", &["README.md"], &["docs/README.md"]);
        check("*/*.tmp", &["a/b.tmp"], &["b.tmp", "a/b/c.tmp"]);
        check("docs/**", &["docs/a", "docs/a/b"], &["docs"]);
        check("a?c", &["abc"], &["ac", "a/c"]);
        check("[ab].txt\n[^x]y", &["a.txt", "ay"], &["c.txt", "xy"]);
    }

    #[test]
    fn the_last_line_that_matches_decides() {
        check("*\n!src\nsrc/secret", &["Makefile", "src/secret/key"], &["src", "src/main.c"]);
        check("*.md\n!README.md", &["a.md"], &["README.md"]);
        check("!README.md\n*.md", &["README.md"], &[]);
    }

    #[test]
    fn comments_spaces_and_strange_texts() {
        check("\u{feff}# a\n\n  b  \n #c\n!\t d\n{x,y}", &["b", "#c", "{x,y}"], &["a", "d", "x"]);
        check("./a/../b//c/", &["b/c", "b/c/d"], &["a", "b"]);
        assert!(Ignored::parse("a\n!").unwrap_err().contains("line 2"));
        assert!(Ignored::parse("[a").unwrap_err().contains("line 1"));
        check(".\n/", &[], &["a"]);
    }

    proptest! {
        /// Plain names need no patterns to say what is left out.
        #[test]
        fn plain_lines_do_what_their_words_say(
            lines in prop::collection::vec((any::<bool>(), "[ab](/[ab]){0,2}"), 0..6),
            path in "[ab](/[ab]){0,3}",
        ) {
            let text: String =
                lines.iter().map(|(back, line)| format!("{}{line}\n", if *back { "!" } else { "" })).collect();
            let below = |line: &str| path == line || path.starts_with(&format!("{line}/"));
            let expected = lines.iter().rfind(|(_, line)| below(line)).is_some_and(|(back, _)| !back);
            prop_assert_eq!(Ignored::parse(&text).unwrap().leaves_out(&path), expected);
        }

        /// Whatever stands in the file, reading it ends with patterns or a sentence.
        #[test]
        fn no_text_breaks_it(text in "\\PC*(\n\\PC*){0,3}", path in "[a-z{}\\[\\]\\\\]{1,5}(/[a-z]{1,3}){0,2}") {
            if let Ok(ignored) = Ignored::parse(&text) {
                ignored.leaves_out(&path);
            }
        }
    }
}

//! Reads what `git log` prints, and conventional commits.

/// What is asked of git for each commit: its short id, subject and body, with separators that no message holds.
pub const FORMAT: &str = "%h%x1f%s%x1f%b%x1e";
/// The byte that ends a commit.
pub const END: u8 = 0x1e;
const SEPARATOR: char = '\u{1f}';

/// A commit as git prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// The short id.
    pub id: &'a str,
    /// The first line of the message.
    pub subject: &'a str,
    /// The other lines.
    pub body: &'a str,
}

/// A subject that follows the convention: `kind(scope)!: description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// What it is: `feat`, `fix`, …
    pub kind: &'a str,
    /// The part of the project that it is about.
    pub scope: Option<&'a str>,
    /// Marked with `!`.
    pub is_breaking: bool,
    /// What was done.
    pub description: &'a str,
}

impl<'a> Commit<'a> {
    /// Reads one, without its [`END`]; none for the line break behind the last one.
    pub fn parse(text: &'a str) -> Option<Commit<'a>> {
        let mut parts = text.trim_start_matches('\n').splitn(3, SEPARATOR);
        Some(Commit { id: parts.next()?, subject: parts.next()?, body: parts.next()? })
    }

    /// Was it made by `git merge`?
    pub fn is_merge(&self) -> bool {
        self.subject.starts_with("Merge ")
    }

    /// What a line of the body says about a breaking change.
    pub fn breaking_change(&self) -> Option<&'a str> {
        let text = |line: &'a str| {
            line.strip_prefix("BREAKING CHANGE: ")
                .or_else(|| line.strip_prefix("BREAKING-CHANGE: "))
                .map(str::trim_ascii)
        };
        self.body.lines().find_map(text)
    }
}

impl<'a> Subject<'a> {
    /// Reads one; none if it does not follow the convention.
    pub fn parse(text: &'a str) -> Option<Subject<'a>> {
        let kind_end = text.find(|c: char| !c.is_ascii_alphabetic())?;
        let (kind, rest) = text.split_at(kind_end);
        let (scope, rest) = match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')').map(|(scope, rest)| (Some(scope), rest))?,
            None => (None, rest),
        };
        let (is_breaking, rest) = match rest.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let description = rest.strip_prefix(": ")?.trim_ascii();
        let is_usable = !kind.is_empty() && scope != Some("") && !description.is_empty();
        is_usable.then_some(Subject { kind, scope, is_breaking, description })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_that_follow_the_convention() {
        let subject = |kind, scope, is_breaking, description| Some(Subject { kind, scope, is_breaking, description });
        for (text, expected) in [
            ("feat: a: b", subject("feat", None, false, "a: b")),
            ("Fix(ui/x)!: é", subject("Fix", Some("ui/x"), true, "é")),
            ("chore!: x", subject("chore", None, true, "x")),
        ] {
            assert_eq!(Subject::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn subjects_that_do_not() {
        let none = ["", "feat", "feat:x", "feat: ", ": x", "feat(: x", "feat(): x", "feat (a): x", "fix2: x", "é: x"];
        for text in none {
            assert_eq!(Subject::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_commit_has_three_parts() {
        let commit = Commit::parse("\n1a\u{1f}feat: x\u{1f}one\nBREAKING CHANGE: two\n").unwrap();
        assert_eq!((commit.id, commit.subject, commit.breaking_change()), ("1a", "feat: x", Some("two")));
        assert_eq!(Commit::parse("\n"), None);
        let plain = Commit { id: "1a", subject: "Merge branch", body: "no BREAKING CHANGE: x" };
        assert_eq!((plain.is_merge(), plain.breaking_change()), (true, None));
    }
}

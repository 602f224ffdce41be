//! The section of the changelog, and its place in the file.

use crate::commit::{Commit, Subject};

/// Each group with its heading, in the order of the page.
const HEADINGS: [&str; 4] = ["Breaking changes", "Features", "Fixes", "Performance"];
const BREAKING: usize = 0;
const FEATURES: usize = 1;
const FIXES: usize = 2;
const PERFORMANCE: usize = 3;

/// What is behind the title of a new file.
const NEW_FILE: &[u8] = b"# Changelog\n\n";

/// How much the version must rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rise {
    /// Nothing that users notice.
    None,
    /// Fixes only.
    Patch,
    /// New features.
    Minor,
    /// Something that users must change.
    Major,
}

/// The lines of each group, as markdown.
#[derive(Debug, Default)]
pub struct Section([String; HEADINGS.len()]);

impl Section {
    /// Lists a commit, if users notice it.
    pub fn add(&mut self, commit: &Commit<'_>, subject: &Subject<'_>) {
        let breaking_change = commit.breaking_change();
        let group = match subject.kind {
            _ if subject.is_breaking || breaking_change.is_some() => BREAKING,
            "feat" => FEATURES,
            "fix" => FIXES,
            "perf" => PERFORMANCE,
            _ => return,
        };
        let lines = &mut self.0[group];
        lines.push_str("- ");
        if let Some(scope) = subject.scope {
            lines.extend(["**", scope, ":** "]);
        }
        lines.extend([breaking_change.unwrap_or(subject.description), " (", commit.id, ")\n"]);
    }

    /// How much the version must rise because of what is listed.
    pub fn rise(&self) -> Rise {
        let has = |group: usize| !self.0[group].is_empty();
        match () {
            () if has(BREAKING) => Rise::Major,
            () if has(FEATURES) => Rise::Minor,
            () if has(FIXES) || has(PERFORMANCE) => Rise::Patch,
            () => Rise::None,
        }
    }

    /// The section as markdown.
    pub fn markdown(&self, heading: &str) -> String {
        let mut text = format!("## {heading}\n");
        for (heading, lines) in HEADINGS.iter().zip(&self.0).filter(|(_, lines)| !lines.is_empty()) {
            text.extend(["\n### ", heading, "\n\n", lines]);
        }
        if self.rise() == Rise::None {
            text.push_str("\nNo changes that users notice.\n");
        }
        text
    }
}

/// The file with the section below its title, or on top if it has none. Works on bytes: what was there stays as it is.
pub fn insert(section: &str, file: Option<&[u8]>) -> Vec<u8> {
    let Some(file) = file else { return [NEW_FILE, section.as_bytes()].concat() };
    let (before, after) = file.split_at(place(file));
    let line_break: &[u8] = if before.last().is_some_and(|byte| *byte != b'\n') { b"\n\n" } else { b"" };
    [before, line_break, section.as_bytes(), b"\n", after].concat()
}

/// Behind the first line that begins with `# ` and the blank lines that follow it.
fn place(file: &[u8]) -> usize {
    let mut end = 0;
    let mut title_seen = false;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        if title_seen && !line.iter().all(u8::is_ascii_whitespace) {
            return end;
        }
        title_seen |= line.starts_with(b"# ");
        end += line.len();
    }
    if title_seen { end } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inserted(file: &str) -> String {
        String::from_utf8(insert("## 2\n", Some(file.as_bytes()))).unwrap()
    }

    #[test]
    fn the_section_goes_below_the_title() {
        assert_eq!(insert("## 2\n", None), b"# Changelog\n\n## 2\n");
        assert_eq!(inserted("# C\n\n## 1\n"), "# C\n\n## 2\n\n## 1\n");
        assert_eq!(inserted("x\n# C\n \n\n# D\n"), "x\n# C\n \n\n## 2\n\n# D\n");
        assert_eq!(inserted("# C"), "# C\n\n## 2\n\n");
    }

    #[test]
    fn without_a_title_it_goes_to_the_top() {
        assert_eq!(inserted(""), "## 2\n\n");
        assert_eq!(inserted("#C\n## 1\n"), "## 2\n\n#C\n## 1\n");
        assert_eq!(insert("## 2\n", Some(b"\xff\n")), b"## 2\n\n\xff\n");
    }

    #[test]
    fn a_breaking_commit_is_listed_once() {
        let mut section = Section::default();
        assert_eq!(
            (section.rise(), section.markdown("1")),
            (Rise::None, "## 1\n\nNo changes that users notice.\n".into())
        );
        let commit = Commit { id: "1a", subject: "feat(a)!: b", body: "BREAKING-CHANGE: c" };
        section.add(&commit, &Subject::parse(commit.subject).unwrap());
        assert_eq!(section.markdown("1"), "## 1\n\n### Breaking changes\n\n- **a:** c (1a)\n");
        assert_eq!(section.rise(), Rise::Major);
    }
}

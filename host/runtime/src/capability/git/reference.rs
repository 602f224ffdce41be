//! Which commit is wanted. Pure.

use super::super::CapabilityError;

/// What a plugin asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The default branch of the remote.
    Default,
    /// A commit id, in small letters.
    Commit(String),
    /// A full reference, `refs/…`.
    Full(String),
    /// The name of a branch or a tag.
    Name(String),
}

impl Wanted {
    /// Reads what was asked for; refuses what is no name of a reference.
    pub fn parse(text: Option<&str>) -> Result<Wanted, CapabilityError> {
        let Some(text) = text else { return Ok(Wanted::Default) };
        if let Some(problem) = problem_of(text) {
            return Err(CapabilityError::Invalid(format!("the ref `{}` {problem}", text.escape_debug())));
        }
        if matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Wanted::Commit(text.to_ascii_lowercase()));
        }
        Ok(match text {
            "HEAD" => Wanted::Default,
            _ if text.starts_with("refs/") => Wanted::Full(text.to_owned()),
            _ => Wanted::Name(text.to_owned()),
        })
    }

    /// How messages and the log name it.
    pub fn shown(&self) -> &str {
        match self {
            Wanted::Default => "the default branch",
            Wanted::Commit(text) | Wanted::Full(text) | Wanted::Name(text) => text,
        }
    }

    /// The references to look for at the remote, the better ones first.
    pub fn candidates(&self) -> Vec<String> {
        match self {
            Wanted::Default => vec!["HEAD".to_owned()],
            Wanted::Commit(_) => Vec::new(),
            Wanted::Full(full) => vec![full.clone()],
            Wanted::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        }
    }
}

/// The rules of `git check-ref-format`, and no leading `-`.
fn problem_of(text: &str) -> Option<&'static str> {
    let is_special = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    if text.is_empty() {
        Some("is empty")
    } else if text.starts_with('-') {
        Some("begins with `-`")
    } else if text.contains(is_special) || text.contains("..") || text.contains("@{") || text.contains("//") {
        Some("contains what a ref cannot contain")
    } else if text.starts_with('/') || text.ends_with(['/', '.']) || text == "@" {
        Some("is not the name of a ref")
    } else if text.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock")) {
        Some("has a part that a ref cannot have")
    } else {
        None
    }
}

/// A reference that the remote has, with the commit or tag that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The full name, or `HEAD`.
    pub name: String,
    /// How many digits ids have in that repository.
    pub id_digits: usize,
}

impl Found {
    /// Finds the best candidate in what `git ls-remote` printed.
    pub fn best(candidates: &[String], listing: &str) -> Option<Found> {
        let lines: Vec<(&str, &str)> = listing.lines().filter_map(|line| line.split_once('\t')).collect();
        candidates.iter().find_map(|candidate| {
            let (id, name) = lines.iter().find(|(_, name)| name == candidate)?;
            Some(Found { name: (*name).to_owned(), id_digits: id.len() })
        })
    }

    /// The branch, if it is one.
    pub fn branch(&self) -> Option<&str> {
        self.name.strip_prefix("refs/heads/")
    }

    /// The tag, if it is one.
    pub fn tag(&self) -> Option<&str> {
        self.name.strip_prefix("refs/tags/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_what_they_look_like() {
        let id = "0123456789abcdef0123456789ABCDEF01234567";
        for (text, wanted) in [
            (None, Wanted::Default),
            (Some("HEAD"), Wanted::Default),
            (Some("main"), Wanted::Name("main".into())),
            (Some("release/1.2"), Wanted::Name("release/1.2".into())),
            (Some("refs/pull/1/merge"), Wanted::Full("refs/pull/1/merge".into())),
            (Some(id), Wanted::Commit(id.to_lowercase())),
            (Some("0123456"), Wanted::Name("0123456".into())),
        ] {
            assert_eq!(Wanted::parse(text).unwrap(), wanted);
        }
    }

    #[test]
    fn what_is_no_ref_is_refused() {
        for text in [
            "",
            "-f",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a:b",
            "+a",
            "a~1",
            "a^",
            "a*",
            "@{-1}",
            "@",
            "/a",
            "a/",
            "a.",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a\nb",
            "refs/heads/*",
        ] {
            let refused = Wanted::parse(Some(text)).is_err();
            assert!(refused || text == "+a", "{text:?}");
        }
    }

    #[test]
    fn a_branch_goes_before_a_tag_and_names_match_wholly() {
        let listing = "aa\trefs/heads/x/refs/heads/v1\nbb\trefs/tags/v1\ncc\trefs/heads/v1\n";
        let candidates = Wanted::Name("v1".into()).candidates();
        let found = Found::best(&candidates, listing).unwrap();
        assert_eq!((found.branch(), found.tag()), (Some("v1"), None));
        let found = Found::best(&candidates, "bb\trefs/tags/v1\n").unwrap();
        assert_eq!((found.branch(), found.tag()), (None, Some("v1")));
        assert_eq!(Found::best(&candidates, "aa\trefs/heads/x/refs/heads/v1\n"), None);
    }
}

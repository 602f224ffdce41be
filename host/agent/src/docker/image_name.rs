//! Names of images as people write them: `registry.example:5000/team/app:1.2`.

/// A name that an image can be tagged with and pushed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageName {
    /// Everything before the tag, such as `registry.example:5000/team/app`.
    pub(crate) repository: String,
    /// The tag; `latest` if none was written.
    pub(crate) tag: String,
}

impl ImageName {
    /// Reads a name. Only letters, digits and a few signs can stand in it, so it is safe in a path of a request.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to write.
    pub(crate) fn parse(text: &str) -> Result<ImageName, String> {
        let wrong = |why: &str| Err(format!("`{}` is no name for an image: {why}", text.escape_debug()));
        if text.contains('@') {
            return wrong("a digest cannot be chosen; write a tag, such as `app:1.2`");
        }
        let (repository, tag) = match text.rsplit_once(':') {
            // The colon of a port stands before the path.
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (text, "latest"),
        };
        let is_word = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if tag.is_empty() || tag.len() > 128 || !tag.chars().all(is_word) || tag.starts_with(['.', '-']) {
            return wrong("behind its last `:` stands a tag of letters, digits, `_`, `.` and `-`, 128 at most");
        }
        if repository.is_empty() || repository.len() > 255 {
            return wrong("it needs a repository of at most 255 characters, such as `registry.example/team/app`");
        }
        let parts: Vec<&str> = repository.split('/').collect();
        for (index, part) in parts.iter().enumerate() {
            let is_host = index == 0 && parts.len() > 1 && is_registry(part);
            let good = |character: char| match is_host {
                true => is_word(character) || ":[]".contains(character),
                false => is_word(character) && !character.is_ascii_uppercase(),
            };
            let ends_well =
                |part: &str| part.ends_with(|last: char| last.is_ascii_alphanumeric() || is_host && last == ']');
            if !part.chars().all(good) || !ends_well(part) || part.starts_with(['.', '-', '_']) {
                return wrong("write it in small letters, as `registry.example/team/app:1.2`");
            }
        }
        Ok(ImageName { repository: repository.to_owned(), tag: tag.to_owned() })
    }

    /// The registry that the name begins with; none means the engine's own choice.
    pub(crate) fn registry(&self) -> Option<&str> {
        self.repository.split_once('/').map(|(first, _)| first).filter(|first| is_registry(first))
    }
}

/// Is the first part of a name a registry, not a team?
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_split_where_people_expect_it() {
        for (text, repository, tag, registry) in [
            ("app", "app", "latest", None),
            ("team/app:1.2", "team/app", "1.2", None),
            ("registry.example/team/app:v_1-x", "registry.example/team/app", "v_1-x", Some("registry.example")),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app", "latest", Some("127.0.0.1:5000")),
            ("localhost/a__b:X", "localhost/a__b", "X", Some("localhost")),
            ("[::1]:5000/app:1", "[::1]:5000/app", "1", Some("[::1]:5000")),
        ] {
            let name = ImageName::parse(text).unwrap();
            assert_eq!((name.repository.as_str(), name.tag.as_str(), name.registry()), (repository, tag, registry));
        }
    }

    #[test]
    fn what_is_no_name_says_what_to_write() {
        for (text, word) in [
            ("", "repository"),
            ("App", "small letters"),
            ("app:", "tag"),
            ("app:a b", "tag"),
            ("a//b", "small letters"),
            ("../etc", "small letters"),
            ("app?x=1", "small letters"),
            ("app@sha256:00", "digest"),
            ("-app", "small letters"),
        ] {
            let error = ImageName::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    proptest! {
        /// A name becomes a part of the path of a request: nothing in it may mean something there.
        #[test]
        fn a_name_never_leaves_its_place_in_a_path(text in "[ -~]{0,30}|[a-z./:@%?#A-Z-]{0,20}") {
            if let Ok(name) = ImageName::parse(&text) {
                let whole = format!("{}:{}", name.repository, name.tag);
                prop_assert!(!whole.contains(['?', '#', '%', ' ', '\\', '@']), "{whole}");
                prop_assert!(name.repository.split('/').all(|part| !part.is_empty() && part != ".." && part != "."));
                prop_assert!(whole == text || whole.strip_suffix(":latest") == Some(&text));
            }
        }
    }
}

//! What a request asks for, read from its path and query: the grammars of the distribution specification, and nothing else.
//!
//! A text that fits these grammars holds no `..`, no slash where none may be and no sign that a file system or a bucket takes
//! for something else; the names of objects are put together from such texts only.

use reqwest::Url;

use crate::oci::Digest;

/// The longest name of a repository. Names of objects are made of it, and file systems end at 255 bytes.
pub(super) const NAME_BYTES_MAX: usize = 200;
const TAG_BYTES_MAX: usize = 128;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/NAME/tags/list`.
    Tags(Name),
    /// `/v2/NAME/manifests/REFERENCE`.
    Manifest(Name, Target),
    /// `/v2/NAME/referrers/DIGEST`.
    Referrers(Name, Digest),
    /// `/v2/NAME/blobs/DIGEST`.
    Blob(Name, Digest),
    /// `/v2/NAME/blobs/uploads/`.
    Uploads(Name),
    /// `/v2/NAME/blobs/uploads/ID`.
    Upload(Name, String),
}

/// Why a path names nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unroutable {
    /// No path of the specification.
    Path,
    /// The name of the repository breaks the grammar.
    Name(String),
    /// The digest is none.
    Digest(String),
    /// What stands behind `manifests/` is neither a tag nor a digest.
    Reference(String),
}

/// The name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(String);

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(String);

/// Which manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The one that a tag points at.
    Tag(Tag),
    /// The one of this digest.
    Digest(Digest),
}

impl Name {
    /// Components of small letters and digits, joined by `/`; within one `.`, `_`, `__` and any number of `-` may join.
    pub fn parse(text: &str) -> Option<Name> {
        let fits = text.len() <= NAME_BYTES_MAX && text.split('/').all(is_component);
        fits.then(|| Name(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !text.starts_with(is_word) || !text.ends_with(is_word) {
        return false;
    }
    let joins = text.split(is_word).filter(|between| !between.is_empty());
    joins.into_iter().all(|join| matches!(join, "." | "_" | "__") || join.bytes().all(|byte| byte == b'-'))
}

impl Tag {
    /// A letter, digit or `_`, then also `.` and `-`, 128 at most.
    pub fn parse(text: &str) -> Option<Tag> {
        let is_first = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let fits = text.len() <= TAG_BYTES_MAX
            && text.starts_with(is_first)
            && text.chars().all(|c| is_first(c) || c == '.' || c == '-');
        fits.then(|| Tag(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tags that clients write again by their nature: `sha256-DIGEST`, where referrers are listed for registries that
    /// cannot, and `sha256-DIGEST.sig` and the like, which collect signatures.
    pub fn collects(&self) -> bool {
        let Some(rest) = self.0.strip_prefix("sha256-") else { return false };
        let digest = rest.split_once('.').map_or(rest, |(digest, _)| digest);
        format!("sha256:{digest}").parse::<Digest>().is_ok()
    }
}

impl Route {
    /// Reads the path of a request as it came, percent signs and all.
    pub fn parse(path: &str) -> Result<Route, Unroutable> {
        let path = decoded(path).ok_or(Unroutable::Path)?;
        let rest = match path.strip_prefix("/v2") {
            Some("") => "",
            Some(rest) => rest.strip_prefix('/').ok_or(Unroutable::Path)?,
            None => return Err(Unroutable::Path),
        };
        let name = |parts: &[&str]| {
            let name = parts.join("/");
            Name::parse(&name).ok_or(Unroutable::Name(name))
        };
        let digest = |text: &str| text.parse::<Digest>().map_err(|_| Unroutable::Digest(text.to_owned()));
        // A repository may have these words in its name: the end of the path decides.
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            [""] => Ok(Route::Base),
            ["_catalog"] => Ok(Route::Catalog),
            [before @ .., "tags", "list"] => Ok(Route::Tags(name(before)?)),
            [before @ .., "manifests", reference] => {
                let name = name(before)?;
                let target = match reference.contains(':') {
                    true => Target::Digest(digest(reference)?),
                    false => Target::Tag(
                        Tag::parse(reference).ok_or_else(|| Unroutable::Reference((*reference).to_owned()))?,
                    ),
                };
                Ok(Route::Manifest(name, target))
            }
            [before @ .., "referrers", of] => Ok(Route::Referrers(name(before)?, digest(of)?)),
            [before @ .., "blobs", "uploads"] | [before @ .., "blobs", "uploads", ""] => {
                Ok(Route::Uploads(name(before)?))
            }
            [before @ .., "blobs", "uploads", id] => Ok(Route::Upload(name(before)?, (*id).to_owned())),
            [before @ .., "blobs", of] => Ok(Route::Blob(name(before)?, digest(of)?)),
            _ => Err(Unroutable::Path),
        }
    }
}

/// Which manifest a path names, as the registry reads it: the name of the repository, and the tag or digest. None if it names
/// something else.
pub fn manifest_of(path: &str) -> Option<(String, String)> {
    match Route::parse(path) {
        Ok(Route::Manifest(name, Target::Tag(tag))) => Some((name.as_str().to_owned(), tag.as_str().to_owned())),
        Ok(Route::Manifest(name, Target::Digest(digest))) => Some((name.as_str().to_owned(), digest.to_string())),
        _ => None,
    }
}

/// The path with its percent signs spent, once; none if that is no text.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next()?)? * 16 + digit(rest.next()?)?);
    }
    String::from_utf8(bytes).ok()
}

/// The query of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind `?`.
    pub fn parse(query: Option<&str>) -> Query {
        let url = Url::parse(&format!("http://registry/?{}", query.unwrap_or_default()));
        let pairs = url.map(|url| url.query_pairs().into_owned().collect());
        Query(pairs.unwrap_or_default())
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_of_repositories_follow_the_specification() {
        for name in ["a", "acme/lint", "a.b/c_d/e__f/g---h", "0/1", "blobs/uploads", &"a".repeat(200)] {
            assert!(Name::parse(name).is_some(), "{name}");
        }
        let bad = [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            ".a",
            "a.",
            "a..b",
            "a___b",
            "a._b",
            "A/b",
            "a/B",
            "a b",
            "ä",
            "a\0",
            "a\\b",
            "_tags",
            "-a",
            "a-",
            &"a".repeat(201),
        ];
        for name in bad {
            assert!(Name::parse(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn tags_follow_the_specification() {
        for tag in ["latest", "1.0.0", "_x", "V1", &"t".repeat(128)] {
            assert!(Tag::parse(tag).is_some(), "{tag}");
        }
        for tag in ["", ".x", "-x", "a/b", "a:b", "a b", "..", "ä", &"t".repeat(129)] {
            assert!(Tag::parse(tag).is_none(), "{tag}");
        }
        let collects = |tag: &str| Tag::parse(tag).unwrap().collects();
        let of_digest = DIGEST.replace(':', "-");
        assert!(collects(&of_digest) && collects(&format!("{of_digest}.sig")));
        assert!(!collects("latest") && !collects("sha256-1.sig"));
    }

    #[test]
    fn paths_lead_where_the_specification_says() {
        let name = |text: &str| Name::parse(text).unwrap();
        let digest: Digest = DIGEST.parse().unwrap();
        let tag = |text: &str| Target::Tag(Tag::parse(text).unwrap());
        let routes = [
            ("/v2".to_owned(), Route::Base),
            ("/v2/".to_owned(), Route::Base),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Route::Tags(name("a/b"))),
            ("/v2/a/manifests/1.0".to_owned(), Route::Manifest(name("a"), tag("1.0"))),
            (format!("/v2/a/manifests/{DIGEST}"), Route::Manifest(name("a"), Target::Digest(digest.clone()))),
            (format!("/v2/a/blobs/{}", DIGEST.replace(':', "%3A")), Route::Blob(name("a"), digest.clone())),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/1f".to_owned(), Route::Upload(name("a"), "1f".to_owned())),
            (format!("/v2/a/referrers/{DIGEST}"), Route::Referrers(name("a"), digest)),
            ("/v2/a/blobs/b/manifests/tags/tags/list".to_owned(), Route::Tags(name("a/blobs/b/manifests/tags"))),
        ];
        for (path, route) in routes {
            assert_eq!(Route::parse(&path), Ok(route), "{path}");
        }
    }

    #[test]
    fn tricks_with_paths_lead_nowhere() {
        let unroutable = |path: &str| Route::parse(path).unwrap_err();
        assert_eq!(unroutable("/v2/../etc/tags/list"), Unroutable::Name("../etc".to_owned()));
        assert_eq!(unroutable("/v2/%2e%2e/a/tags/list"), Unroutable::Name("../a".to_owned()));
        assert_eq!(unroutable("/v2/a%2f..%2fb/tags/list"), Unroutable::Name("a/../b".to_owned()));
        // Percent signs are spent once.
        assert_eq!(unroutable("/v2/%252e%252e/tags/list"), Unroutable::Name("%2e%2e".to_owned()));
        assert_eq!(unroutable("/v2/Acme/tags/list"), Unroutable::Name("Acme".to_owned()));
        assert_eq!(unroutable("/v2/a/manifests/.."), Unroutable::Reference("..".to_owned()));
        assert_eq!(unroutable("/v2/a/blobs/sha256:../../x"), Unroutable::Path);
        assert_eq!(unroutable("/v2/a/blobs/sha256:.."), Unroutable::Digest("sha256:..".to_owned()));
        for path in ["", "/", "/v1/", "/v2x", "/v2/a", "/v2/%", "/v2/%zz/tags/list", "/v2/%ff/tags/list"] {
            assert_eq!(unroutable(path), Unroutable::Path, "{path}");
        }
    }

    #[test]
    fn no_path_makes_a_name_that_leaves_its_folder() {
        const PIECES: [&str; 11] = ["a", "A", ".", "/", "%2f", "%2E", "_", "-", "\\", "blobs/uploads/", "~"];
        let mut paths = vec![String::new()];
        for _ in 0..5 {
            paths = paths.iter().flat_map(|path| PIECES.map(|piece| format!("{path}{piece}"))).collect();
            for path in &paths {
                let Ok(Route::Tags(name)) = Route::parse(&format!("/v2/{path}/tags/list")) else { continue };
                for part in name.as_str().split('/') {
                    assert!(!part.contains("..") && part.starts_with(|c: char| c.is_ascii_lowercase()), "{path}");
                    assert!(part.bytes().all(|byte| byte.is_ascii_lowercase() || b"._-".contains(&byte)), "{path}");
                }
            }
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse(Some("digest=sha256%3Aab&n=5&last=a%2Fb+c"));
        assert_eq!(
            (query.get("digest"), query.get("n"), query.get("last")),
            (Some("sha256:ab"), Some("5"), Some("a/b c"))
        );
        assert_eq!(Query::parse(None).get("n"), None);
    }
}

//! Finding files by a pattern. Links are not followed, so that the walk ends and stays inside.

use std::path::{Component, Path};

use cap_std::fs::Dir;
use globset::{GlobBuilder, GlobMatcher};

use super::{
    super::{
        CapabilityError,
        bindings::oxide::ci::workspace::{Entry, EntryKind},
    },
    files::{ENTRIES_MAX, described, join, refused},
};

/// So many entries are looked at before the pattern is called too wide.
const VISITED_MAX: usize = 5_000_000;

/// The files and links that match, sorted by path. Stops early when nobody wants the answer any more.
pub(super) fn find(dir: &Dir, pattern: &str, wanted: &dyn Fn() -> bool) -> Result<Vec<Entry>, CapabilityError> {
    let pattern = pattern.trim_start_matches("./");
    let matcher = matcher(pattern)?;
    let mut found = Vec::new();
    let mut visited = 0;
    let mut directories = vec![start(pattern)];
    while let Some(directory) = directories.pop() {
        let entries = match dir.read_dir(&directory) {
            Ok(entries) => entries,
            // What is not there matches nothing; a directory may also vanish while we look.
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(refused(&directory, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| refused(&directory, &error))?;
            visited += 1;
            if visited > VISITED_MAX {
                return Err(CapabilityError::Limit(format!("`{pattern}` looks at more than {VISITED_MAX} files")));
            }
            if !wanted() {
                return Ok(Vec::new());
            }
            let path = join(&directory, &entry.file_name().to_string_lossy());
            let Ok(metadata) = entry.metadata() else { continue };
            let entry = described(path, &metadata);
            if entry.kind == EntryKind::Directory {
                directories.push(entry.path);
            } else if matcher.is_match(&entry.path) {
                if found.len() == ENTRIES_MAX {
                    return Err(CapabilityError::Limit(format!("`{pattern}` matches more than {ENTRIES_MAX} files")));
                }
                found.push(entry);
            }
        }
    }
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn matcher(pattern: &str) -> Result<GlobMatcher, CapabilityError> {
    let leaves = |part| matches!(part, Component::ParentDir | Component::RootDir | Component::Prefix(_));
    if Path::new(pattern).components().any(leaves) {
        return Err(CapabilityError::Denied(format!("the pattern `{pattern}` leads out of the directory")));
    }
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| CapabilityError::Invalid(format!("`{pattern}` is not a pattern: {}", error.kind())))
}

/// The directory below which everything lies that can match: the parts of the pattern before the first special one.
fn start(pattern: &str) -> String {
    let is_plain = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
    let parts: Vec<&str> = pattern.split('/').collect();
    let plain: Vec<&str> = parts[..parts.len() - 1].iter().copied().take_while(is_plain).collect();
    if plain.is_empty() { ".".to_owned() } else { plain.join("/") }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn paths(dir: &Dir, pattern: &str) -> Vec<String> {
        find(dir, pattern, &|| true).unwrap().into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn patterns_find_files() {
        let home = tempfile::tempdir().unwrap();
        for path in ["Cargo.toml", "src/lib.rs", "src/a/mod.rs", "src/a/b/c.rs", "doc/index.md"] {
            std::fs::create_dir_all(home.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(home.path().join(path), "").unwrap();
        }
        std::os::unix::fs::symlink(".", home.path().join("src/loop")).unwrap();
        std::os::unix::fs::symlink("/etc", home.path().join("etc")).unwrap();
        let dir = Dir::open_ambient_dir(home.path(), ambient_authority()).unwrap();
        for (pattern, expected) in [
            ("**/*.rs", vec!["src/a/b/c.rs", "src/a/mod.rs", "src/lib.rs"]),
            ("src/*.rs", vec!["src/lib.rs"]),
            ("./src/*/*.rs", vec!["src/a/mod.rs"]),
            ("{Cargo.toml,doc/*}", vec!["Cargo.toml", "doc/index.md"]),
            ("Cargo.toml", vec!["Cargo.toml"]),
            ("etc/**", vec![]),
            ("nowhere/*", vec![]),
            ("src/l*", vec!["src/lib.rs", "src/loop"]),
            ("*", vec!["Cargo.toml", "etc"]),
        ] {
            match pattern {
                // The link itself is no directory to start at.
                "etc/**" => assert!(find(&dir, pattern, &|| true).is_err() || paths(&dir, pattern).is_empty()),
                _ => assert_eq!(paths(&dir, pattern), expected, "{pattern}"),
            }
        }
        for pattern in ["../*", "/etc/*", "src/../../*"] {
            let error = find(&dir, pattern, &|| true).unwrap_err();
            assert!(matches!(error, CapabilityError::Denied(_)), "{pattern}: {error:?}");
        }
        assert!(matches!(find(&dir, "a[", &|| true).unwrap_err(), CapabilityError::Invalid(_)));
        assert!(find(&dir, "**", &|| false).unwrap().is_empty(), "nobody waits");
    }

    #[test]
    fn the_walk_starts_where_the_pattern_becomes_special() {
        for (pattern, expected) in [("**", "."), ("a/b/*.rs", "a/b"), ("a/b", "a"), ("a*/b/c", "."), ("a", ".")] {
            assert_eq!(start(pattern), expected, "{pattern}");
        }
    }
}

//! Which paths and links may stand in an archive. Plain decisions about text; nothing is looked up.

use std::path::{Component, Path, PathBuf};

/// A path below the top: names only, no `..`, not absolute; `.` parts are dropped. The empty path is the top itself.
///
/// # Errors
/// What is wrong with it.
pub(super) fn below(path: &Path) -> Result<PathBuf, &'static str> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err("it holds `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("it is absolute"),
        }
    }
    Ok(clean)
}

/// Checks that the link at `path` leads to a place below the top: `..` at its beginning only, and no more of them than
/// there are directories above it. A `..` behind a name might follow another link first, and lead anywhere.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_link(path: &Path, target: &Path) -> Result<(), &'static str> {
    let mut depth = path.components().count().saturating_sub(1);
    let mut named = false;
    if target.as_os_str().is_empty() {
        return Err("it leads nowhere");
    }
    for part in target.components() {
        match part {
            Component::Normal(_) => named = true,
            Component::CurDir => {}
            Component::ParentDir if named => return Err("it holds `..` behind a name"),
            Component::ParentDir => depth = depth.checked_sub(1).ok_or("it climbs too often with `..`")?,
            Component::RootDir | Component::Prefix(_) => return Err("it is absolute"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_stay_below() {
        assert_eq!(below(Path::new("./a//b/.")), Ok("a/b".into()));
        assert_eq!(below(Path::new(".")), Ok(PathBuf::new()));
        for path in ["/a", "../a", "a/../b", "a/..", ".."] {
            assert!(below(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn links_stay_below() {
        for (path, target) in [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d/e"), ("a", "."), ("a/b", "..")] {
            assert_eq!(check_link(Path::new(path), Path::new(target)), Ok(()), "{path} -> {target}");
        }
        for (path, target) in
            [("a", "/etc"), ("a", ".."), ("a/b", "../.."), ("a", "d/e/../../.."), ("a/b", "x/../y"), ("a", "")]
        {
            assert!(check_link(Path::new(path), Path::new(target)).is_err(), "{path} -> {target}");
        }
    }

    proptest! {
        /// Whatever is accepted, the place that it means lies below the top.
        #[test]
        fn accepted_links_never_climb_out(
            path in "[a-c](/[a-c]){0,3}", target in "/?(\\.\\./|\\./|[a-c]/){0,5}(\\.\\.|[a-c])?",
        ) {
            if check_link(Path::new(&path), Path::new(&target)).is_ok() {
                let mut place: Vec<&str> = path.split('/').collect();
                place.pop();
                for part in target.split('/') {
                    match part {
                        "" | "." => {}
                        ".." => prop_assert!(place.pop().is_some(), "{path} -> {target}"),
                        name => place.push(name),
                    }
                }
            }
        }
    }
}

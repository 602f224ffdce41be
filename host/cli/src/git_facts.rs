//! What git says of the project's directory: the values of `git` in expressions and the default of `checkout`.

use std::{path::Path, process::Command};

use serde_json::{Map, Value as Json};

/// Facts about the commit that is checked out. Without a repository, or without git, there are none.
pub fn read(directory: &Path) -> Map<String, Json> {
    let mut facts = Map::new();
    let Some(top) = git(directory, &["rev-parse", "--show-toplevel"]) else { return facts };
    facts.insert("repository".into(), top.into());
    if let Some(sha) = git(directory, &["rev-parse", "--verify", "HEAD^{commit}"]) {
        facts.insert("sha".into(), sha.into());
    }
    if let Some(branch) = git(directory, &["symbolic-ref", "--quiet", "--short", "HEAD"]) {
        facts.insert("ref".into(), format!("refs/heads/{branch}").into());
        facts.insert("branch".into(), branch.into());
    } else if let Some(tag) = git(directory, &["describe", "--tags", "--exact-match", "HEAD"]) {
        facts.insert("ref".into(), format!("refs/tags/{tag}").into());
        facts.insert("tag".into(), tag.into());
    }
    facts
}

/// What the cache of a directory belongs to: the remote `origin` of its repository, so that all clones share it, with the
/// directory's place in the repository; or the directory itself, if it has no remote. It is a name and grants nothing: who
/// can write to the store can write to every cache.
pub fn project(directory: &Path) -> String {
    match (git(directory, &["config", "--get", "remote.origin.url"]), git(directory, &["rev-parse", "--show-prefix"])) {
        (Some(origin), prefix) => format!("{}#{}", without_credentials(&origin), prefix.unwrap_or_default()),
        (None, _) => directory.display().to_string(),
    }
}

/// A URL without what stands before the `@`, which may be a password.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

/// How many files differ from the commit that is checked out: a run does not see these changes.
pub fn uncommitted_changes(directory: &Path) -> usize {
    git(directory, &["status", "--porcelain"]).map_or(0, |status| status.lines().count())
}

/// One answer of git, without its last line break; none if it fails or says nothing.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(directory).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim_end().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_with_and_without_credentials_are_one_project() {
        assert_eq!(without_credentials("https://me:secret@example.com/a@b.git"), "https://example.com/a@b.git");
        assert_eq!(without_credentials("https://example.com/a.git"), "https://example.com/a.git");
        assert_eq!(without_credentials("git@example.com:a.git"), "git@example.com:a.git");
    }
}

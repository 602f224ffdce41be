//! What git says of the project's directory: the values of `git` in expressions and the default of `checkout`.

use std::{path::Path, process::Command};

use oxide_planner::remote::without_credentials;
use serde_json::{Map, Value as Json};

/// Git found a repository and does not want to read it. Going on as if there were none would turn `git.branch == 'main'` into
/// a silent no.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("git refuses the repository: {reason}")]
pub struct Refused {
    /// The first line of what git said.
    reason: String,
    /// What to type, if git said it.
    pub command: Option<String>,
}

/// Facts about the commit that is checked out. Without a repository, or without git, there are none.
///
/// # Errors
/// Git refuses the repository.
pub fn read(directory: &Path) -> Result<Map<String, Json>, Refused> {
    let mut facts = Map::new();
    let top = match answer(directory, &["rev-parse", "--show-toplevel"]) {
        Answer::Text(top) => top,
        Answer::Nothing => return Ok(facts),
        Answer::Failed(words) => return refusal(&words).map_or(Ok(facts), Err),
    };
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
    Ok(facts)
}

/// What git's words mean when it does not tell where the repository begins; none if there is no repository with files.
fn refusal(words: &str) -> Option<Refused> {
    let no_repository = ["not a git repository", "must be run in a work tree"];
    if no_repository.iter().any(|known| words.contains(known)) {
        return None;
    }
    let mut lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let reason = lines.clone().next()?.trim_start_matches("fatal: ").to_owned();
    let command = lines.find(|line| line.starts_with("git config --global")).map(str::to_owned);
    Some(Refused { reason, command })
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

/// How many files differ from the commit that is checked out: a run does not see these changes.
pub fn uncommitted_changes(directory: &Path) -> usize {
    git(directory, &["status", "--porcelain"]).map_or(0, |status| status.lines().count())
}

/// What git answered.
enum Answer {
    /// A text without its last line break.
    Text(String),
    /// Nothing, or there is no git.
    Nothing,
    /// It failed with these words.
    Failed(String),
}

fn answer(directory: &Path, arguments: &[&str]) -> Answer {
    // Its words are read, so they must be in one language.
    let command = Command::new("git").arg("-C").arg(directory).args(arguments).env("LC_ALL", "C").output();
    let Ok(output) = command else { return Answer::Nothing };
    if !output.status.success() {
        return Answer::Failed(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    match String::from_utf8(output.stdout) {
        Ok(text) if !text.trim_end().is_empty() => Answer::Text(text.trim_end().to_owned()),
        _ => Answer::Nothing,
    }
}

/// One answer of git; none if it fails or says nothing.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    match answer(directory, arguments) {
        Answer::Text(text) => Some(text),
        Answer::Nothing | Answer::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_git_refuses_is_told_apart_from_none() {
        assert_eq!(refusal("fatal: not a git repository (or any of the parent directories): .git\n"), None);
        assert_eq!(refusal("fatal: this operation must be run in a work tree\n"), None);
        let words = "fatal: detected dubious ownership in repository at '/src'\nTo add an exception for this directory, \
                     call:\n\n\tgit config --global --add safe.directory /src\n";
        assert_eq!(
            refusal(words),
            Some(Refused {
                reason: "detected dubious ownership in repository at '/src'".to_owned(),
                command: Some("git config --global --add safe.directory /src".to_owned()),
            })
        );
        assert_eq!(refusal("fatal: bad config line 1 in file .git/config\n").unwrap().command, None);
    }
}

//! A small repository, made with the real git, for plugins that fetch commits.

use std::{fs, path::Path, process::Command};

use serde_json::{Map, Value as Json};

use crate::plugin_case::{case::Repository, content::write_files};

/// Everything that could change the ids of commits is fixed.
const FIXED: [(&str, &str); 10] = [
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_AUTHOR_NAME", "Ada"),
    ("GIT_AUTHOR_EMAIL", "ada@example.org"),
    ("GIT_COMMITTER_NAME", "Ada"),
    ("GIT_COMMITTER_EMAIL", "ada@example.org"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_CEILING_DIRECTORIES", "/"),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
];

/// Makes the repository in a folder that is not there yet; answers with the facts that expressions see as `git`.
///
/// # Errors
/// A sentence that says what git refused.
pub fn make(repository: &Repository, folder: &Path) -> Result<Map<String, Json>, String> {
    fs::create_dir_all(folder).map_err(|error| format!("could not make the repository: {error}"))?;
    let branch = &repository.branch;
    run(folder, 0, &["init", "--quiet", "--initial-branch", branch, "."])?;
    // What a plugin asks for may be any commit.
    run(folder, 0, &["config", "uploadpack.allowAnySHA1InWant", "true"])?;
    for (number, commit) in repository.commits.iter().enumerate() {
        write_files(&commit.files, folder)?;
        run(folder, number, &["add", "--all", "."])?;
        run(folder, number, &["commit", "--quiet", "--allow-empty", "--message", &commit.message])?;
        for tag in &commit.tags {
            run(folder, number, &["tag", "--", tag])?;
        }
    }
    let sha = run(folder, 0, &["rev-parse", "HEAD"])?;
    let fact = |name: &str, value: String| (name.to_owned(), Json::from(value));
    Ok(Map::from_iter([
        fact("sha", sha.trim().to_owned()),
        fact("ref", format!("refs/heads/{branch}")),
        fact("branch", branch.clone()),
        fact("repository", folder.display().to_string()),
    ]))
}

fn run(folder: &Path, number: usize, arguments: &[&str]) -> Result<String, String> {
    // A minute lies between two commits.
    let date = format!("2026-01-02T{:02}:{:02}:00Z", number / 60 % 24, number % 60);
    let output = Command::new("git")
        .current_dir(folder)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH".to_owned(), path)))
        .envs(FIXED)
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_DATE", &date)
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(arguments)
        .output()
        .map_err(|error| format!("could not run git, which makes the repository of the case: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(format!("git {} failed: {}", arguments[0], words.trim()))
        }
    }
}

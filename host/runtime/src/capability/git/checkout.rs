//! Puts the files of a commit into a directory of the workspace.

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use cap_std::fs::Dir;
use oxide_core::protocol::LogStream;

use super::{
    super::{
        CapabilityError,
        workspace::{create_directory, refused},
    },
    program::{Failed, Git, WorkingDirectory},
    reference::{Found, Wanted},
    remote::Remote,
};
use crate::{environment::LogSink as _, step_log::StepLog};

/// What to check out, and where.
pub(super) struct Checkout {
    pub remote: Remote,
    /// Below the workspace.
    pub path: String,
    pub options: Options,
    /// The top of the workspace, open.
    pub root: Arc<Dir>,
    /// The top of the workspace as a path of the host.
    pub workspace: PathBuf,
}

/// How to fetch.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub wanted: Wanted,
    pub depth: Option<u32>,
    pub submodules: bool,
    pub sparse: Vec<String>,
}

/// What is known of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub id: String,
    pub branch: Option<String>,
    pub tag: Option<String>,
    pub author_name: String,
    pub author_email: String,
    pub committed_at: i64,
    pub subject: String,
}

/// Checks out. The old `.git` of the directory is replaced: its settings are not to be trusted, because every step of the
/// job may have written them.
pub(super) async fn check_out(task: Checkout, log: Arc<StepLog>) -> Result<Commit, CapabilityError> {
    let Checkout { remote, path, options, root, workspace } = task;
    if options.depth == Some(0) {
        return Err(CapabilityError::Invalid(
            "a depth of 0 has no commits; leave it out for all of the history".into(),
        ));
    }
    let sparse = options.sparse.iter().map(|path| sparse_directory(path)).collect::<Result<Vec<_>, _>>()?;
    let (directory, was_repository) = blocking(move || prepare(&root, &workspace, &path)).await?;
    let shown = format!("fetching {} of {}\n", options.wanted.shown(), remote.url);
    log.write(LogStream::Host, shown.into()).await?;
    let git = Git::new(directory, &remote, log)
        .map_err(|error| CapabilityError::Other(format!("the settings for git could not be written: {error}")))?;

    let found = find(&git, &remote, &options.wanted).await?;
    let id_digits = match (&options.wanted, &found) {
        (Wanted::Commit(id), _) => id.len(),
        (_, Some(found)) => found.id_digits,
        (_, None) => return Err(not_there(&options.wanted, &remote)),
    };
    let format = if id_digits == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    git.run(&["init", "--quiet", "--template=", format, "."]).await?;
    git.run(&["remote", "add", "origin", &remote.url]).await?;
    let target = fetch(&git, &remote, &options, found.as_ref()).await?;
    if !sparse.is_empty() {
        let mut arguments = vec!["sparse-checkout", "set", "--cone", "--"];
        arguments.extend(sparse.iter().map(String::as_str));
        git.run(&arguments).await?;
    }
    match found.as_ref().and_then(Found::branch) {
        Some(branch) => git.run(&["checkout", "--quiet", "--force", "-B", branch, &target]).await?,
        None => git.run(&["checkout", "--quiet", "--force", "--detach", &target]).await?,
    };
    if options.submodules {
        submodules(&git, options.depth, was_repository).await?;
    }
    let facts = git.run(&["log", "-1", "--format=%H%x00%an%x00%ae%x00%ct%x00%s"]).await?;
    let mut commit = parse_facts(&facts)
        .ok_or_else(|| CapabilityError::Other("`git log` printed something that is not understood".into()))?;
    commit.branch = found.as_ref().and_then(Found::branch).map(str::to_owned);
    commit.tag = found.as_ref().and_then(Found::tag).map(str::to_owned);
    Ok(commit)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CapabilityError> + Send + 'static,
) -> Result<T, CapabilityError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(CapabilityError::Trap(wasmtime::Error::new(error))),
    }
}

/// Makes and opens the directory; removes the `.git` that is there. Tells whether there was one.
fn prepare(root: &Dir, workspace: &Path, path: &str) -> Result<(WorkingDirectory, bool), CapabilityError> {
    let refuse = |error| refused(path, &error);
    create_directory(root, path)?;
    let real = root.canonicalize(path).map_err(refuse)?;
    let directory = root.open_dir(&real).map_err(refuse)?;
    let was_repository = match directory.symlink_metadata(".git") {
        Ok(metadata) if metadata.is_dir() => directory.remove_dir_all(".git").map(|()| true),
        Ok(_) => directory.remove_file(".git").map(|()| true),
        Err(_) => Ok(false),
    };
    let was_repository = was_repository.map_err(refuse)?;
    let path = child_path(&directory, workspace, &real);
    Ok((WorkingDirectory { path, handle: Arc::new(directory) }, was_repository))
}

/// How a child process reaches an open directory: by its descriptor, so that nobody can put a link in its place between
/// our look and the start of git.
#[cfg(target_os = "linux")]
fn child_path(directory: &Dir, _: &Path, _: &Path) -> PathBuf {
    use std::os::fd::AsRawFd as _;

    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn child_path(_: &Dir, workspace: &Path, real: &Path) -> PathBuf {
    workspace.join(real)
}

/// A directory for `sparse-checkout`.
fn sparse_directory(path: &str) -> Result<String, CapabilityError> {
    let is_normal = |part| matches!(part, Component::Normal(_));
    let trimmed = path.trim_start_matches("./").trim_end_matches('/');
    if trimmed.is_empty() || trimmed.starts_with('-') || trimmed.chars().any(char::is_control) {
        return Err(CapabilityError::Invalid(format!("`{}` is not a directory to check out", path.escape_debug())));
    }
    if !Path::new(trimmed).components().all(is_normal) {
        return Err(CapabilityError::Invalid(format!("`{path}` leads out of the repository")));
    }
    Ok(trimmed.to_owned())
}

/// Looks for what is wanted at the remote; none for a commit id, which cannot be looked for.
async fn find(git: &Git, remote: &Remote, wanted: &Wanted) -> Result<Option<Found>, CapabilityError> {
    let candidates = wanted.candidates();
    if candidates.is_empty() {
        return Ok(None);
    }
    let mut arguments = vec!["ls-remote", "--", &remote.url];
    arguments.extend(candidates.iter().map(String::as_str));
    let listing = git.run(&arguments).await?;
    Ok(Found::best(&candidates, &listing))
}

fn not_there(wanted: &Wanted, remote: &Remote) -> CapabilityError {
    let url = &remote.url;
    CapabilityError::NotFound(match wanted {
        Wanted::Default => format!("{url} has no commits"),
        Wanted::Name(name) if name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("{url} has no branch or tag `{name}`; a commit id must be written out in full")
        }
        Wanted::Name(name) => format!("{url} has no branch or tag `{name}`"),
        Wanted::Full(name) => format!("{url} has no ref `{name}`"),
        Wanted::Commit(id) => format!("{url} has no commit {id}"),
    })
}

/// Fetches, and returns what to check out.
async fn fetch(
    git: &Git,
    remote: &Remote,
    options: &Options,
    found: Option<&Found>,
) -> Result<String, CapabilityError> {
    let depth = options.depth.map(|depth| format!("--depth={depth}"));
    let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--force", "--no-recurse-submodules"];
    arguments.extend(depth.as_deref());
    arguments.push("origin");
    if let Some(found) = found {
        let (target, kept) = match (found.branch(), found.tag()) {
            (Some(branch), _) => (format!("refs/remotes/origin/{branch}"), true),
            (_, Some(tag)) => (format!("refs/tags/{tag}"), true),
            (None, None) => ("FETCH_HEAD".to_owned(), false),
        };
        let spec = if kept { format!("+{}:{target}", found.name) } else { format!("+{}", found.name) };
        arguments.push(&spec);
        git.run(&arguments).await?;
        return Ok(format!("{target}^{{commit}}"))
            .map(|commit| if found.branch().is_some() { target.clone() } else { commit });
    }
    let Wanted::Commit(id) = &options.wanted else { return Err(not_there(&options.wanted, remote)) };
    arguments.push(id);
    match git.run(&arguments).await {
        Ok(_) => {}
        Err(Failed::Other(error)) => return Err(error),
        // Not every server gives out a commit by its id: fetch everything and look.
        Err(Failed::Git(_)) => {
            let everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
            git.run(&[
                "fetch",
                "--quiet",
                "--no-tags",
                "--force",
                "--no-recurse-submodules",
                "origin",
                everything[0],
                everything[1],
            ])
            .await?;
        }
    }
    let commit = format!("{id}^{{commit}}");
    match git.run(&["cat-file", "-e", &commit]).await {
        Ok(_) => Ok(commit),
        Err(Failed::Git(_)) => Err(not_there(&options.wanted, remote)),
        Err(Failed::Other(error)) => Err(error),
    }
}

/// Checks out the submodules, and theirs.
async fn submodules(git: &Git, depth: Option<u32>, was_repository: bool) -> Result<(), CapabilityError> {
    let directory = git.directory().clone();
    if directory.symlink_metadata(".gitmodules").is_err() {
        return Ok(());
    }
    if was_repository {
        // Their old files point to the `.git` that is gone.
        let paths = match git.run(&["config", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$"]).await
        {
            Ok(paths) => paths,
            Err(Failed::Git(_)) => String::new(),
            Err(Failed::Other(error)) => return Err(error),
        };
        blocking(move || {
            remove_submodules(&directory, &paths);
            Ok(())
        })
        .await?;
    }
    let depth = depth.map(|depth| format!("--depth={depth}"));
    let mut arguments = vec!["submodule", "--quiet", "update", "--init", "--recursive", "--force"];
    arguments.extend(depth.as_deref());
    git.run(&arguments).await?;
    Ok(())
}

/// Removes the directories of submodules. What cannot be removed is left for git to complain about.
fn remove_submodules(directory: &Dir, listing: &str) {
    for path in listing.lines().filter_map(|line| line.split_once(' ')).map(|(_, path)| Path::new(path)) {
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
        if is_below && directory.symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            directory.remove_dir_all(path).ok();
        }
    }
}

fn parse_facts(text: &str) -> Option<Commit> {
    let mut parts = text.trim_end_matches('\n').splitn(5, '\0').map(str::to_owned);
    Some(Commit {
        id: parts.next().filter(|id| !id.is_empty())?,
        branch: None,
        tag: None,
        author_name: parts.next()?,
        author_email: parts.next()?,
        committed_at: parts.next()?.parse().ok()?,
        subject: parts.next()?,
    })
}

#[cfg(test)]
#[path = "checkout_tests.rs"]
mod tests;

//! Which commit of a repository is meant: asked with `git ls-remote`, which fetches nothing.

use std::{net::IpAddr, process::Stdio, time::Duration};

use oxide_registry::oci::{NotReached, Reach};
use serde_json::{Map, Value as Json};
use tokio::{io::AsyncReadExt as _, process::Command};

/// How long a repository may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer that we read is longer: three lines are asked for.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What was asked for; without any of it, the branch that the repository itself names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A branch, such as `main`.
    pub branch: Option<String>,
    /// A tag, such as `v1.2`.
    pub tag: Option<String>,
    /// A commit: 40 or 64 hexadecimal digits.
    pub sha: Option<String>,
}

/// The commit that a run is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitFacts {
    /// The repository, without credentials in its URL.
    pub repository: String,
    /// The commit.
    pub sha: String,
    /// The full name of the branch or tag, such as `refs/heads/main`.
    pub reference: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
}

impl GitFacts {
    /// `git` as expressions see it.
    pub fn to_map(&self) -> Map<String, Json> {
        let mut map = Map::from_iter([
            ("repository".to_owned(), Json::from(self.repository.as_str())),
            ("sha".to_owned(), Json::from(self.sha.as_str())),
        ]);
        for (name, value) in [("ref", &self.reference), ("branch", &self.branch), ("tag", &self.tag)] {
            if let Some(value) = value {
                map.insert(name.to_owned(), value.as_str().into());
            }
        }
        map
    }
}

/// Why nobody knows which commit is meant.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address of the repository cannot be used.
    #[error("the repository {0}: write a URL such as `https://git.example.com/team/project.git`")]
    Address(&'static str),
    /// Its host may not be asked.
    #[error("the repository cannot be asked: {0}")]
    NotReached(NotReached),
    /// What was asked for is no name of git's.
    #[error("`{value}` is no {what}: {hint}")]
    Name {
        /// What it was to be.
        what: &'static str,
        /// As it was asked for.
        value: String,
        /// What to write.
        hint: &'static str,
    },
    /// The repository has no such branch or tag.
    #[error("{repository} has no {what} `{name}`")]
    Unknown {
        /// The repository, without credentials.
        repository: String,
        /// Branch or tag.
        what: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// The repository is empty.
    #[error("{0} has no commit yet")]
    Empty(String),
    /// Git is not there.
    #[error("could not run git, which finds out what a branch stands for: install it, or give the run a `sha`")]
    NoGit(#[source] std::io::Error),
    /// The repository did not answer in time.
    #[error("{repository} did not answer within {} s", PATIENCE.as_secs())]
    TooSlow {
        /// The repository, without credentials.
        repository: String,
    },
    /// The repository cannot be read.
    #[error("{repository} cannot be read: {words}")]
    Refused {
        /// The repository, without credentials.
        repository: String,
        /// What git said.
        words: String,
    },
}

/// Finds the commit. A repository is asked only if no commit is given.
///
/// # Errors
/// See [`RemoteError`].
pub async fn find_commit(repository: &str, wanted: &Wanted, reach: &Reach) -> Result<GitFacts, RemoteError> {
    check_address(repository, reach)?;
    let shown = without_credentials(repository);
    let named = named(wanted)?;
    let facts = |sha: String, named: Named| GitFacts {
        repository: shown.clone(),
        sha,
        reference: named.reference(),
        branch: named.branch().map(str::to_owned),
        tag: named.tag().map(str::to_owned),
    };
    if let Some(sha) = &wanted.sha {
        return Ok(facts(sha.clone(), named));
    }
    let patterns = match &named {
        Named::Nothing => vec!["HEAD".to_owned()],
        // What an annotated tag points at stands in a line of its own.
        Named::Tag(tag) => vec![format!("refs/tags/{tag}"), format!("refs/tags/{tag}^{{}}")],
        Named::Branch(branch) => vec![format!("refs/heads/{branch}")],
    };
    let pins = pins(repository, reach).await?;
    let answer = ask(repository, &shown, &pins, &patterns).await?;
    let (sha, found) = read_answer(&answer, &named).ok_or_else(|| match &named {
        Named::Nothing => RemoteError::Empty(shown.clone()),
        Named::Branch(name) => RemoteError::Unknown { repository: shown.clone(), what: "branch", name: name.clone() },
        Named::Tag(name) => RemoteError::Unknown { repository: shown.clone(), what: "tag", name: name.clone() },
    })?;
    Ok(facts(sha, found))
}

/// A URL without what stands before the `@`, which may be a password.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

/// Is it an address that may stand on git's command line, holds no password and may be asked? Whether anybody answers there is
/// another matter.
///
/// # Errors
/// [`RemoteError::Address`].
pub fn check_address(repository: &str, reach: &Reach) -> Result<(), RemoteError> {
    let refused = |problem| Err(RemoteError::Address(problem));
    if repository.is_empty() || repository.len() > 2000 {
        return refused("has no usable length");
    }
    if repository.starts_with('-') || repository.chars().any(char::is_control) {
        return refused("begins with `-` or contains control characters");
    }
    if let Some((helper, _)) = repository.split_once("::")
        && helper.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    {
        return refused("names a remote helper (`NAME::ADDRESS`), which is not allowed");
    }
    if holds_password(repository) {
        return refused(
            "holds a user or password, which everybody could read who may see it: leave it out, give it to the git of the \
             server, and to steps as a secret",
        );
    }
    let is_folder = repository.starts_with('/') || repository.starts_with("file:");
    if is_folder && !reach.folders {
        return refused("is a folder of the server, and its operator has not set `local_repositories = true`");
    }
    match repository.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) if !rest.starts_with(['/', '-']) && !rest.is_empty() => Ok(()),
        Some(("file", rest)) if rest.starts_with('/') => Ok(()),
        None if repository.starts_with('/') => Ok(()),
        // `user@host:path`.
        None if repository.split_once(':').is_some_and(|(host, _)| !host.is_empty() && !host.contains('/')) => Ok(()),
        _ => refused("is neither a URL with https, http, ssh, git or file, nor `user@host:path`, nor an absolute path"),
    }
}

/// Does it hold more than the user that SSH asks for?
fn holds_password(repository: &str) -> bool {
    let Some((scheme, rest)) = repository.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| scheme != "ssh" || user.contains(':'))
}

/// The host and port of an address; none of a folder.
fn host_of(repository: &str) -> Option<(String, u16)> {
    let of_scp = || {
        let (host, _) = repository.split_once(':').filter(|_| !repository.starts_with('/'))?;
        Some((host.rsplit('@').next()?.to_owned(), 22))
    };
    let Some((scheme, rest)) = repository.split_once("://") else { return of_scp() };
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        "ssh" => 22,
        "git" => 9418,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']')) {
        Some((name, port)) => Some((name.to_owned(), port.parse().ok()?)),
        None => Some((host.to_owned(), usual)),
    }
}

/// What git is told so that it asks nobody but the host as it is known now.
///
/// # Errors
/// The host may not be asked.
async fn pins(repository: &str, reach: &Reach) -> Result<Vec<String>, RemoteError> {
    let Some((host, port)) = host_of(repository).filter(|_| reach.private_hosts.is_some()) else {
        return Ok(Vec::new());
    };
    let found = reach.resolve(&host, port).await.map_err(RemoteError::NotReached)?;
    let addresses = found.iter().map(|address| match address.ip() {
        IpAddr::V6(address) => format!("[{address}]"),
        address => address.to_string(),
    });
    let addresses = addresses.collect::<Vec<_>>().join(",");
    Ok(vec![format!("http.curloptResolve={host}:{port}:{addresses}"), "http.followRedirects=false".to_owned()])
}

/// The branch or tag that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Nothing,
    Branch(String),
    Tag(String),
}

impl Named {
    fn reference(&self) -> Option<String> {
        match self {
            Named::Nothing => None,
            Named::Branch(name) => Some(format!("refs/heads/{name}")),
            Named::Tag(name) => Some(format!("refs/tags/{name}")),
        }
    }

    fn branch(&self) -> Option<&str> {
        if let Named::Branch(name) = self { Some(name) } else { None }
    }

    fn tag(&self) -> Option<&str> {
        if let Named::Tag(name) = self { Some(name) } else { None }
    }
}

fn named(wanted: &Wanted) -> Result<Named, RemoteError> {
    let refused = |what, value: &str, hint| RemoteError::Name { what, value: value.to_owned(), hint };
    if let Some(sha) = &wanted.sha
        && !(matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(refused("commit", sha, "write all 40 digits, as `git rev-parse HEAD` prints them"));
    }
    for (what, name) in [("branch", &wanted.branch), ("tag", &wanted.tag)] {
        let Some(name) = name else { continue };
        if !is_reference_name(name) {
            return Err(refused(what, name, "write its name as `git branch` or `git tag` shows it, such as `main`"));
        }
    }
    Ok(match (&wanted.branch, &wanted.tag) {
        (Some(branch), _) => Named::Branch(branch.clone()),
        (None, Some(tag)) => Named::Tag(tag.clone()),
        (None, None) => Named::Nothing,
    })
}

/// As `git check-ref-format` has it, and nothing that `ls-remote` takes for a pattern.
fn is_reference_name(name: &str) -> bool {
    let part_is_fine = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.len() <= 250
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c))
        && name.split('/').all(part_is_fine)
}

async fn ask(repository: &str, shown: &str, pins: &[String], patterns: &[String]) -> Result<String, RemoteError> {
    let mut command = Command::new("git");
    command
        .args(pins.iter().flat_map(|pin| ["-c", pin]))
        .args(["ls-remote", "--symref", "--", repository])
        .args(patterns)
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "")
        .env("SSH_ASKPASS", "")
        .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if std::env::var_os("GIT_SSH_COMMAND").is_none() {
        command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
    }
    let mut child = command.spawn().map_err(RemoteError::NoGit)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let (mut text, mut words) = (Vec::new(), Vec::new());
        let mut stdout = stdout.expect("it was asked for").take(ANSWER_BYTES_MAX);
        let mut stderr = stderr.expect("it was asked for").take(ANSWER_BYTES_MAX);
        let (told, complained) = tokio::join!(stdout.read_to_end(&mut text), stderr.read_to_end(&mut words));
        told.and(complained).map_err(RemoteError::NoGit)?;
        let status = child.wait().await.map_err(RemoteError::NoGit)?;
        Ok((status, String::from_utf8_lossy(&text).into_owned(), String::from_utf8_lossy(&words).into_owned()))
    };
    let answered = tokio::time::timeout(PATIENCE, read).await;
    let (status, text, words) = answered.map_err(|_| RemoteError::TooSlow { repository: shown.to_owned() })??;
    if status.success() {
        return Ok(text);
    }
    // Git may repeat the address with its password.
    let words = words.replace(repository, shown);
    let line = words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("git said nothing");
    Err(RemoteError::Refused { repository: shown.to_owned(), words: line.trim_start_matches("fatal: ").to_owned() })
}

/// The commit in an answer of `ls-remote --symref`, and the branch or tag that it belongs to.
fn read_answer(answer: &str, named: &Named) -> Option<(String, Named)> {
    let lines = || answer.lines().filter_map(|line| line.split_once('\t'));
    let sha_of = |reference: &str| lines().find(|(_, name)| *name == reference).map(|(sha, _)| sha.to_owned());
    match named {
        Named::Branch(branch) => Some((sha_of(&format!("refs/heads/{branch}"))?, named.clone())),
        Named::Tag(tag) => {
            let name = format!("refs/tags/{tag}");
            let sha = sha_of(&format!("{name}^{{}}")).or_else(|| sha_of(&name))?;
            Some((sha, named.clone()))
        }
        Named::Nothing => {
            let head = lines().find_map(|(target, name)| {
                let target = target.strip_prefix("ref: refs/heads/")?;
                (name == "HEAD").then(|| target.to_owned())
            });
            let sha = lines().find(|(sha, name)| *name == "HEAD" && !sha.starts_with("ref:"))?.0.to_owned();
            Some((sha, head.map_or(Named::Nothing, Named::Branch)))
        }
    }
}

#[cfg(test)]
mod tests;

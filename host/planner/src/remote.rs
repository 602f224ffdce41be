//! Which commit of a repository is meant: asked with `git ls-remote`, which fetches nothing.

use std::{
    net::{IpAddr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use oxide_registry::oci::{NotReached, Reach, host_and_port};
use serde_json::{Map, Value as Json};
use tokio::{io::AsyncReadExt as _, process::Command};

/// How long a repository may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer that we read is longer: three lines are asked for.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Why a host or port cannot be used.
const NO_HOST: &str = "has no usable host or port";

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
    let pinned = pinned(repository, reach).await?;
    let answer = ask(&pinned, &shown, &patterns).await?;
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
    if is_folder(repository) && !reach.folders {
        return refused("is a folder of the server, and its operator has not set `local_repositories = true`");
    }
    match repository.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) if !rest.starts_with(['/', '-']) && !rest.is_empty() => {
            host_of(repository).map(drop).ok_or(RemoteError::Address(NO_HOST))
        }
        Some(("file", rest)) if rest.starts_with('/') => Ok(()),
        None if repository.starts_with('/') => Ok(()),
        // `user@host:path`.
        None if repository.split_once(':').is_some_and(|(host, _)| !host.is_empty() && !host.contains('/')) => {
            host_of(repository).map(drop).ok_or(RemoteError::Address(NO_HOST))
        }
        _ => refused("is neither a URL with https, http, ssh, git or file, nor `user@host:path`, nor an absolute path"),
    }
}

/// Does it hold more than the user that SSH asks for?
fn holds_password(repository: &str) -> bool {
    let Some((scheme, _)) = repository.split_once("://") else { return false };
    let user = authority(repository).and_then(|authority| authority.rsplit_once('@')).map(|(user, _)| user);
    user.is_some_and(|user| scheme != "ssh" || user.contains(':'))
}

/// What an address names as user, host and port, as git reads it: up to the `/`, or to the `:` of `user@host:path`.
fn authority(repository: &str) -> Option<&str> {
    if let Some((_, rest)) = repository.split_once("://") {
        return rest.split('/').next();
    }
    let (before, _) = repository.split_once(':').filter(|(before, _)| !before.contains('/'))?;
    // `user@[::1]:path`.
    if before.contains('[') { repository.find("]:").map(|end| &repository[..=end]) } else { Some(before) }
}

/// The host and port of an address that is no folder; none if they cannot be read. What git, curl and ssh could read in another
/// way than we do is not read, or they would ask somebody else than was looked at.
fn host_of(repository: &str) -> Option<(String, u16)> {
    let scheme = repository.split_once("://").map_or("ssh", |(scheme, _)| scheme);
    let authority = authority(repository)?;
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let is_of = |text: &str, signs: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || signs.contains(&b));
    let is_read_alike = is_of(user, b"-._~+") && is_of(host, b"-._:[]") && !host.starts_with('-');
    if !is_read_alike || host.ends_with([':', '.']) || host.contains(".:") {
        return None;
    }
    host_and_port(&format!("{scheme}://{host}/"))
}

fn is_folder(repository: &str) -> bool {
    repository.starts_with('/') || repository.starts_with("file://")
}

/// How git is told to ask nobody but the host as it is known now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pinned {
    /// What it asks.
    address: String,
    /// Its settings, as `NAME=VALUE`.
    settings: Vec<String>,
    /// Behind the command of ssh, with a space in front.
    ssh_options: String,
    /// What it says to a server of `git://` that it asks for, if not what stands in the address.
    virtual_host: Option<String>,
}

/// Looks up the host, if not all may be asked.
///
/// # Errors
/// The host may not be asked.
async fn pinned(repository: &str, reach: &Reach) -> Result<Pinned, RemoteError> {
    if reach.private_hosts.is_none() || is_folder(repository) {
        return Ok(Pinned { address: repository.to_owned(), ..Pinned::default() });
    }
    let (host, port) = host_of(repository).ok_or(RemoteError::Address(NO_HOST))?;
    let found = reach.resolve(&host, port).await.map_err(RemoteError::NotReached)?;
    Ok(pin(repository, &host, port, &found))
}

/// Binds the host of an address to what was found for it. A proxy of git's own looks it up once more.
fn pin(repository: &str, host: &str, port: u16, found: &[SocketAddr]) -> Pinned {
    let mut pinned = Pinned { address: repository.to_owned(), ..Pinned::default() };
    let is_http = repository.starts_with("http://") || repository.starts_with("https://");
    if is_http {
        pinned.settings.push("http.followRedirects=false".to_owned());
    }
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let Some(first) = found.first().filter(|_| name.parse::<IpAddr>().is_err()) else {
        return pinned;
    };
    if is_http {
        let addresses = found.iter().map(|address| match address.ip() {
            IpAddr::V6(address) => format!("[{address}]"),
            address => address.to_string(),
        });
        let addresses = addresses.collect::<Vec<_>>().join(",");
        pinned.settings.push(format!("http.curloptResolve={host}:{port}:{addresses}"));
    } else if let Some(rest) = repository.strip_prefix("git://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        pinned.address = format!("git://{first}/{path}");
        pinned.virtual_host = Some(authority.to_owned());
    } else {
        // The key of the host is known by its name, in brackets if the port is not the usual one.
        let alias = if port == 22 { name.to_owned() } else { format!("[{name}]:{port}") };
        pinned.ssh_options = format!(" -o HostName={} -o 'HostKeyAlias={alias}'", first.ip());
    }
    pinned
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

async fn ask(pinned: &Pinned, shown: &str, patterns: &[String]) -> Result<String, RemoteError> {
    let mut command = Command::new("git");
    command
        .args(pinned.settings.iter().flat_map(|setting| ["-c", setting]))
        .args(["ls-remote", "--symref", "--", &pinned.address])
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
    if let Some(host) = &pinned.virtual_host {
        command.env("GIT_OVERRIDE_VIRTUAL_HOST", host);
    }
    // Of two options with one name, ssh takes the first: what the operator says counts.
    let mut ssh = std::env::var_os("GIT_SSH_COMMAND").unwrap_or_else(|| "ssh -o BatchMode=yes".into());
    ssh.push(&pinned.ssh_options);
    command.env("GIT_SSH_COMMAND", ssh);
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
    let words = words.replace(&pinned.address, shown);
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

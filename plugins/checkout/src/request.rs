//! Decides what to fetch from the inputs and from what the run is about. Asks nobody: `guest` does what is decided
//! here.

/// What the step was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The input `repository`.
    pub repository: Option<String>,
    /// The input `ref`.
    pub reference: Option<String>,
    /// The input `depth`.
    pub depth: Option<u32>,
    /// The input `path`.
    pub path: Option<String>,
}

/// What the run is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The repository.
    pub repository: Option<String>,
    /// The commit id.
    pub commit: Option<String>,
    /// The full reference, such as `refs/heads/main`.
    pub reference: Option<String>,
}

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The repository to open.
    pub repository: String,
    /// The branch, tag, reference or commit; none is the remote's default branch.
    pub reference: Option<String>,
    /// How many commits; none is all.
    pub depth: Option<u32>,
    /// The directory in the workspace.
    pub path: String,
    /// The branch that the run is about, where its own commit is fetched.
    pub branch: Option<String>,
    /// The tag that the run is about, where its own commit is fetched.
    pub tag: Option<String>,
}

/// Puts the inputs and the facts of the run together.
///
/// # Errors
/// A sentence that says which input is unusable and what to write.
pub fn decide(wanted: Wanted, about: About) -> Result<Request, String> {
    for (name, value) in [("repository", &wanted.repository), ("ref", &wanted.reference), ("path", &wanted.path)] {
        let Some(value) = value else { continue };
        if value.trim().is_empty() {
            return Err(format!("`{name}` is empty: leave it out, or write a value"));
        }
        // git would read it as an option.
        if value.starts_with('-') && name != "path" {
            return Err(format!("`{name}: {value}` starts with a dash, which no {name} does"));
        }
    }
    let own = wanted.repository.is_none() || wanted.repository == about.repository;
    let Some(repository) = wanted.repository.or(about.repository) else {
        return Err("this run is not about a repository, so say which one: write `with: { repository: \
                    \"https://example.com/acme/app.git\" }`, or run the pipeline inside a git checkout"
            .to_owned());
    };
    let runs_own_commit = own && wanted.reference.is_none();
    let (branch, tag) = match about.reference.as_deref() {
        Some(name) if runs_own_commit => {
            (name.strip_prefix("refs/heads/").map(str::to_owned), name.strip_prefix("refs/tags/").map(str::to_owned))
        }
        _ => (None, None),
    };
    let reference = if runs_own_commit { about.commit.or(about.reference) } else { wanted.reference };
    Ok(Request {
        repository,
        reference,
        depth: match wanted.depth {
            None => Some(1),
            Some(0) => None,
            Some(depth) => Some(depth),
        },
        path: wanted.path.unwrap_or_else(|| ".".to_owned()),
        branch,
        tag,
    })
}

/// The first seven digits of a commit id.
pub fn short(commit: &str) -> String {
    commit.chars().take(7).collect()
}

/// The repository as it may be shown: without what stands before the `@` of a URL, which may be a password.
pub fn shown(repository: &str) -> String {
    let Some((scheme, rest)) = repository.split_once("://") else { return repository.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}/{path}"),
        None => repository.to_owned(),
    }
}

//! Decides which artifacts are fetched and where they go. Asks nobody: `guest` does what is decided here.

/// An artifact and the directory for its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Its name.
    pub name: String,
    /// The directory, relative to the workspace.
    pub directory: String,
}

/// Which artifacts are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one of this name.
    One(String),
    /// All that fit a pattern with `*`.
    Fitting(String),
}

/// What a name means.
///
/// # Errors
/// A sentence, if it is empty.
pub fn wanted(name: Option<String>) -> Result<Wanted, String> {
    match name {
        None => Ok(Wanted::Fitting("*".to_owned())),
        Some(name) if name.trim().is_empty() => {
            Err("`name` is empty: leave it out to get all artifacts, or write a name".to_owned())
        }
        Some(name) if name.contains('*') => Ok(Wanted::Fitting(name)),
        Some(name) => Ok(Wanted::One(name)),
    }
}

/// Where the artifacts go that fit a pattern: each into a directory of its name.
pub fn fitting(pattern: &str, names: &[String], directory: &str) -> Vec<Download> {
    let names = names.iter().filter(|name| fits(pattern, name));
    names
        .map(|name| Download {
            name: name.clone(),
            directory: if directory == "." {
                name.clone()
            } else {
                format!("{}/{name}", directory.trim_end_matches('/'))
            },
        })
        .collect()
}

/// Does a name fit a pattern in which `*` stands for any characters?
pub fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    // The leftmost place for each part leaves the most for those behind it.
    for part in parts {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

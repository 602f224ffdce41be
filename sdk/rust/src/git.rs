//! Commits of granted remotes. The host speaks to the remote and holds the credentials.
//!
//! ```no_run
//! # use oxide_plugin::{Error, git::{self, FetchOptions}};
//! # fn run() -> Result<(), Error> {
//! let options = FetchOptions { depth: Some(1), ..FetchOptions::default() };
//! let commit = git::checkout("https://github.com/acme/app", ".", &options)?;
//! # Ok(())
//! # }
//! ```

use crate::Error;

pub use crate::bindings::oxide::ci::git::{Commit, FetchOptions, Repository, open};

/// The default branch with all of its history, without submodules.
impl Default for FetchOptions {
    fn default() -> FetchOptions {
        FetchOptions { ref_: None, depth: None, submodules: false, sparse: Vec::new() }
    }
}

/// Fetches a commit of a remote (https, ssh, git, file, or a local path) and puts its files into the directory at this path of
/// the workspace (`.` is its top).
///
/// # Errors
/// [`Error::Denied`] for a remote that was not granted, [`Error::NotFound`] for one or a reference that does not exist.
pub fn checkout(remote: &str, path: &str, options: &FetchOptions) -> Result<Commit, Error> {
    open(remote)?.checkout(path, options)
}

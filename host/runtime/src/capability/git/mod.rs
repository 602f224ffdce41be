//! `oxide:ci/git`: fetches commits with the `git` of the agent's machine.
//!
//! The program runs on the side of the host, with an environment and a configuration of its own: no hooks, no filters, no
//! helpers, no prompts, nothing of the user's or the repository's settings.

mod checkout;
mod program;
mod reference;
mod remote;

use wasmtime::component::Resource;

use self::{
    checkout::{Checkout, Options, check_out},
    reference::Wanted,
    remote::Remote,
};
use super::{
    CapabilityError,
    bindings::oxide::ci::git::{Commit, FetchOptions, Host, HostRepository},
};
use crate::state::State;

/// A remote that the plugin may fetch from.
pub struct Repository(Remote);

impl Host for State {
    async fn open(&mut self, remote: String) -> Result<Resource<Repository>, CapabilityError> {
        self.called("git.open", &(&remote,));
        let remote = Remote::parse(&remote)?;
        Ok(self.table.push(Repository(remote))?)
    }
}

impl HostRepository for State {
    async fn checkout(
        &mut self,
        repository: Resource<Repository>,
        path: String,
        options: FetchOptions,
    ) -> Result<Commit, CapabilityError> {
        self.called("git.checkout", &(repository.rep(), &path, &options));
        let remote = self.table.get(&repository)?.0.clone();
        if self.workspace.is_read_only() {
            return Err(CapabilityError::Denied("the step may only read the workspace".into()));
        }
        let options = Options {
            wanted: Wanted::parse(options.ref_.as_deref())?,
            // Git counts no further.
            depth: options.depth.map(|depth| depth.min(i32::MAX as u32)),
            submodules: options.submodules,
            sparse: options.sparse,
        };
        let root = self.workspace.root()?;
        let task = Checkout { remote, path, options, root, workspace: self.workspace.path().to_owned() };
        let commit = check_out(task, self.log.clone()).await?;
        Ok(Commit {
            id: commit.id,
            branch: commit.branch,
            tag: commit.tag,
            author_name: commit.author_name,
            author_email: commit.author_email,
            committed_at: commit.committed_at,
            subject: commit.subject,
        })
    }

    async fn drop(&mut self, handle: Resource<Repository>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

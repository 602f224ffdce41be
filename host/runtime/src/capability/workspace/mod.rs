//! `oxide:ci/workspace`: the files of the job.
//!
//! Handles are paths below the top, which is opened once; a handle holds no open file, so a plugin cannot exhaust those
//! of the agent. Every path is resolved by the kernel or by `cap-std` below the handle's directory and nowhere else.

mod files;
mod glob;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cap_std::{ambient_authority, fs::Dir};
use wasmtime::component::Resource;

pub(in crate::capability) use self::files::{create_directory, refused};
use super::{
    CapabilityError,
    bindings::oxide::ci::workspace::{Entry, Host, HostDirectory},
};
use crate::{recorder::bytes, state::State};

/// The workspace of the job, opened when a plugin first asks for it.
pub(crate) struct Workspace {
    path: PathBuf,
    read_only: bool,
    root: Option<Arc<Dir>>,
}

impl Workspace {
    pub fn new(path: PathBuf, read_only: bool) -> Self {
        Workspace { path, read_only, root: None }
    }

    /// Where it is on the machine of the agent.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// May the step only read?
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The top of the workspace. The only place where a path of the host is opened.
    pub fn root(&mut self) -> Result<Arc<Dir>, CapabilityError> {
        if let Some(root) = &self.root {
            return Ok(root.clone());
        }
        let root = Dir::open_ambient_dir(&self.path, ambient_authority())
            .map_err(|error| CapabilityError::Other(format!("the workspace cannot be opened: {error}")))?;
        Ok(self.root.insert(Arc::new(root)).clone())
    }
}

/// A handle of a directory.
#[derive(Clone)]
pub struct Directory {
    /// From the top of the workspace on, without links; empty for the top.
    path: PathBuf,
    read_only: bool,
}

impl State {
    /// Does something in a directory, on a thread that may wait for the disk.
    async fn in_directory<T: Send + 'static>(
        &mut self,
        handle: &Resource<Directory>,
        work: impl FnOnce(&Dir) -> Result<T, CapabilityError> + Send + 'static,
    ) -> Result<T, CapabilityError> {
        let path = self.table.get(handle)?.path.clone();
        let root = self.workspace.root()?;
        let work = move || match path.as_os_str().is_empty() {
            true => work(&root),
            false => work(&files::open_directory(&root, &path)?),
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(CapabilityError::Trap(wasmtime::Error::new(error))),
        }
    }

    /// The same, for what changes files.
    async fn change<T: Send + 'static>(
        &mut self,
        handle: &Resource<Directory>,
        work: impl FnOnce(&Dir) -> Result<T, CapabilityError> + Send + 'static,
    ) -> Result<T, CapabilityError> {
        if self.table.get(handle)?.read_only {
            return Err(CapabilityError::Denied("this directory may only be read".into()));
        }
        self.in_directory(handle, work).await
    }

    async fn open_below(
        &mut self,
        handle: &Resource<Directory>,
        path: String,
        read_only: bool,
    ) -> Result<Resource<Directory>, CapabilityError> {
        let parent = self.table.get(handle)?.clone();
        let below = self.in_directory(handle, move |dir| files::real_directory(dir, &path)).await?;
        let path = parent.path.join(below);
        Ok(self.table.push(Directory { path, read_only: read_only || parent.read_only })?)
    }
}

impl Host for State {
    async fn root(&mut self) -> Result<Resource<Directory>, CapabilityError> {
        self.called("workspace.root", &());
        self.workspace.root()?;
        Ok(self.table.push(Directory { path: PathBuf::new(), read_only: self.workspace.is_read_only() })?)
    }
}

impl HostDirectory for State {
    async fn read(&mut self, directory: Resource<Directory>, path: String) -> Result<Vec<u8>, CapabilityError> {
        self.called("workspace.read", &(directory.rep(), &path));
        self.in_directory(&directory, move |dir| files::read(dir, &path)).await
    }

    async fn read_range(
        &mut self,
        directory: Resource<Directory>,
        path: String,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, CapabilityError> {
        self.called("workspace.read-range", &(directory.rep(), &path, offset, length));
        self.in_directory(&directory, move |dir| files::read_range(dir, &path, offset, length)).await
    }

    async fn write(
        &mut self,
        directory: Resource<Directory>,
        path: String,
        contents: Vec<u8>,
    ) -> Result<(), CapabilityError> {
        self.called("workspace.write", &(directory.rep(), &path, bytes(&contents)));
        self.change(&directory, move |dir| files::write(dir, &path, &contents)).await
    }

    async fn append(
        &mut self,
        directory: Resource<Directory>,
        path: String,
        contents: Vec<u8>,
    ) -> Result<(), CapabilityError> {
        self.called("workspace.append", &(directory.rep(), &path, bytes(&contents)));
        self.change(&directory, move |dir| files::append(dir, &path, &contents)).await
    }

    async fn create_directory(&mut self, directory: Resource<Directory>, path: String) -> Result<(), CapabilityError> {
        self.called("workspace.create-directory", &(directory.rep(), &path));
        self.change(&directory, move |dir| files::create_directory(dir, &path)).await
    }

    async fn list(&mut self, directory: Resource<Directory>, path: String) -> Result<Vec<Entry>, CapabilityError> {
        self.called("workspace.list", &(directory.rep(), &path));
        self.in_directory(&directory, move |dir| files::list(dir, &path)).await
    }

    async fn glob(&mut self, directory: Resource<Directory>, pattern: String) -> Result<Vec<Entry>, CapabilityError> {
        self.called("workspace.glob", &(directory.rep(), &pattern));
        // Tells the thread that nobody waits any more.
        let wanted = Arc::new(());
        let still_wanted = Arc::downgrade(&wanted);
        let found = self
            .in_directory(&directory, move |dir| glob::find(dir, &pattern, &|| still_wanted.strong_count() > 0))
            .await;
        drop(wanted);
        found
    }

    async fn stat(&mut self, directory: Resource<Directory>, path: String) -> Result<Entry, CapabilityError> {
        self.called("workspace.stat", &(directory.rep(), &path));
        self.in_directory(&directory, move |dir| files::stat(dir, &path)).await
    }

    async fn remove(&mut self, directory: Resource<Directory>, path: String) -> Result<(), CapabilityError> {
        self.called("workspace.remove", &(directory.rep(), &path));
        self.change(&directory, move |dir| files::remove(dir, &path)).await
    }

    async fn open_read_only(
        &mut self,
        directory: Resource<Directory>,
        path: String,
    ) -> Result<Resource<Directory>, CapabilityError> {
        self.called("workspace.open-read-only", &(directory.rep(), &path));
        self.open_below(&directory, path, true).await
    }

    async fn open(
        &mut self,
        directory: Resource<Directory>,
        path: String,
    ) -> Result<Resource<Directory>, CapabilityError> {
        self.called("workspace.open", &(directory.rep(), &path));
        self.open_below(&directory, path, false).await
    }

    async fn drop(&mut self, handle: Resource<Directory>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

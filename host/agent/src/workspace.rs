//! The directories of one attempt: `<data>/work/<agent>/<run>-<job>-<attempt>/{workspace,home,tmp}`.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use oxide_core::id::{AgentId, AttemptId};

/// The directories of one attempt. [`JobDirectory::remove`] takes them away.
#[derive(Clone, Debug)]
pub(crate) struct JobDirectory {
    root: PathBuf,
}

/// Where the jobs of an agent have their directories.
pub(crate) fn work_directory(data_dir: &Path, agent: AgentId) -> PathBuf {
    data_dir.join("work").join(agent.to_string())
}

impl JobDirectory {
    /// Where an attempt has its directories; nothing is made yet.
    pub(crate) fn of(data_dir: &Path, agent: AgentId, attempt: AttemptId) -> JobDirectory {
        let name = format!("{}-{}-{}", attempt.run, attempt.job, attempt.number);
        let root = work_directory(data_dir, agent).join(name);
        // Commands run in it, so it must not depend on where we were started.
        JobDirectory { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// Makes the directories, for their owner only.
    pub(crate) fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
        for part in [self.workspace(), self.home(), self.tmp()] {
            fs::DirBuilder::new().mode(0o700).create(part)?;
        }
        Ok(())
    }

    /// What holds all of them.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.root.join("workspace")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Lets users of a container write to the workspace. Others on this machine still cannot reach it, for the directory
    /// above it is closed to them.
    pub(crate) fn open_workspace_to_all(&self) -> io::Result<()> {
        fs::set_permissions(self.workspace(), fs::Permissions::from_mode(0o777))
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_tree(&self.root)
    }
}

/// Removes a directory with everything below it, read-only directories too. One that is not there is no error.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    // Below what is no directory there is nothing, either.
    let is_absent = |error: io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    if fs::symlink_metadata(path).is_err_and(is_absent) {
        return Ok(());
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path);
            not_found_is_fine(fs::remove_dir_all(path))
        }
        // A process that is just being killed may still have made a file.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => not_found_is_fine(fs::remove_dir_all(path)),
        other => not_found_is_fine(other),
    }
}

fn not_found_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Tools write caches without the right to write (Go's modules): the owner may change that.
fn make_writable(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::id::{JobIndex, RunId};

    use super::*;

    #[test]
    fn a_job_directory_is_closed_to_others_and_removed_whole() {
        let data = tempfile::tempdir().unwrap();
        let attempt = AttemptId { run: RunId(uuid::Uuid::now_v7()), job: JobIndex(0), number: 1 };
        let agent = AgentId(uuid::Uuid::now_v7());
        let directory = JobDirectory::of(data.path(), agent, attempt);
        directory.create().unwrap();
        assert_eq!(fs::metadata(&directory.root).unwrap().permissions().mode() & 0o777, 0o700);
        let cache = directory.workspace().join("cache");
        fs::create_dir(&cache).unwrap();
        fs::write(cache.join("file"), "x").unwrap();
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o500)).unwrap();
        directory.remove().unwrap();
        assert!(!directory.root.exists());
        directory.remove().unwrap();
    }
}

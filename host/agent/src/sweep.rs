//! Removes what agents left that died without a chance to tidy up: processes, containers, directories.
//!
//! Never touches a living agent, for that one holds the lock of its [`Session`](crate::Session); two sweeps at once share
//! the work.

use std::{fs, path::Path};

use oxide_core::id::AgentId;

use crate::{
    environment::remove_containers_of,
    processes::{AGENT_COOKIE, Cookies, kill_by_cookies},
    session::{Abandoned, Notes, lock_file, sessions_directory},
    workspace::{remove_tree, work_directory},
};

/// An agent whose remains were removed. Its lock file stays until [`DeadAgent::forget`], so that a sweep that is itself
/// killed before the caller has written down what became of the agent's jobs is followed by another.
#[derive(Debug)]
pub struct DeadAgent {
    /// The id that it had chosen.
    pub agent: AgentId,
    /// The id of its process, if its lock file says it.
    pub pid: Option<u32>,
    /// What could not be removed, as sentences; the next sweep tries again if this is not empty.
    pub left_behind: Vec<String>,
    lock: Abandoned,
}

impl DeadAgent {
    /// Removes the lock file: nothing of the agent is left to be done. Does nothing if remains could not be removed.
    pub fn forget(self) {
        if self.left_behind.is_empty() {
            // If it stays, the next sweep finds nothing else and tries again.
            let _ = self.lock.remove();
        }
    }
}

/// Finds the agents with data in this directory that have died, and removes what they left.
///
/// Containers are looked for where the agent made some, and only if it did. What cannot be removed is named in the result; a
/// directory that cannot be read counts as one without sessions.
pub async fn sweep(data_dir: &Path) -> Vec<DeadAgent> {
    let mut dead = Vec::new();
    let Ok(entries) = fs::read_dir(sessions_directory(data_dir)) else { return dead };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_lock = path.extension().is_some_and(|extension| extension == "lock");
        let agent = path.file_stem().and_then(|stem| stem.to_str()?.parse::<AgentId>().ok());
        if let (true, Some(agent)) = (is_lock, agent) {
            dead.extend(sweep_agent(data_dir, agent).await);
        }
    }
    dead
}

/// The same for one agent. None if it lives, or left nothing.
pub async fn sweep_agent(data_dir: &Path, agent: AgentId) -> Option<DeadAgent> {
    let mut abandoned = Abandoned::take(lock_file(data_dir, agent))?;
    let notes = abandoned.notes();
    let left_behind = remove_remains(data_dir, agent, &notes, abandoned.path()).await;
    Some(DeadAgent { agent, pid: notes.pid, left_behind, lock: abandoned })
}

async fn remove_remains(data_dir: &Path, agent: AgentId, notes: &Notes, lock: &Path) -> Vec<String> {
    let mut left_behind = Vec::new();
    // Containers first: a container removes the files that its root made in the workspace.
    if let Some(address) = &notes.containers_at
        && let Err(error) = remove_containers_of(agent, address).await
    {
        left_behind.push(format!(
            "its containers: {error}; the next `oxide` command tries again, or type `rm {}` if there are none any more",
            lock.display()
        ));
    }
    let work = work_directory(data_dir, agent);
    let removed = tokio::task::spawn_blocking(move || {
        kill_by_cookies(&Cookies::new([(AGENT_COOKIE, agent.to_string().as_str())]));
        remove_tree(&work).map_err(|error| format!("{}: {error}", work.display()))
    })
    .await;
    match removed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => left_behind.push(error),
        Err(_) => left_behind.push("its directories: the removal was interrupted".to_owned()),
    }
    left_behind
}

#[cfg(test)]
mod tests;
